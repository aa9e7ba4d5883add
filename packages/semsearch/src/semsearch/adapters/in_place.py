"""Files beside an index that are there whole or not at all, whatever becomes of who writes them."""

import contextlib
import glob
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

_ABANDONED = 3600.0
"""Seconds after which what a killed process left behind is removed."""


def put_in_place(path: Path, parts: Iterable[Any]) -> None:
    """Write a file beside ``path``, then let it take that place.

    Who may read the index that it belongs to, the name before the last hyphen, may read it.

    Raises:
        OSError: It cannot be written; what was there stays.
    """
    beside = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open(beside, "wb", opener=_private) as file:
            file.writelines(parts)
        index = path.with_name(path.name.rpartition("-")[0] or path.name)
        if index.exists():
            beside.chmod(index.stat().st_mode & 0o666)
        beside.replace(path)
        _tidy(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


def _private(name: str, flags: int) -> int:
    return os.open(name, flags, 0o600)


def _tidy(path: Path) -> None:
    now = path.stat().st_mtime  # by the clock of the disk
    for each in path.parent.glob(f"{glob.escape(path.name)}.*.part"):
        with contextlib.suppress(OSError):
            if now - each.stat().st_mtime > _ABANDONED:
                each.unlink()
