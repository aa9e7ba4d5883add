"""The byte sink under every format, and what stops an export in the middle."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable

from .errors import ExportCancelled, ExportError, too_large

_BLOCK = 1 << 17


class Control:
    """The line between a rendering thread and whoever waits for it. Safe for threads."""

    def __init__(self, *, timeout: float | None = None, whole: "Control | None" = None) -> None:
        """Allow ``timeout`` seconds from now on; what ends the ``whole`` ends this part of it."""
        self.limit(timeout)
        self._whole = whole
        self.total: int | None = None
        self.records = 0
        self.size = 0
        self.warnings: Counter[str] = Counter()
        self._stopped = False
        self._error: ExportError | None = None

    def limit(self, timeout: float | None) -> None:
        """Allow ``timeout`` seconds from now on."""
        self.timeout = timeout
        self.deadline = None if timeout is None else time.monotonic() + timeout

    def stop(self, error: ExportError | None = None) -> None:
        """Make the thread end with ``error`` (``ExportCancelled``) at its next look."""
        if not self._stopped:
            self._error = error or ExportCancelled("the export was cancelled")
            self._stopped = True  # last: who sees it finds the error

    def restart(self) -> None:
        """Forget what was counted: the work begins once more, in the same time."""
        self.records = self.size = 0
        self.warnings.clear()

    @property
    def stopped(self) -> bool:
        """Whether the thread was told to end."""
        return self._stopped

    def check(self) -> None:
        """Raise what ends the export, if anything does.

        Raises:
            ExportCancelled: It was cancelled.
            ExportError: Its time is over (``timeout``), or the service closes (``interrupted``).
        """
        if self._whole is not None:
            self._whole.check()
        if self._stopped:
            raise self._error or ExportCancelled("the export was cancelled")
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise timed_out(self.timeout)

    def report(self, what: str) -> None:
        """Count something that had to be changed."""
        self.warnings[what] += 1

    def notes(self) -> list[str]:
        """Return what was reported, at most 50 lines, each with how often."""
        found = [f"{what} ({n} times)" if n > 1 else what for what, n in self.warnings.items()]
        return found if len(found) <= 50 else [*found[:49], f"{len(found) - 49} more kinds"]

    @property
    def progress(self) -> float:
        """0 to 99, by records where their number is known; 0 otherwise."""
        return min(99.0, 100.0 * self.records / self.total) if self.total else 0.0


def timed_out(seconds: float | None) -> ExportError:
    """Return the error of an export that took too long."""
    return ExportError(f"the export took longer than {seconds:g} seconds", reason="timeout")


class Sink:
    """Collects small writes into blocks; counts, hashes, limits and looks at the control."""

    def __init__(
        self, write: Callable[[bytes], object], control: Control, *, max_size: int | None = None
    ) -> None:
        """Pass blocks on to ``write``; allow ``max_size`` bytes in all."""
        self._write, self._control, self._limit = write, control, max_size
        self._held: list[bytes] = []
        self._room = _BLOCK
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes, /) -> int:
        """Take ``data``; see :class:`exporter.ports.ByteSink`."""
        length = len(data)
        self.size += length
        if self._limit is not None and self.size > self._limit:
            raise too_large(self._limit)
        self._held.append(data if type(data) is bytes else bytes(data))
        self._room -= length
        if self._room <= 0:
            self._pass_on()
        return length

    def flush(self) -> None:
        """Leave blocks as they are: only whole ones are passed on."""

    def finish(self) -> str:
        """Pass on the rest and return the SHA-256 of everything, in hexadecimal."""
        self._pass_on()
        return self._hash.hexdigest()

    def _pass_on(self) -> None:
        self._control.check()
        block = b"".join(self._held)
        self._held.clear()
        self._room = _BLOCK
        self._hash.update(block)
        self._write(block)
        self._control.size = self.size
