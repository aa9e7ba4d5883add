"""MariaDB for tests, or a MySQL that the environment names."""

import asyncio
import importlib
import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from .directories import temporary_directory
from .processes import User, run, unprivileged_user
from .server import Recipe, Server, running
from .services import Address, Program, Service, Unavailable, reached

# Commits survive the death of the server, not that of the machine.
FAST = (
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-buffer-pool-size=32M",
    "--sync-binlog=0",
    "--skip-name-resolve",
    "--skip-log-bin",
)
MYSQL = Service(name="mysql", variable="MYSQL_URL", programs=("mariadbd",), wheels=())


@contextmanager
def run_mariadb(found: Address | Program, *options: str) -> Iterator[Server]:
    """Give a server for the duration of the block, starting it if it is a program."""
    if isinstance(found, Address):
        yield Server(found.url, reached(found, _version), found.source)
        return
    user = unprivileged_user()  # mariadbd refuses to run as root
    with temporary_directory("mariadb", owner=user) as directory:
        _install(directory, user)
        with running(_recipe(found.path, directory, user, options)) as daemon:
            url = f"mysql://root@127.0.0.1:{daemon.port}/mysql"
            yield Server(url, found.version, found.source, daemon)


def _recipe(program: Path, directory: Path, user: User | None, options: tuple[str, ...]) -> Recipe:
    def command(port: int) -> list[str | Path]:
        own = [f"--datadir={directory / 'data'}", f"--socket={directory / 's'}"]
        own += [f"--port={port}", "--bind-address=127.0.0.1", f"--pid-file={directory / 'pid'}"]
        own += [f"--tmpdir={directory}"]  # TMPDIR may belong to another user
        return [program, "--no-defaults", *own, *FAST, *options]

    return Recipe(
        directory=directory,
        command=command,
        ready=b"ready for connections",
        end_signal=signal.SIGKILL,
        stop_signal=signal.SIGTERM,
        user=user,
    )


def _install(directory: Path, user: User | None) -> None:
    script = shutil.which("mariadb-install-db")
    if script is None:
        raise Unavailable("mariadb-install-db is not on PATH; it comes with mariadbd")
    words = [f"--datadir={directory / 'data'}", f"--tmpdir={directory}"]
    words += ["--auth-root-authentication-method=normal"]
    run(
        [script, "--no-defaults", *words, "--skip-test-db"],
        directory=directory,
        log=directory / "install.log",
        user=user,
    )


@contextmanager
def fresh_mysql_database(server: Server) -> Iterator[str]:
    """Create a database for the duration of the block and give its URL."""
    name = f"test_{os.urandom(6).hex()}"
    execute_mysql(server.url, f"CREATE DATABASE {name}")
    try:
        yield urlsplit(server.url)._replace(path=f"/{name}").geturl()
    finally:
        execute_mysql(server.url, f"DROP DATABASE {name}")


def execute_mysql(url: str, statement: str) -> str:
    """Run one statement; return its first value as text.

    Raises:
        Unavailable: asyncmy is not installed.
    """
    try:
        asyncmy = importlib.import_module("asyncmy")
    except ImportError:
        raise Unavailable("a fresh database needs a client: pip install asyncmy") from None

    async def call() -> Any:
        parts = urlsplit(url)
        link = await asyncmy.connect(
            host=parts.hostname,
            port=parts.port or 3306,
            user=unquote(parts.username or "root"),
            password=unquote(parts.password or ""),
            db=parts.path.lstrip("/") or None,
            autocommit=True,
        )
        try:
            async with link.cursor() as cursor:
                await cursor.execute(statement)
                row = await cursor.fetchone() if cursor.description else None
                return row[0] if row else None
        finally:
            await link.ensure_closed()

    with ThreadPoolExecutor(1) as pool:  # an event loop may be running in this thread
        return str(pool.submit(asyncio.run, call()).result())


def _version(url: str) -> str:
    return execute_mysql(url, "SELECT VERSION()")
