"""``studio serve``: the page, and worker processes beside it."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Generator

import uvicorn

from .errors import CannotServe
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
    """Serve until SIGTERM or Ctrl-C and return the exit code.

    Raises:
        CannotServe: The port is taken, or ``host`` is no address of ours.
    """
    # first of all: who opened the page of another program would look for the studio in it
    with _listening(host, port) as listener:
        await _serve(profile, listener, host, workers)
    return 0


async def _serve(profile: Profile, listener: socket.socket, host: str, workers: int) -> None:
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
        name = f"[{host}]" if ":" in host else host
        port = listener.getsockname()[1]
        print(f"The studio is at http://{name}:{port} (Ctrl-C ends it)", flush=True)
        await server.serve(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as exc:
        # that of a name has numbers of its own
        named = isinstance(exc, socket.gaierror) or exc.errno is None
        why = exc.strerror if named else os.strerror(exc.errno)
        raise CannotServe(
            f"cannot listen on {host} port {port} ({why}): --port and --host name another"
        ) from exc
