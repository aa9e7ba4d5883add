"""A database of each kind, and how an application opens it by itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SYNC = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}
ASYNC = {"postgresql": "postgresql+asyncpg", "mysql": "mysql+asyncmy"}
DRIVER = {"postgresql": "psycopg", "mysql": "pymysql"}
SERVERS = {"postgresql": "postgres_url", "mysql": "mysql_url"}


@pytest.fixture(
    params=["sqlite", *(pytest.param(each, marks=pytest.mark.integration) for each in SERVERS)]
)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/app.db"
    return str(request.getfixturevalue(SERVERS[request.param]))


@pytest.fixture
def engine(url: str) -> Iterator[Any]:
    sa = pytest.importorskip("sqlalchemy")
    kind, _, rest = url.partition("://")
    if kind in DRIVER:
        pytest.importorskip(DRIVER[kind])
    made = sa.create_engine(f"{SYNC[kind]}://{rest}")
    yield made
    made.dispose()


@pytest.fixture
def async_url(url: str) -> str:
    """Return the URL for SQLAlchemy's asynchronous engine."""
    kind, _, rest = url.partition("://")
    if kind not in ASYNC:
        pytest.skip("SQLAlchemy's async driver for SQLite is not among our extras")
    return f"{ASYNC[kind]}://{rest}"
