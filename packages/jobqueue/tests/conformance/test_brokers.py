"""Every broker passes the suite."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from jobqueue.adapters.memory import MemoryBroker
from jobqueue.ports import Broker
from jobqueue.testing import BrokerSuite, FakeClock


class TestMemoryBroker(BrokerSuite):
    @pytest.fixture
    def broker(self, clock: FakeClock) -> Broker:
        return MemoryBroker(clock=clock)


class TestSQLiteBroker(BrokerSuite):
    @pytest.fixture
    async def broker(self, clock: FakeClock, tmp_path: Path) -> AsyncIterator[Broker]:
        pytest.importorskip("sqlalchemy")
        from jobqueue.adapters.sql.sqlite import SQLiteBroker

        broker = SQLiteBroker(f"sqlite:///{tmp_path}/jobs.db", clock=clock)
        yield broker
        await broker.aclose()


class TestPostgresBroker(BrokerSuite):
    @pytest.fixture
    async def broker(
        self, clock: FakeClock, request: pytest.FixtureRequest
    ) -> AsyncIterator[Broker]:
        pytest.importorskip("asyncpg")
        pytest.importorskip("sqlalchemy")
        from jobqueue.adapters.sql.postgres import PostgresBroker

        broker = PostgresBroker(request.getfixturevalue("postgres_url"), clock=clock)
        await broker.setup()
        yield broker
        await kept_derived(broker)
        await broker.aclose()


async def kept_derived(broker: Any) -> None:
    """What the indexes are of follows from the other columns, whatever was done to the jobs."""
    from jobqueue.adapters.sql.tables import DERIVED, GENERATED

    for name in DERIVED:
        wrong = f"{name} IS DISTINCT FROM ({GENERATED[name][1]})"
        rows = await broker._db.fetch(f"SELECT id, status, gate FROM jobqueue_jobs WHERE {wrong}")
        assert not rows, f"{name} of {rows}"


class TestMySQLBroker(BrokerSuite):
    @pytest.fixture
    async def broker(
        self, clock: FakeClock, request: pytest.FixtureRequest
    ) -> AsyncIterator[Broker]:
        pytest.importorskip("asyncmy")
        pytest.importorskip("sqlalchemy")
        from jobqueue.adapters.sql.mysql import MySQLBroker

        broker = MySQLBroker(request.getfixturevalue("mysql_url"), clock=clock)
        await broker.setup()
        yield broker
        await broker.aclose()


class TestRedisBroker(BrokerSuite):
    server = "redis_server"

    @pytest.fixture
    async def broker(
        self, clock: FakeClock, request: pytest.FixtureRequest
    ) -> AsyncIterator[Broker]:
        pytest.importorskip("redis")
        from jobqueue.adapters.redis.broker import RedisBroker

        server = request.getfixturevalue(self.server)
        broker = RedisBroker(server.url, prefix=f"t{time.time_ns()}", clock=clock)
        yield broker
        await broker.aclose()


class TestRedisBrokerOnValkey(TestRedisBroker):
    server = "valkey_server"
