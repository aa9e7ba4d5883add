"""Storages: files by key."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Self

from ..errors import UnsupportedOperationError


@dataclass(frozen=True, slots=True)
class StorageCapabilities:
    """What a storage can do beyond the port.

    Attributes:
        durable: Files survive the end of every process.
        shared: Other processes see the files.
        paths: Files have a path on this machine.
        signed: Whoever has a URL that :meth:`Storage.sign` made can read the file from the storage.
    """

    durable: bool = False
    shared: bool = False
    paths: bool = False
    signed: bool = False


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file of a storage: its key and size in bytes."""

    key: str
    size: int


class Writer(ABC):
    """A file being written, by one thread. Nothing is visible before ``commit``.

    As a context manager it aborts unless ``commit`` was called.
    """

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Append ``data``.

        Raises:
            StorageError: The storage is full or gone.
        """

    @abstractmethod
    def commit(self) -> None:
        """Make the file durable, then visible under its key, whole.

        Raises:
            StorageError: It could not; nothing is visible.
        """

    @abstractmethod
    def abort(self) -> None:
        """Drop what was written. Idempotent; never raises; a no-op after ``commit``."""

    def __enter__(self) -> Self:
        """Return the writer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Abort unless committed."""
        self.abort()


class Storage(ABC):
    """Keeps files by key.

    Keys are ``folder/name``: relative, made by the service, of parts that
    ``exporter.filenames.check_key`` accepts. Constructors do no I/O. Methods are safe for
    concurrent use within one event loop, ``open_writer`` for several threads.
    """

    capabilities: ClassVar[StorageCapabilities] = StorageCapabilities()

    @abstractmethod
    def open_writer(self, key: str, content_type: str) -> Writer:
        """Begin a file; called in a worker thread, may block.

        Raises:
            StorageError: It cannot be begun, or the key leads out of the storage.
        """

    @abstractmethod
    async def head(self, key: str) -> StoredFile | None:
        """Return the file of ``key``, or None."""

    @abstractmethod
    def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yield the bytes from ``start`` to before ``end`` in pieces of at most 1 MiB.

        A file that is deleted meanwhile is read to its end.

        Raises:
            StorageError: There is no such file, or it cannot be read.
        """

    @abstractmethod
    async def delete(self, key: str) -> bool:
        """Delete a file; return whether there was one."""

    @abstractmethod
    def list_keys(self, prefix: str = "") -> AsyncIterator[StoredFile]:
        """Yield the visible files whose key begins with ``prefix``, in the order of keys."""

    async def sweep(self) -> int:
        """Remove what writers of dead processes left behind; return how many pieces."""
        return 0

    def local_path(self, key: str) -> str | None:  # noqa: ARG002  overrides need it
        """Return the absolute path of ``key``, where files have one."""
        return None

    async def sign(self, key: str, ttl: float) -> str:  # noqa: ARG002  overrides need them
        """Return a URL of the storage's own, where anybody can read ``key`` for ``ttl`` seconds.

        Whether there is such a file is not looked at.

        Raises:
            UnsupportedOperationError: ``capabilities.signed`` is not set.
            ConfigurationError: What the URL is signed with is missing.
        """
        raise UnsupportedOperationError(
            f"{type(self).__name__} has no links of its own; see ExportService.link()"
        )

    async def aclose(self) -> None:
        """Disconnect; a later call connects again."""

    def detach(self) -> None:
        """Forget, without I/O, what is bound to another event loop or process."""
