"""What several test files need."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from progress_tracker import ProgressTracker, Settings
from progress_tracker.adapters.memory import MemoryStore
from progress_tracker.testing import ChaosStore


async def until(check: Callable[[], Any], *, timeout: float = 60.0) -> Any:
    """Return what ``check`` gives as soon as it is true; it may be a coroutine function."""
    deadline = time.monotonic() + timeout
    while True:
        found = check()
        found = await found if isinstance(found, Awaitable) else found
        if found:
            return found
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.005)


def script(path: Path, code: str) -> Path:
    """Write a program to run in another process."""
    path.write_text(code)
    return path


def start(path: Path, *args: str) -> "subprocess.Popen[str]":
    """Start a program; its output is read by us."""
    return subprocess.Popen(
        [sys.executable, str(path), *args], stdout=subprocess.PIPE, text=True, bufsize=1
    )


async def is_now(tracker: ProgressTracker, id: str, **expected: Any) -> bool:
    """Whether the operation's fields have the ``expected`` values."""
    found = await tracker.get(id)
    return all(getattr(found, name) == value for name, value in expected.items())


def chaotic(**settings: Any) -> tuple[ProgressTracker, ChaosStore]:
    """Return a tracker with little patience, and its store that fails when it is told to."""
    store = ChaosStore(MemoryStore())
    chosen = {"min_interval": 0.02, "retry_budget": 0.1, "lease": 1.0, **settings}
    return ProgressTracker(Settings.from_mapping(chosen), store=store), store
