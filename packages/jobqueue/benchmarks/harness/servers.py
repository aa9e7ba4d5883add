"""The servers under test, started by what the tests start theirs with, on disk and with fsync."""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from .contenders import Backend

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from _common.postgres_server import POSTGRES, fresh_database, run_postgres
from _common.redis_server import REDIS, clear, run_redis
from _common.server import Server
from _common.services import Service, locate_program

DATABASES: Final = 64
_POSTGRES: Final = ("fsync=on", "full_page_writes=on", "shared_buffers=256MB", "max_wal_size=4GB")


class Servers:
    """The servers of one run of the benchmarks."""

    def __init__(self, running: dict[str, Server]) -> None:
        """Serve with what runs."""
        self._running = running
        self._next = 0

    @contextlib.contextmanager
    def place(self, backend: Backend) -> Iterator[str]:
        """Give the URL of an empty place for jobs; with Redis nothing else may be using it."""
        if backend == "memory":
            yield "memory://"
        elif backend == "sqlite":
            with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                yield f"sqlite:///{folder}/jobs.db"
        elif backend == "redis":
            clear(self._running["redis"], "")
            yield self._running["redis"].url
        else:
            with fresh_database(self._running["postgres"]) as url:
                yield url

    @contextlib.contextmanager
    def shared_place(self, backend: Backend) -> Iterator[str]:
        """Give the URL of an empty place while others are in use."""
        if backend != "redis":
            with self.place(backend) as url:
                yield url
            return
        self._next += 1
        yield f"{self._running['redis'].url.rpartition('/')[0]}/{self._next % DATABASES}"

    @property
    def versions(self) -> dict[str, str]:
        """What runs."""
        return {name: server.version for name, server in self._running.items()}

    def resident(self, backend: str) -> int | None:
        """Return the pid of a server."""
        server = self._running.get(backend)
        return server.pid if server else None


@contextlib.contextmanager
def serving(backends: Iterable[str]) -> Iterator[Servers]:
    """Start what these backends need; it ends with the block, or with us.

    Raises:
        Unavailable: There is no program to start.
    """
    # the tests' servers live in memory, where fsync costs nothing
    os.environ.setdefault("TMPDIR", tempfile.gettempdir())
    with contextlib.ExitStack() as stack:
        running: dict[str, Server] = {}
        if "redis" in backends:
            options = ("--databases", str(DATABASES))
            found = locate_program(_modern_redis())
            running["redis"] = stack.enter_context(run_redis(found, *options))
        if "postgres" in backends:
            found = locate_program(POSTGRES)
            running["postgres"] = stack.enter_context(run_postgres(found, *_POSTGRES))
        yield Servers(running)


def _modern_redis() -> Service:
    """Return where to look for Redis: peers need functions, which the wheel's 6.2 has not."""
    folders = [Path(folder) for folder in os.get_exec_path()]
    programs = [folder / name for name in REDIS.programs for folder in folders]
    names = tuple(str(path) for path in programs if path.is_file())
    return replace(REDIS, programs=names, suits=_has_functions)


def _has_functions(program: Path) -> bool:
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"v=(\d+)\.", done.stdout)
    return found is not None and int(found[1]) >= 7
