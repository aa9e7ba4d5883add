"""A worker process of the pool: renders one document after the other until its parent is gone."""

import contextlib
import os
import pickle
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from ..children import pipes, read_frame, write_frame
from ..documents import Record
from ..engine import Produced, produce
from ..errors import ExportError
from ..recipes import describe
from ..sink import Control
from .processes import ANSWER, BLOCK, ORDER, RECORDS


def main() -> None:
    """Serve the pipes of this process."""
    source, out = pipes()
    try:
        while True:
            serve(source, out)
    except (EOFError, BrokenPipeError):
        os._exit(0)  # the parent has ended, whatever a library still waits for


def serve(source: IO[bytes], out: IO[bytes]) -> None:
    """Render one document: an order, its records, the end; answer with blocks and the figures."""
    kind, body = read_frame(source)
    assert kind == ORDER
    control = Control()
    made: Produced | None = None
    error: BaseException | None = None
    records = _records(source)
    try:
        order, document = pickle.loads(body)  # noqa: S301  our own parent wrote it
        made = produce(
            order, document, records, lambda block: write_frame(out, BLOCK, block), control,
            resolve=_resolved,
        )  # fmt: skip
    except (EOFError, BrokenPipeError):
        raise
    except Exception as exc:  # noqa: BLE001  the parent raises it
        error = exc
    _answer(out, made, error, control)
    for _ in records:
        pass  # what the parent had sent before it knew


def _records(source: IO[bytes]) -> Iterator[Record]:
    while True:
        kind, body = read_frame(source)
        if kind != RECORDS:
            return
        yield from pickle.loads(body)  # noqa: S301  our own parent wrote it


def _resolved(value: Any) -> Any:
    return value


def _answer(
    out: IO[bytes], made: Produced | None, error: BaseException | None, control: Control
) -> None:
    size = memory()
    try:
        body = pickle.dumps((made, error, control.warnings, size))
        pickle.loads(body)  # noqa: S301  not every exception comes back whole
    except Exception:  # noqa: BLE001  an exception of a user's format may hold anything
        assert error is not None
        told = ExportError(describe(error), reason="failed")
        body = pickle.dumps((None, told, control.warnings, size))
    write_frame(out, ANSWER, body)


def memory() -> int:
    """Return the most memory that this process has had, in bytes."""
    with contextlib.suppress(OSError), Path("/proc/self/status").open() as status:
        for row in status:
            if row.startswith("VmHWM:"):
                return int(row.split()[1]) * 1024
    # elsewhere than on Linux, where this would begin with what the parent has
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


if __name__ == "__main__":
    main()
