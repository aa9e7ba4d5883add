"""Files in a folder of this machine: whole or not there, and never outside the folder."""

import asyncio
import contextlib
import errno
import os
import secrets
import stat
from collections.abc import AsyncIterator, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ..._common.urls import query_of, redact
from ...errors import ConfigurationError, StorageError, UnsupportedOperationError
from ...filenames import check_key
from ...ports import Storage, StorageCapabilities, StoredFile, Writer

_PIECE = 1 << 20
_TEMP = ".unfinished"
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0)


class LocalStorage(Storage):
    """A folder (POSIX). Files are written beside their place, synced, then renamed into it.

    Every step below the folder goes by directory descriptors without following links, so that
    nobody who can plant a link there leads us out. Files have mode 0600, folders 0700.
    """

    capabilities = StorageCapabilities(durable=True, shared=True, paths=True)

    def __init__(self, root: str | os.PathLike[str]) -> None:
        """Use the folder ``root``; the first write makes it.

        Raises:
            UnsupportedOperationError: The system has no descriptors of directories.
        """
        if os.open not in os.supports_dir_fd:
            raise UnsupportedOperationError("local storage needs a POSIX system")
        self.root = Path(root)

    @classmethod
    def from_url(cls, url: str) -> "LocalStorage":
        """Return the storage of ``file:///absolute/folder`` or ``file:relative/folder``.

        Raises:
            ConfigurationError: The URL names a host, an option, or no folder.
        """
        query_of(url, allowed=frozenset())
        parts = urlsplit(url)
        if parts.netloc not in {"", "localhost"} or not parts.path:
            raise ConfigurationError(
                f"no folder in {redact(url)!r}; write file:///absolute or file:relative"
            )
        return cls(unquote(parts.path))

    # -- writing, in worker threads ------------------------------------------------------------

    def open_writer(self, key: str, content_type: str) -> Writer:
        parts = check_key(key)
        with _translated(key):
            root = self._open_root(create=True)
            try:
                return _LocalWriter(root, parts)
            except BaseException:
                os.close(root)
                raise

    def _open_root(self, *, create: bool = False) -> int:
        if create:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        # the folder itself may be a link: that is the administrator's choice
        return os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)

    # -- reading -------------------------------------------------------------------------------

    async def head(self, key: str) -> StoredFile | None:
        parts = check_key(key)
        return await asyncio.to_thread(self._head, key, parts)

    def _head(self, key: str, parts: Sequence[str]) -> StoredFile | None:
        try:
            descriptor = self._open_file(parts)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise _fault(key, exc) from exc
        try:
            return StoredFile(key, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)

    def _open_file(self, parts: Sequence[str]) -> int:
        root = self._open_root()
        try:
            with _folder(root, parts[:-1]) as folder:
                found = os.open(
                    parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder
                )
        finally:
            os.close(root)
        if not stat.S_ISREG(os.fstat(found).st_mode):
            os.close(found)
            raise OSError(errno.EINVAL, "not a file")
        return found

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        parts = check_key(key)
        with _translated(key):
            descriptor = await asyncio.to_thread(self._open_file, parts)
        try:
            at = start
            while end is None or at < end:
                size = _PIECE if end is None else min(_PIECE, end - at)
                with _translated(key):
                    data = await asyncio.to_thread(os.pread, descriptor, size, at)
                if not data:
                    return
                yield data
                at += len(data)
        finally:
            os.close(descriptor)

    async def delete(self, key: str) -> bool:
        parts = check_key(key)
        with _translated(key):
            return await asyncio.to_thread(self._delete, parts)

    def _delete(self, parts: Sequence[str]) -> bool:
        try:
            root = self._open_root()
        except FileNotFoundError:
            return False
        try:
            with _folder(root, parts[:-1]) as folder:
                os.unlink(parts[-1], dir_fd=folder)
            for depth in range(len(parts) - 1, 0, -1):
                with _folder(root, parts[: depth - 1]) as folder, contextlib.suppress(OSError):
                    os.rmdir(parts[depth - 1], dir_fd=folder)
        except FileNotFoundError:
            return False
        finally:
            os.close(root)
        return True

    async def list_keys(self, prefix: str = "") -> AsyncIterator[StoredFile]:
        begin = self.root.joinpath(*prefix.split("/")[:-1])  # nothing outside it has the prefix
        for found in await asyncio.to_thread(lambda: sorted(self._walk(begin), key=_by_key)):
            if found.key.startswith(prefix):
                yield found

    def _walk(self, begin: Path) -> Iterator[StoredFile]:
        if ".." in begin.parts or not begin.resolve().is_relative_to(self.root.resolve()):
            return  # a link leads out of it
        for folder, names, files in os.walk(begin):
            names[:] = [name for name in names if not name.startswith(".")]
            for name in files:
                path = Path(folder, name)
                with contextlib.suppress(OSError):
                    size = path.lstat()
                    if stat.S_ISREG(size.st_mode) and not name.startswith("."):
                        yield StoredFile(path.relative_to(self.root).as_posix(), size.st_size)

    async def sweep(self) -> int:
        with _translated(_TEMP):
            return await asyncio.to_thread(self._sweep)

    def _sweep(self) -> int:
        import fcntl

        try:
            root = self._open_root()
        except FileNotFoundError:
            return 0
        count = 0
        try:
            with _folder(root, (_TEMP,)) as folder:
                for name in os.listdir(folder):  # noqa: PTH208  by descriptor, not by path
                    with contextlib.suppress(OSError):
                        found = os.open(name, os.O_RDWR | os.O_NOFOLLOW, dir_fd=folder)
                        try:
                            # a living writer holds the lock; a dead one's is gone with it
                            fcntl.flock(found, fcntl.LOCK_EX | fcntl.LOCK_NB)
                            os.unlink(name, dir_fd=folder)
                            count += 1
                        finally:
                            os.close(found)
        except FileNotFoundError:
            return count
        finally:
            os.close(root)
        return count

    def local_path(self, key: str) -> str | None:
        return str(self.root.absolute().joinpath(*check_key(key)))


