"""What several test files need."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any


async def until(check: Callable[[], Any], *, timeout: float = 10.0) -> Any:
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
