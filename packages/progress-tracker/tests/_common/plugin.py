"""Fixtures that give a test real servers: ``pytest_plugins = ["_common.plugin"]``.

``*_server`` is shared by the session, ``*_url`` is a clean place on it for one test, ``own_*`` is
a server of the test's own, to be killed, frozen and restarted. An ``own_*`` server takes options
by ``@pytest.mark.parametrize("own_redis", [("--appendonly", "yes")], indirect=True)``.
"""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from .mariadb_server import MYSQL, fresh_mysql_database, run_mariadb
from .postgres_server import POSTGRES, fresh_database, run_postgres
from .redis_server import REDIS, clear, run_redis
from .server import Server
from .services import demanded, describe, locate, locate_program


def pytest_configure() -> None:
    """Let examples take as long as they take: that a machine is busy is no failure."""
    patient = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
    settings.register_profile("patient", settings(), **patient)
    settings.load_profile("patient")


def pytest_report_header() -> list[str]:
    """Show what the tests will really talk to."""
    return ["services:", *(describe(service) for service in (REDIS, POSTGRES, MYSQL))]


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Server]:
    """Redis for the whole session (for each worker of pytest-xdist its own)."""
    with demanded(REDIS), run_redis(locate(REDIS)) as server:
        yield server


@pytest.fixture
def redis_prefix() -> str:
    """Return what this test's keys begin with, for a server may be shared."""
    return f"test-{os.urandom(6).hex()}:"


@pytest.fixture
def redis_url(redis_server: Server, redis_prefix: str) -> Iterator[str]:
    """Give a Redis that is emptied afterwards; of a foreign one only ``redis_prefix`` is."""
    yield redis_server.url
    clear(redis_server, redis_prefix)


@pytest.fixture
def own_redis(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Redis for this test alone, always started here."""
    options = getattr(request, "param", ())
    with demanded(REDIS), run_redis(locate_program(REDIS), *options) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Server]:
    """PostgreSQL for the whole session (for each worker of pytest-xdist its own)."""
    with demanded(POSTGRES), run_postgres(locate(POSTGRES)) as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: Server) -> Iterator[str]:
    """Give the ``postgresql://`` URL of a database that is dropped afterwards."""
    with demanded(POSTGRES), fresh_database(postgres_server) as url:
        yield url


@pytest.fixture
def own_postgres(request: pytest.FixtureRequest) -> Iterator[Server]:
    """PostgreSQL for this test alone, always started here; ``fresh_database`` adds databases."""
    settings = getattr(request, "param", ())
    with demanded(POSTGRES), run_postgres(locate_program(POSTGRES), *settings) as server:
        yield server


@pytest.fixture(scope="session")
def mysql_server() -> Iterator[Server]:
    """MariaDB for the whole session (for each worker of pytest-xdist its own)."""
    with demanded(MYSQL), run_mariadb(locate(MYSQL)) as server:
        yield server


@pytest.fixture
def mysql_url(mysql_server: Server) -> Iterator[str]:
    """Give the ``mysql://`` URL of a database that is dropped afterwards."""
    with demanded(MYSQL), fresh_mysql_database(mysql_server) as url:
        yield url


@pytest.fixture
def own_mysql(request: pytest.FixtureRequest) -> Iterator[Server]:
    """MariaDB for this test alone, always started here; ``fresh_mysql_database`` adds databases."""
    options = getattr(request, "param", ())
    with demanded(MYSQL), run_mariadb(locate_program(MYSQL), *options) as server:
        yield server
