"""Handlers in processes of their own: killable, and no hold on the worker's GIL.

A child is started with the importable name of a *registered* handler; nothing that a job carries
decides what is imported. Job and result cross the pipe as JSON.
"""

import asyncio
import importlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from .._common.telemetry import correlated, inject, restored
from ..backoff import sane
from ..context import JobContext
from ..errors import JobQueueError, PayloadError, RetryJob
from ..handlers import Handler, inspect_handler
from ..models import Job
from ..payload import encode
from ..ports import Lease, Record
from ..records import headers_of, to_job
from .describing import clean, trace_of

_LOOK = 1.0
_LOG = "%(asctime)s %(levelname)s %(name)s %(message)s"
_UNSTARTED = (
    ", perhaps at its start: standard error tells why. A script that runs a worker itself must do "
    "so under `if __name__ == '__main__'`, for processes import it"
)
_Work = tuple[Record, list[Job], dict[str, str]]
"""What crosses the pipe: the job, those that it depends on, and the trace of its attempt."""

if TYPE_CHECKING:
    from multiprocessing.connection import Connection


class ProcessHandlerError(JobQueueError):
    """The handler's process died, or the handler raised: type and message came over the pipe.

    Attributes:
        kinds: The names of the exception's classes; none if the process died.
        trace: The frames of its traceback; empty if the process died.
    """

    def __init__(self, message: str, kinds: Sequence[str] = (), trace: str = "") -> None:
        """Say what the child said."""
        super().__init__(message)
        self.kinds, self.trace = frozenset(kinds), trace
        if trace:
            self.add_note(f"in the handler's process:\n{trace}")

    def __str__(self) -> str:
        """Return the text of the child."""
        return str(self.args[0])


class _Child:
    """One idle or busy process, serving one handler; ``served`` says whether it ever answered."""

    def __init__(self, module: str, name: str) -> None:
        self.served = False
        import multiprocessing  # a tenth of what importing the worker would cost

        spawn = multiprocessing.get_context("spawn")
        self.pipe, theirs = spawn.Pipe()
        arguments = (theirs, module, name, _log_level(), os.getpid())
        self.process = spawn.Process(target=serve, args=arguments, daemon=True)
        self.process.start()
        theirs.close()

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


class ProcessPool:
    """Keeps the processes of finished jobs for the next ones of the same handler."""

    def __init__(self) -> None:
        """Start none yet."""
        self._idle: dict[str, list[_Child]] = {}
        self._busy: set[_Child] = set()

    async def run(self, handler: Handler, record: Record, context: JobContext) -> Any:
        """Return what ``handler`` returns in a process; cancelling kills that process.

        Raises:
            RetryJob: The handler raised it.
            ProcessHandlerError: The handler raised something else, or its process died.
        """
        child = await self._take(handler)
        self._busy.add(child)
        try:
            message = await _converse(child, record, context)
        except BaseException:
            if child in self._busy:
                self._busy.discard(child)
                await asyncio.to_thread(child.end)
            raise
        self._busy.discard(child)
        self._idle.setdefault(handler.name, []).append(child)
        if "error" not in message:
            return message["result"]
        if message.get("retry"):
            raise RetryJob(message["delay"], message["error"])
        if message.get("unfit"):
            raise PayloadError(message["error"])
        raise ProcessHandlerError(
            message["error"], message.get("kinds", ()), message.get("trace", "")
        )

    async def _take(self, handler: Handler) -> _Child:
        idle = self._idle.get(handler.name, [])
        while idle:
            child = idle.pop()
            if child.process.is_alive():
                return child
            child.end()
        function = handler.function
        return await asyncio.to_thread(_Child, function.__module__, function.__qualname__)

    def close(self) -> None:
        """Kill every process."""
        for child in [*self._busy, *(each for idle in self._idle.values() for each in idle)]:
            child.end()
        self._idle.clear()
        self._busy.clear()


async def _converse(child: _Child, record: Record, context: JobContext) -> dict[str, Any]:
    try:
        # in a thread: a child that does not read yet would block the loop once the pipe is full
        job = msgspec.json.encode((record, context.parents, inject()))
        await asyncio.to_thread(child.pipe.send_bytes, job)
        while True:
            message = await _receive(child.pipe)
            child.served = True
            if "progress" in message:
                context.progress(message["progress"])
            elif "heartbeat" in message:
                context.heartbeat()
            else:
                return message
    except (EOFError, OSError) as exc:
        await asyncio.to_thread(child.process.join, 1)
        code = child.process.exitcode
        hint = "" if child.served or code != 1 else _UNSTARTED
        raise ProcessHandlerError(f"the handler's process died (exit code {code}){hint}") from exc


