"""Temporary directories for servers: in memory if there is room, deleted even after a SIGKILL."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "pytest-server-"
MEMORY = Path(os.sep, "dev", "shm")  # a new database is 300 files: 30 ms there, 300 on a slow disk
ROOM = 2**30  # bytes; containers often have 64 MiB there


@contextmanager
def temporary_directory(
    name: str, *, owner: tuple[int, int] | None = None, on_disk: bool = False
) -> Iterator[Path]:
    """Give an empty directory for the duration of the block.

    Args:
        name: Part of its name.
        owner: The user and group that it is to belong to, who must be able to reach it.
        on_disk: Not in memory, where programs cannot always be executed.
    """
    parent = _parent(everybody=owner is not None, on_disk=on_disk)
    _sweep(parent)
    directory = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{name}-", dir=parent))
    lock = _lock(directory)
    try:
        if owner is not None:
            os.chown(directory, *owner)
        yield directory
    finally:
        os.close(lock)
        shutil.rmtree(directory, ignore_errors=True)


def is_reachable(path: Path) -> bool:
    """Tell whether every user may enter the folders that lead to ``path``."""
    return all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents)


def _parent(*, everybody: bool, on_disk: bool) -> Path:
    chosen = Path(tempfile.gettempdir())
    if not (on_disk or "TMPDIR" in os.environ) and _is_roomy(MEMORY):
        return MEMORY
    return Path(os.sep, "tmp") if everybody and not is_reachable(chosen / PREFIX) else chosen


def _is_roomy(folder: Path) -> bool:
    return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > ROOM


def _sweep(parent: Path) -> None:
    """Delete what killed processes left: the kernel has released their locks."""
    for directory in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):  # in use, another user's, or swept by another process
            if time.time() - directory.stat().st_mtime > 60:  # else perhaps not locked yet
                lock = _lock(directory)
                shutil.rmtree(directory, ignore_errors=True)
                os.close(lock)


def _lock(directory: Path) -> int:
    """Return an open file that locks ``directory`` until it is closed, by us or by our death."""
    import fcntl  # not everywhere where a server may still be named by its address

    lock = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock
