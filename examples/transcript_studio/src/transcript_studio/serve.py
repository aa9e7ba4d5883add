"""``studio serve``: the page, and worker processes beside it."""

import asyncio
import contextlib
import signal
from collections.abc import Generator

import uvicorn

from .profile import Profile
from .services import build
from .supervisor import Supervisor
from .web import create_app


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to us: uvicorn's way ends the process before the workers are stopped."""
        yield


async def setup(profile: Profile) -> int:
    """Make the tables and return the exit code."""
    services = build(profile)
    try:
        await services.setup()
    finally:
        await services.aclose()
    return 0


async def run(profile: Profile, host: str, port: int, workers: int) -> int:
    """Serve until SIGTERM or Ctrl-C and return the exit code."""
    services = build(profile)
    try:
        await services.setup()
        await asyncio.to_thread(services.library.sweep)
    except BaseException:
        await services.aclose()
        raise
    workers_beside = Supervisor(profile, count=workers)
    config = uvicorn.Config(
        create_app(services, workers_beside),
        host=host,
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
        print(f"The studio is at http://{host}:{port} (Ctrl-C ends it)", flush=True)
        await server.serve()
    return 0