async def _receive(pipe: "Connection") -> dict[str, Any]:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    loop.add_reader(pipe.fileno(), lambda: None if ready.done() else ready.set_result(None))
    try:
        await ready
    finally:
        loop.remove_reader(pipe.fileno())
    message: dict[str, Any] = msgspec.json.decode(pipe.recv_bytes())
    return message


def _log_level() -> int | None:
    """Return the level of what the worker logs; None if nobody has asked for a log."""
    root = logging.getLogger()
    return root.level if root.handlers else None


def serve(pipe: "Connection", module: str, name: str, level: int | None, worker: int) -> None:
    """Run jobs that come over ``pipe`` until it closes; the child's main function.

    ``worker`` is the process that it ends with: told by that one, for a worker may die before we
    could ask who our parent is.
    """
    leaving = threading.Event()
    # signals to a whole group reach us too, but only the worker decides when its children end: a
    # terminated child ends between two jobs. No SIG_IGN: what handlers start would inherit that.
    signal.signal(signal.SIGINT, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: leaving.set())
    threading.Thread(target=_follow, args=(worker,), daemon=True).start()
    # multiprocessing has run the parent's main module here under the name __mp_main__
    function: Any = importlib.import_module("__mp_main__" if module == "__main__" else module)
    for part in name.split("."):
        function = getattr(function, part)
    if level is not None:  # unless what was imported has set up a log of its own
        logging.basicConfig(level=level, format=_LOG)
    while True:
        try:
            while not pipe.poll(_LOOK):
                if leaving.is_set():
                    return
            record, parents, trace = msgspec.json.decode(pipe.recv_bytes(), type=_Work)
        except (EOFError, OSError):
            return
        with restored(trace), correlated(headers_of(record).get("correlation_id")):
            answer = _perform(function, record, parents, pipe)
        pipe.send_bytes(answer)


def _follow(parent: int) -> None:
    """End with the worker, also in the middle of a job: it runs again elsewhere."""
    while os.getppid() == parent:
        time.sleep(_LOOK)
    os._exit(1)


def _perform(function: Any, record: Record, parents: list[Job], pipe: "Connection") -> bytes:
    context = JobContext(
        Lease(record.id, record.fence),
        name=record.name,
        attempt=record.attempts,
        parents=parents,
        on_progress=lambda value: pipe.send_bytes(msgspec.json.encode({"progress": value})),
        on_heartbeat=lambda: pipe.send_bytes(msgspec.json.encode({"heartbeat": True})),
    )
    try:
        handler = Handler(record.name, function, **inspect_handler(function, "process"))
        value = function(*handler.arguments(to_job(record), context))
        if asyncio.iscoroutine(value):
            value = asyncio.run(value)
        # how long it may be is looked at by the worker
        result = encode(value, sys.maxsize, "result of job", record.id)
        return msgspec.json.encode({"result": msgspec.Raw(result)})
    except RetryJob as exc:
        wait = None if exc.delay is None else sane(exc.delay)
        return msgspec.json.encode({"error": clean(str(exc)), "retry": True, "delay": wait})
    except PayloadError as exc:
        return msgspec.json.encode({"error": clean(str(exc)), "unfit": True})
    except BaseException as exc:  # noqa: BLE001  also SystemExit: the child serves the next job
        kinds = [*map(_kind, type(exc).__mro__)]
        text, trace = clean(f"{type(exc).__name__}: {exc}"), clean(trace_of(exc))
        return msgspec.json.encode({"error": text, "kinds": kinds, "trace": trace})


def is_one_of(exc: BaseException, kinds: Sequence[type[BaseException]]) -> bool:
    """Whether ``exc`` is of one of ``kinds``, also when it was raised in a process."""
    if isinstance(exc, ProcessHandlerError):
        return not exc.kinds.isdisjoint(map(_kind, kinds))
    return isinstance(exc, tuple(kinds))


def _kind(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"