def _by_key(file: StoredFile) -> str:
    return file.key


class _LocalWriter(Writer):
    """A file beside its place, under a lock that tells sweepers that we live."""

    def __init__(self, root: int, parts: Sequence[str]) -> None:
        self._root, self._parts = root, parts
        self._name = f"{secrets.token_hex(16)}.part"
        self._temp = -1
        self._file: Any = None
        try:
            self._temp = _make_folder(root, _TEMP)
            self._file = os.fdopen(self._create(), "wb", buffering=0)
        except BaseException:
            if self._temp >= 0:
                os.close(self._temp)
            raise

    def _create(self) -> int:
        import fcntl

        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        while True:
            made = os.open(self._name, flags, 0o600, dir_fd=self._temp)
            try:
                fcntl.flock(made, fcntl.LOCK_EX)
                # a sweeper may have come between the two lines
                if os.fstat(made).st_nlink:
                    return made
            except BaseException:
                os.close(made)
                raise
            os.close(made)

    def write(self, data: bytes) -> None:
        with _translated("/".join(self._parts)):
            if self._file is None:
                raise StorageError("the writer is closed")
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]

    def commit(self) -> None:
        if self._file is None:
            raise StorageError("the writer is closed")
        *folders, name = self._parts
        with _translated("/".join(self._parts)):
            os.fsync(self._file.fileno())
            chain = [os.dup(self._root)]
            try:
                for part in folders:
                    chain.append(_make_folder(chain[-1], part))
                os.rename(self._name, name, src_dir_fd=self._temp, dst_dir_fd=chain[-1])
                # the names of the file and of new folders must survive a loss of power too
                for folder in reversed(chain):
                    os.fsync(folder)
            finally:
                for folder in chain:
                    os.close(folder)
        self._close()

    def abort(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._name, dir_fd=self._temp)
            self._close()

    def _close(self) -> None:
        file, self._file = self._file, None
        with contextlib.suppress(OSError):
            file.close()
        for descriptor in (self._temp, self._root):
            os.close(descriptor)


def _make_folder(parent: int, name: str) -> int:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o700, dir_fd=parent)
    return os.open(name, _FOLDER, dir_fd=parent)


@contextlib.contextmanager
def _folder(root: int, parts: Sequence[str]) -> Generator[int, None, None]:
    current = os.dup(root)
    try:
        for part in parts:
            below = os.open(part, _FOLDER, dir_fd=current)
            os.close(current)
            current = below
        yield current
    finally:
        os.close(current)


@contextlib.contextmanager
def _translated(key: str) -> Generator[None, None, None]:
    try:
        yield
    except OSError as exc:
        raise _fault(key, exc) from exc


def _fault(key: str, exc: OSError) -> StorageError:
    if exc.errno in {errno.ELOOP, errno.ENOTDIR}:
        return StorageError(f"{key!r} leads over a link, which is not followed")
    if isinstance(exc, FileNotFoundError):
        return StorageError(f"no file {key!r}")
    retryable = exc.errno in {errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.EINTR}
    return StorageError(f"{key!r}: {exc.strerror or type(exc).__name__}", retryable=retryable)
