"""Files that are being made and wait to be whole: in memory while small, then on the disk."""

import os
from collections.abc import Iterator
from typing import Any

from ..sink import Control

_SMALL, _PIECE = 1 << 18, 1 << 17


class Blob:
    """The bytes of a whole file: in memory, or a part of a file without a name.

    ``data`` is None for what is on the disk, where a small one may go when others follow it.
    """

    __slots__ = ("_drafts", "_start", "data", "size")

    def __init__(self, drafts: "Drafts", data: bytes | None, start: int, size: int) -> None:
        """Refer to ``data``, or to ``size`` bytes of the file of ``drafts`` from ``start`` on."""
        self._drafts, self.data, self._start, self.size = drafts, data, start, size

    def settle(self, start: int) -> None:
        """Refer to the file of the drafts from ``start`` on."""
        self.data, self._start = None, start

    def blocks(self) -> Iterator[bytes]:
        """Yield the bytes; from any thread."""
        if self.data is not None:
            yield self.data
            return
        at, end = self._start, self._start + self.size
        while at < end and (block := self._drafts.read(at, min(_PIECE, end - at))):
            yield block
            at += len(block)


class Drafts:
    """Takes files one after the other; what one needs of the disk is in a file without a name."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._file: Any = None
        self._end = self._ahead = 0
        self._small: list[Blob] = []
        self._held: list[bytes] = []
        self._size = self._written = 0
        self._control = Control()

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def size(self) -> int:
        """Bytes of the files that are kept."""
        return self._end + self._ahead

    def begin(self, control: Control) -> None:
        """Begin the next file, in place of one that did not become whole."""
        self._held.clear()
        self._size = self._written = 0
        self._control = control

    def write(self, data: bytes) -> None:
        """Add to the file that was begun.

        Raises:
            ExportError: The control says that it is over.
        """
        self._control.check()
        self._held.append(data)
        self._size += len(data)
        if self._size - self._written > _SMALL:
            self._spill()

    def finish(self) -> Blob:
        """Return the file that is whole: a small one in memory."""
        if not self._written:
            data = b"".join(self._held)
            self._held.clear()
            return Blob(self, data, 0, len(data))
        self._spill()
        self._end += self._size
        return Blob(self, None, self._end - self._size, self._size)

    def store(self, blob: Blob) -> None:
        """Keep a file that was just finished; small ones go to the disk some at a time."""
        if blob.data is None:
            return
        if self._ahead + blob.size > _SMALL:
            self._put_small()
        self._small.append(blob)
        self._ahead += blob.size

    def _put_small(self) -> None:
        held, self._small, self._ahead = self._small, [], 0
        self._put(b"".join([blob.data or b"" for blob in held]), self._end)
        for blob in held:
            blob.settle(self._end)
            self._end += blob.size

    def clear(self) -> None:
        """Forget all files."""
        if self._file is not None:
            os.ftruncate(self._file.fileno(), 0)
        self._small.clear()
        self._end = self._ahead = 0

    def read(self, start: int, size: int) -> bytes:
        """Return bytes of the disk."""
        return os.pread(self._file.fileno(), size, start)

    def _spill(self) -> None:
        self._put(b"".join(self._held), self._end + self._written)
        self._written = self._size
        self._held.clear()

    def _put(self, data: bytes, at: int) -> None:
        if self._file is None:
            import tempfile  # here: it costs every importer of the package two milliseconds

            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  closed with this object
        view = memoryview(data)
        while view:
            done = os.pwrite(self._file.fileno(), view, at)
            at += done
            view = view[done:]
