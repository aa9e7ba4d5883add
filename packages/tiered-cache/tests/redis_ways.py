"""Redis by other ways than plain TCP: TLS with a certificate of our own, and a Unix socket.

A Sentinel and its servers speak TLS, too: both, or the servers alone.
"""

import contextlib
import dataclasses
import functools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from _common.directories import temporary_directory
from _common.redis_server import REDIS
from _common.server import Daemon, Recipe, running
from _common.services import Unavailable, demanded, locate_program
from redis_groups import recipe, run_cluster, run_sentinel


def tls_program() -> Path:
    """Return a server that was built with TLS: the first one of PATH may come out of a wheel.

    Raises:
        Unavailable: There is none.
    """
    folders = map(Path, os.environ.get("PATH", os.defpath).split(os.pathsep))
    for path in (folder / name for folder in folders for name in REDIS.programs):
        # the names of options that a program knows stand in it
        if path.is_file() and b"tls-cert-file" in path.read_bytes():
            return path
    raise Unavailable("no redis-server on PATH that was built with TLS")


def by_tls(plain: Recipe, folder: Path) -> Recipe:
    """Let a server speak nothing but TLS, with the certificate in ``folder``."""

    def command(port: int) -> list[str | Path]:
        return [*trusting(plain, folder).command(0), "--tls-port", str(port)]

    return dataclasses.replace(plain, command=command)


def trusting(plain: Recipe, folder: Path) -> Recipe:
    """Let a server call others by TLS, while it is spoken to in plain words."""

    def command(port: int) -> list[str | Path]:
        return [
            *plain.command(port), "--tls-auth-clients", "no",
            "--tls-replication", "yes", "--tls-cluster", "yes",
            "--tls-cert-file", folder / "cert.pem", "--tls-key-file", folder / "key.pem",
            "--tls-ca-cert-file", folder / "ca.pem",
        ]  # fmt: skip

    return dataclasses.replace(plain, command=command)


def asking(plain: Recipe, word: str) -> Recipe:
    """Let a server ask for a password."""

    def command(port: int) -> list[str | Path]:
        return [*plain.command(port), "--requirepass", word]

    return dataclasses.replace(plain, command=command)


def certify(folder: Path) -> None:
    """Put into a folder a certificate for this machine, its key, and who signed it."""
    authority = trustme.CA()
    own = authority.issue_cert("127.0.0.1", "localhost")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    own.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    own.private_key_pem.write_to_path(str(folder / "key.pem"))


@pytest.fixture(scope="session")
def tls_server() -> Iterator[tuple[str, Path]]:
    """Give the URL of a server behind TLS, and the file of the authority to trust."""
    with demanded(REDIS), temporary_directory("tls") as folder:
        certify(folder)
        with running(by_tls(recipe(tls_program(), folder), folder)) as daemon:
            yield f"rediss://127.0.0.1:{daemon.port}/0", folder / "ca.pem"


@pytest.fixture
def tls_url(tls_server: tuple[str, Path]) -> str:
    """Give the URL of a server behind TLS that says whom to trust."""
    url, authority = tls_server
    return f"{url}?ssl_ca_certs={authority}"


Group = tuple[Daemon, Daemon, Daemon]


@contextlib.contextmanager
def run_tls_sentinel(folder: Path) -> Iterator[Group]:
    """Give a group of which everybody speaks TLS, by the authority in ``folder``."""
    over = functools.partial(by_tls, folder=folder)
    link = {"ssl": True, "ssl_ca_certs": str(folder / "ca.pem")}
    with run_sentinel(tls_program(), over, over, **link) as group:
        yield group


@pytest.fixture(scope="session")
def tls_sentinel() -> Iterator[tuple[str, Path]]:
    """Give the URL of a Sentinel and its servers behind TLS, and the authority to trust."""
    with demanded(REDIS), temporary_directory("tls") as folder:
        certify(folder)
        with run_tls_sentinel(folder) as group:
            yield f"rediss+sentinel://127.0.0.1:{group[2].port}/chief/0", folder / "ca.pem"


@pytest.fixture
def tls_sentinel_url(tls_sentinel: tuple[str, Path]) -> str:
    """Give a URL of TLS from end to end."""
    url, authority = tls_sentinel
    return f"{url}?ssl_ca_certs={authority}"


@pytest.fixture(scope="session")
def mixed_sentinel_url() -> Iterator[str]:
    """Give the URL of servers behind TLS with a Sentinel that has none, but a password."""

    def watcher(plain: Recipe) -> Recipe:
        return asking(trusting(plain, folder), "pass%25word")

    with demanded(REDIS), temporary_directory("tls") as folder:
        certify(folder)
        over = functools.partial(by_tls, folder=folder)
        with run_sentinel(tls_program(), over, watcher, password="pass%25word") as group:
            yield (
                f"rediss+sentinel://127.0.0.1:{group[2].port}/chief/0"
                f"?ssl_ca_certs={folder / 'ca.pem'}"
                "&sentinel_ssl=off&sentinel_password=pass%2525word"
            )


@pytest.fixture(scope="session")
def tls_cluster_url() -> Iterator[str]:
    """Give the URL of a cluster of which everybody speaks TLS."""
    with demanded(REDIS), temporary_directory("tls") as folder:
        certify(folder)
        link = {"ssl": True, "ssl_ca_certs": str(folder / "ca.pem")}
        over = functools.partial(by_tls, folder=folder)
        with run_cluster(tls_program(), over, **link) as nodes:
            hosts = ",".join(f"127.0.0.1:{each.port}" for each in nodes)
            yield f"rediss+cluster://{hosts}?ssl_ca_certs={folder / 'ca.pem'}"


@pytest.fixture(scope="session")
def unix_server() -> Iterator[Path]:
    """Give the socket of a server."""
    with demanded(REDIS), temporary_directory("unix") as folder:
        path = folder / "redis.sock"
        made = recipe(locate_program(REDIS).path, folder, "--unixsocket", str(path))
        with running(made):
            yield path


@pytest.fixture
def unix_url(unix_server: Path) -> str:
    """Give the URL of a server's Unix socket, second database."""
    return f"unix://{unix_server}?db=1"
