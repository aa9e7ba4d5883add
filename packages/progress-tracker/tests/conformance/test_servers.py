"""The servers of SQL pass the suites."""

from collections.abc import AsyncIterator

import pytest

from progress_tracker.ports import Backplane, ProgressStore
from progress_tracker.testing import BackplaneSuite, ProgressStoreSuite

pytest.importorskip("sqlalchemy")
pytestmark = pytest.mark.integration

from progress_tracker.adapters.sql import PostgresStore  # noqa: E402  it may not be installed
from progress_tracker.adapters.sql_bell import PostgresBackplane  # noqa: E402
from progress_tracker.adapters.sql_mysql import MySQLStore  # noqa: E402


class TestPostgresStore(ProgressStoreSuite):
    @pytest.fixture
    async def store(self, postgres_url: str) -> AsyncIterator[ProgressStore]:
        pytest.importorskip("asyncpg")
        async with PostgresStore(postgres_url) as store:
            await store.setup()
            yield store


class TestPostgresBackplane(BackplaneSuite):
    @pytest.fixture
    async def backplane(self, postgres_url: str) -> AsyncIterator[Backplane]:
        pytest.importorskip("asyncpg")
        async with PostgresBackplane(postgres_url) as backplane:
            yield backplane


class TestMySQLStore(ProgressStoreSuite):
    @pytest.fixture
    async def store(self, mysql_url: str) -> AsyncIterator[ProgressStore]:
        pytest.importorskip("asyncmy")
        async with MySQLStore(mysql_url) as store:
            await store.setup()
            yield store
