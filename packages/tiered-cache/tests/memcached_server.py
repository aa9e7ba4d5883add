"""A real memcached for tests."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from _common.directories import temporary_directory
from _common.server import Recipe, Server, running
from _common.services import Address, Service, demanded, locate, locate_program

MEMCACHED = Service("memcached", "MEMCACHED_URL", ("memcached",), ())


@contextmanager
def run_memcached(*options: str) -> Iterator[Server]:
    """Give a memcached of our own."""
    found = locate_program(MEMCACHED)
    with temporary_directory("memcached") as directory:
        recipe = Recipe(
            directory=directory,
            command=lambda port: [
                found.path, "-vv", "-p", str(port), "-l", "127.0.0.1", "-U", "0",
                "-u", "nobody", *options,
            ],
            ready=b"server listening",
            end_signal=signal.SIGKILL,
            stop_signal=signal.SIGTERM,
        )  # fmt: skip
        with running(recipe) as daemon:
            url = f"memcached://127.0.0.1:{daemon.port}"
            yield Server(url, found.version, found.source, daemon)


@pytest.fixture(scope="session")
def memcached_server() -> Iterator[Server]:
    """Give a memcached for the whole session."""
    with demanded(MEMCACHED):
        where = locate(MEMCACHED)
        if isinstance(where, Address):
            yield Server(where.url, where.version, where.source)
            return
        with run_memcached() as server:
            yield server


@pytest.fixture
def memcached_url(memcached_server: Server) -> str:
    """Return the URL of a memcached that is shared: use a prefix."""
    return memcached_server.url
