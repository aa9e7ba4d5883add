"""What is stored of an exception: its type, message and traceback, as every store can keep it."""

import logging
import traceback
from collections.abc import Callable
from types import TracebackType

logger = logging.getLogger(__name__)
_MAX_ERROR = 8192
_OURS = __name__.removesuffix("describing")


def describe(exc: BaseException, *, with_trace: bool = True) -> str:
    """Return type, message and traceback of an exception, at most 8 KiB."""
    # what a process raised has told its type and frames already; ours would say nothing of it
    told: str | None = getattr(exc, "trace", None)
    head = (str(exc) if told else f"{type(exc).__name__}: {exc}")[: _MAX_ERROR // 2]
    trace = "" if not with_trace else trace_of(exc) if told is None else told
    return clean(f"{head}\n{trace[-(_MAX_ERROR - len(head)) :]}" if trace else head)


def redacted(text: str, redact: Callable[[str], str] | None) -> str:
    """Return what the application lets be stored of ``text``; of its faults nothing."""
    if redact is None:
        return text
    try:
        return clean(str(redact(text)))[:_MAX_ERROR]
    except Exception:
        # better too little: it was about to hide something
        logger.exception("job.redact_failed")
        return "the error is not stored: what should redact it failed, see the worker's log"


def trace_of(exc: BaseException) -> str:
    """Return the frames of the traceback from the handler on; all of them if there is none."""
    trace = exc.__traceback__
    return "" if trace is None else "".join(traceback.format_tb(_own(trace)))


def _own(trace: TracebackType) -> TracebackType:
    """Return the part of a traceback after the worker's own frames, if there is one."""
    at: TracebackType | None = trace
    begin: TracebackType | None = trace
    while at is not None:
        if at.tb_frame.f_globals.get("__name__", "").startswith(_OURS):
            begin = at.tb_next
        at = at.tb_next
    return begin or trace


def clean(text: str) -> str:
    """Return ``text`` as every store can keep it: no NUL, no lone surrogates."""
    return text.replace("\0", "\\0").encode("utf-8", "backslashreplace").decode()
