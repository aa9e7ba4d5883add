"""A file that replaces another only when it is whole."""

import contextlib
import os
import secrets
from pathlib import Path
from types import TracebackType
from typing import Self

from .errors import StorageError


class WholeFile:
    """Writes beside ``path``, then renames over it; leaves nothing behind on failure."""

    def __init__(self, path: Path) -> None:
        """Begin; the folder must be there.

        Raises:
            StorageError: The file cannot be made.
        """
        self._path = path
        self._temp = path.with_name(f".{secrets.token_hex(8)}.part")
        try:
            self._file = self._temp.open("xb")
        except OSError as exc:
            raise self._fault(exc) from exc

    def write(self, data: bytes) -> None:
        """Append ``data``.

        Raises:
            StorageError: The disk is full or gone.
        """
        try:
            self._file.write(data)
        except OSError as exc:
            raise self._fault(exc) from exc

    def commit(self) -> None:
        """Put the file in its place.

        Raises:
            StorageError: The disk is full or gone.
        """
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._temp.replace(self._path)
        except OSError as exc:
            raise self._fault(exc) from exc

    def _fault(self, exc: OSError) -> StorageError:
        folder, why = str(self._path.parent), exc.strerror or str(exc)
        if isinstance(exc, FileNotFoundError):
            why = f"there is no folder {folder!r}"
        elif isinstance(exc, PermissionError):
            why = f"the folder {folder!r} is not writable"
        elif isinstance(exc, IsADirectoryError):
            why = "it is a folder"
        return StorageError(f"cannot write {str(self._path)!r}: {why}")

    def __enter__(self) -> Self:
        """Return the file itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove what was not committed."""
        with contextlib.suppress(OSError):
            self._file.close()
        with contextlib.suppress(OSError):
            self._temp.unlink()
