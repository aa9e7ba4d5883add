"""The process of one template: gives away its rights, reads the data, renders, answers."""

import contextlib
import ctypes
import os
import resource
import signal
import sys
from pathlib import Path
from typing import IO, Any

import msgspec

from ..children import pipes, read_frame, write_frame
from ..errors import ExportError, MissingExtraError
from ..ports import TemplateEngine
from ..registry import ENGINES
from .process import DATA, DONE, FAULT, MISSING, RENDER, Job

_LISTS = {"segment": "segments", "section": "sections", "citation": "citations", "row": "rows"}
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG
_FORBIDDEN = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto", "os.exec",
              "os.posix_spawn", "os.fork", "os.system", "subprocess.Popen")  # fmt: skip


def main() -> None:
    """Render what standard input says to standard output."""
    source, out = pipes()

    def answer(kind: bytes, body: bytes) -> None:
        write_frame(out, kind, body)

    try:
        job = msgspec.json.decode(read_frame(source)[1], type=Job)
        confine(job)
        body = rendered(job, read(source))
        for start in range(0, len(body), 1 << 18):
            answer(DATA, body[start : start + (1 << 18)])
        answer(DONE, b"")
    except MissingExtraError as exc:
        answer(MISSING, str(exc).encode())
    except MemoryError:
        answer(FAULT, b"it used more memory than templates.memory allows")
    except RecursionError:
        answer(FAULT, b"it is nested too deeply")
    except BaseException as exc:  # noqa: BLE001  the parent is told of everything
        own = isinstance(exc, ExportError)
        text = str(exc) if own else f"{type(exc).__name__}: {exc}"
        line = getattr(exc, "lineno", None)
        where = f"at line {line}: " if line and not own else ""
        answer(FAULT, f"{where}{text}"[:500].encode("utf-8", "replace"))
    os._exit(0)  # threads and exit handlers of libraries have nothing more to do


def rendered(job: Job, data: dict[str, Any]) -> bytes:
    """Return what the engine of ``job`` makes of the data."""
    engine: TemplateEngine = ENGINES.load(job.engine)()
    made: Any = engine.render(Path(job.template), data)
    if not isinstance(made, bytes | bytearray):
        raise ExportError(f"the engine returned {type(made).__name__}, not bytes")
    return bytes(made)


def read(source: IO[bytes]) -> dict[str, Any]:
    """Return the data that templates see, of the frames that the parent sends."""
    data: dict[str, Any] = {}
    records = list[Any]()
    while (frame := read_frame(source))[0] != RENDER:
        for text in frame[1].splitlines():
            record = msgspec.json.decode(text)
            if not data:
                data = {**record, "records": records, **{name: [] for name in _LISTS.values()}}
                continue
            records.append(record)
            if (kind := record["kind"]) in _LISTS:
                data[_LISTS[kind]].append(record)
    return data


def confine(job: Job) -> None:
    """Take network, other processes, memory, time and large files away from this process."""
    _follow_parent()
    _leave_network()
    for what, most in (
        (resource.RLIMIT_AS, job.memory),
        (resource.RLIMIT_CPU, job.cpu),
        (resource.RLIMIT_FSIZE, 1 << 26),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(what)[1]
        wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (wanted, wanted))
    sys.addaudithook(_audit)


def _follow_parent() -> None:
    # nobody else would end it after a kill -9 of the parent; Linux has it, others the limits
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL)


def _leave_network() -> None:
    # an empty network of its own; where the system does not allow it, the hook and the
    # engines' own bounds remain
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(_NEW_NETWORK) != 0:
            libc.unshare(_NEW_USER | _NEW_NETWORK)


def _audit(event: str, _: tuple[Any, ...]) -> None:
    if event in _FORBIDDEN:
        raise PermissionError(f"templates may not use {event}")


if __name__ == "__main__":
    main()
