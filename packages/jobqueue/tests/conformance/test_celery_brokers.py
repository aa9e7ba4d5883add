"""A store that rings passes all that the store does, and its rings arrive."""

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import ClassVar

import pytest

pytest.importorskip("kombu")
pytest.importorskip("sqlalchemy")

from kombu.exceptions import VersionMismatch

from _common.server import Server
from jobqueue.adapters.celery.addresses import Address, address_of
from jobqueue.adapters.celery.bell import ENOUGH, Bell
from jobqueue.adapters.celery.broker import CeleryBroker
from jobqueue.adapters.celery.chime import KombuChime
from jobqueue.ports import Broker
from jobqueue.registry import broker_from_url
from jobqueue.testing import BrokerSuite, FakeClock


class Place:
    """One connection for all tests of a class."""

    def __init__(self, url: str) -> None:
        self.address: Address = address_of(url)
        self.connections = 0
        self.bell = Bell(self._connect)

    def _connect(self) -> KombuChime:
        self.connections += 1
        return KombuChime(self.address)

    def waiting(self, name: str) -> int:
        chime = KombuChime(self.address)
        try:
            return chime.declare(self.address.queue(name))
        finally:
            chime.close()


@pytest.fixture(scope="class")
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    url = request.getfixturevalue(request.cls.server).url
    if url.startswith("redis"):
        _skip_what_kombu_refuses(url)
    made = Place(f"celery+{url}?prefix=t{time.time_ns()}-{request.cls.options}")
    yield made
    made.bell.close()
    # a hundred tests have rung: over one connection that never failed, and not in vain
    assert made.connections == 1
    # twins have bells of their own, which may count and ring at the same moment
    assert 1 <= made.waiting("default") <= ENOUGH + 8


def _skip_what_kombu_refuses(url: str) -> None:
    """Skip where the oldest redis-py that we take is too old for the installed kombu."""
    try:
        KombuChime(address_of(f"celery+{url}")).close()
    except VersionMismatch as exc:
        pytest.skip(str(exc))


class CelerySuite(BrokerSuite):
    """The suite with a message broker before the store."""

    server: ClassVar[str]
    options: ClassVar[str] = ""

    @pytest.fixture
    def store_url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/jobs.db"

    @pytest.fixture
    async def broker(self, clock: FakeClock, place: Place, store_url: str) -> AsyncIterator[Broker]:
        store = broker_from_url(store_url, clock=clock)
        await store.setup()
        broker = CeleryBroker(store, place.address, bell=place.bell, owns_bell=False)
        yield broker
        await broker.aclose()


@pytest.mark.integration
@pytest.mark.slow
class TestRabbitMQBeforeSQLite(CelerySuite):
    server = "rabbitmq_server"


@pytest.mark.integration
@pytest.mark.slow
class TestRabbitMQBeforePostgres(CelerySuite):
    server = "rabbitmq_server"

    @pytest.fixture
    def store_url(self, postgres_url: str) -> str:
        pytest.importorskip("asyncpg")
        return postgres_url


@pytest.mark.integration
@pytest.mark.slow
class TestSQSBeforeSQLite(CelerySuite):
    server = "moto_server"
    options = "&region=us-east-1&tls=off"


class TestRedisBeforeSQLite(CelerySuite):
    server = "redis_server"


class TestRedisBeforeRedis(CelerySuite):
    server = "redis_server"

    @pytest.fixture
    def store_url(self, redis_server: Server) -> str:
        return f"{redis_server.url}?prefix=store{time.time_ns()}"
