"""Redis by other ways than plain TCP: TLS with a certificate of our own, and a Unix socket."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from _common.directories import temporary_directory
from _common.redis_server import REDIS
from _common.server import Recipe, running
from _common.services import Unavailable, demanded, locate_program
from redis_groups import recipe


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


def by_tls(plain: Recipe) -> Recipe:
    """Let a server speak nothing but TLS, with the certificate in its directory."""

    def command(port: int) -> list[str | Path]:
        return [
            *plain.command(0), "--tls-port", str(port), "--tls-auth-clients", "no",
            "--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem",
            "--tls-ca-cert-file", "ca.pem",
        ]  # fmt: skip

    return dataclasses.replace(plain, command=command)


def certify(folder: Path) -> None:
    """Put a certificate for 127.0.0.1 into a folder, its key, and the authority that signed it."""
    authority = trustme.CA()
    own = authority.issue_cert("127.0.0.1")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    own.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    own.private_key_pem.write_to_path(str(folder / "key.pem"))


@pytest.fixture(scope="session")
def tls_server() -> Iterator[tuple[str, Path]]:
    """Give the URL of a server behind TLS, and the file of the authority to trust."""
    with demanded(REDIS), temporary_directory("tls") as folder:
        certify(folder)
        with running(by_tls(recipe(tls_program(), folder))) as daemon:
            yield f"rediss://127.0.0.1:{daemon.port}/0", folder / "ca.pem"


@pytest.fixture
def tls_url(tls_server: tuple[str, Path]) -> str:
    """Give the URL of a server behind TLS that says whom to trust."""
    url, authority = tls_server
    return f"{url}?ssl_ca_certs={authority}"


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
