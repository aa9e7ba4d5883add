"""``jobqueue worker --reload``: a worker process that is replaced when the code changes."""

import argparse
import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

from .._common.extras import require

_GRACE = 10.0
_PATIENCE = 60.0


async def supervise(arguments: argparse.Namespace) -> int:
    """Run the worker in a process, and another one after each change, until SIGTERM or Ctrl-C.

    Raises:
        MissingExtraError: watchfiles is not installed.
    """
    watchfiles: Any = require("watchfiles", dist="jobqueue", extra="reload")
    child = _Child(_command(arguments), _patience(arguments))
    stopping = _stopping(child)
    changes = _changes(
        watchfiles.awatch(Path.cwd(), watch_filter=watchfiles.PythonFilter(), stop_event=stopping)
    )
    # watching begins with the question: what is saved while the worker starts, it may have read
    asked = asyncio.ensure_future(anext(changes, None))
    await asyncio.sleep(0)
    try:
        await child.start()
        while (paths := await asked) is not None:
            _say(f"{', '.join(paths[:3])} changed: the worker starts anew")
            asked = asyncio.ensure_future(anext(changes, None))
            await child.stop()
            if stopping.is_set():
                break
            await child.start()
    finally:
        asked.cancel()
        await asyncio.wait([asked])
        await child.stop()
    return 0


def _stopping(child: "_Child") -> asyncio.Event:
    """Return what the first SIGTERM or SIGINT sets; the second one ends the worker hard."""
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()

    def interrupted() -> None:
        if stopping.is_set():
            child.kill()
        stopping.set()

    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, interrupted)
    return stopping


async def _changes(watched: AsyncGenerator[Any, None]) -> AsyncGenerator[list[str], None]:
    async with contextlib.aclosing(watched):
        async for found in watched:
            here = Path.cwd()
            paths = sorted({Path(path) for _, path in found})
            yield [str(p.relative_to(here) if p.is_relative_to(here) else p) for p in paths]


def _command(arguments: argparse.Namespace) -> list[str]:
    command = [sys.executable, "-m", "jobqueue", "--log-level", arguments.log_level]
    command += ["worker", arguments.target]
    if arguments.queues is not None:
        pairs = (f"{name}={count}" for name, count in arguments.queues.items())
        command += ["--queues", ",".join(pairs)]
    if arguments.shutdown_timeout is not None:
        command += ["--shutdown-timeout", f"{arguments.shutdown_timeout:f}"]
    return command


def _patience(arguments: argparse.Namespace) -> float:
    given: float | None = arguments.shutdown_timeout
    return _PATIENCE if given is None else given + _GRACE


def _say(text: str) -> None:
    print(f"jobqueue: {text}", file=sys.stderr, flush=True)


class _Child:
    """The worker's process. It ends when we do, however that comes about."""

    def __init__(self, command: Sequence[str], patience: float) -> None:
        self._command, self._patience = command, patience
        self._process: asyncio.subprocess.Process | None = None
        self._watching: asyncio.Task[None] | None = None
        self._leash = -1

    async def start(self) -> None:
        """Start it."""
        theirs, self._leash = os.pipe()  # closed with us: that tells the worker that we are gone
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, "--leash", str(theirs), pass_fds=(theirs,)
            )
        finally:
            os.close(theirs)
        self._watching = asyncio.create_task(self._watch(self._process), name="reload-watch")

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        _say(f"the worker ended with exit code {code}; it starts anew when a file changes")

    async def stop(self) -> None:
        """Let it finish or give back its jobs; kill it if it does not end in time."""
        process = self._process
        if process is None:
            return
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(self._patience):
                    await process.wait()
            except TimeoutError:
                _say(f"the worker did not end within {self._patience:g} s and is killed")
                process.kill()
                await process.wait()
        self._process = None
        os.close(self._leash)

    def kill(self) -> None:
        """End it hard; the leases of its jobs run out."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
