"""Files in the memory of one process: for tests and short-lived programs."""

import threading
from collections.abc import AsyncIterator

from ...errors import StorageError
from ...filenames import check_key
from ...ports import Storage, StorageCapabilities, StoredFile, Writer

_PIECE = 1 << 20


class MemoryStorage(Storage):
    """Keeps files as bytes in a dict, with an optional limit on all of them together."""

    capabilities = StorageCapabilities()

    def __init__(self, *, max_bytes: int = 1 << 30) -> None:
        """Start empty.

        Args:
            max_bytes: What all files may take together; more is refused as by a full disk.
        """
        self._files: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self.max_bytes = max_bytes

    def open_writer(self, key: str, content_type: str) -> Writer:
        check_key(key)
        return _MemoryWriter(self, key)

    def _put(self, key: str, data: bytes) -> None:
        with self._lock:
            others = sum(len(each) for name, each in self._files.items() if name != key)
            if others + len(data) > self.max_bytes:
                raise StorageError(f"the memory storage is full ({self.max_bytes} bytes)")
            self._files[key] = data

    async def head(self, key: str) -> StoredFile | None:
        check_key(key)
        data = self._files.get(key)
        return None if data is None else StoredFile(key, len(data))

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        check_key(key)
        data = self._files.get(key)
        if data is None:
            raise StorageError(f"no file {key!r}")
        stop = len(data) if end is None else min(end, len(data))
        for at in range(start, stop, _PIECE):
            yield data[at : min(at + _PIECE, stop)]

    async def delete(self, key: str) -> bool:
        check_key(key)
        with self._lock:
            return self._files.pop(key, None) is not None

    async def list_keys(self, prefix: str = "") -> AsyncIterator[StoredFile]:
        for key, data in sorted(self._files.items()):
            if key.startswith(prefix):
                yield StoredFile(key, len(data))


class _MemoryWriter(Writer):
    def __init__(self, storage: MemoryStorage, key: str) -> None:
        self._storage, self._key = storage, key
        self._held: bytearray | None = bytearray()

    def write(self, data: bytes) -> None:
        if self._held is None:
            raise StorageError("the writer is closed")
        self._held += data
        if len(self._held) > self._storage.max_bytes:
            raise StorageError(f"the memory storage is full ({self._storage.max_bytes} bytes)")

    def commit(self) -> None:
        if self._held is None:
            raise StorageError("the writer is closed")
        self._storage._put(self._key, bytes(self._held))  # noqa: SLF001  its own writer
        self._held = None

    def abort(self) -> None:
        self._held = None
