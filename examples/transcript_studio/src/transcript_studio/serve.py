"""``studio serve``: the page, and worker processes beside it."""

import asyncio
import contextlib
import signal
from collections.abc import Generator
from pathlib import Path

import uvicorn

from .services import build
from .supervisor import Supervisor
from .web import create_app


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to us: uvicorn's way ends the process before the workers are stopped."""
        yield


async def run(folder: Path, port: int, workers: int) -> int:
    """Serve on loopback until SIGTERM or Ctrl-C and return the exit code."""
    workers_beside = Supervisor(folder, count=workers)
    config = uvicorn.Config(
        create_app(build(folder), workers_beside),
        host="127.0.0.1",
        port=port,
        log_level="warning",
        timeout_graceful_shutdown=2,
    )
    server = _Server(config)

    def stop() -> None:
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stop)
    async with workers_beside.running():
        print(f"The studio is at http://127.0.0.1:{port} (Ctrl-C ends it)")
        await server.serve()
    return 0
