"""MongoDB passes the suite: a server if ``MONGODB_URL`` names one, else the stand-in.

The server must be a replica set, of one member if need be.
"""

import os
from collections.abc import AsyncIterator

import pytest

from progress_tracker import BackendError, ConfigurationError
from progress_tracker.ports import ProgressStore
from progress_tracker.testing import ProgressStoreSuite, record

pytest.importorskip("pymongo")
pytest.importorskip("mongomock")

from _common.mongo_stand_in import StandIn
from progress_tracker.adapters.mongo import MongoStore

URL = os.environ.get("MONGODB_URL")


class TestMongoStore(ProgressStoreSuite):
    @pytest.fixture
    async def store(self, redis_prefix: str) -> AsyncIterator[ProgressStore]:
        collection = redis_prefix.strip(":")
        if URL is None:
            server = StandIn()
            async with MongoStore("mongodb://x/y", client=server.connect) as store:
                yield store
            return
        async with MongoStore(URL, collection=collection) as store:
            yield store
            documents = await store._documents()
            await documents.drop()


async def test_a_refused_transaction_leaves_nothing() -> None:
    """Of a child's creation whose last step fails, nothing may stay."""
    server = StandIn()
    async with MongoStore("mongodb://x/y", client=server.connect) as store:
        parent = (await store.create(record("p"))).record
        broken = MongoStore("mongodb://x/y", client=server.connect)

        async def fails(*_: object) -> bool:
            raise OSError("the server went away")

        broken._store = fails  # type: ignore[method-assign]  # the step after the child's insertion
        with pytest.raises(BackendError) as caught:
            await broken.create(record("x", parent))
        assert caught.value.retryable
        assert await store.get("x") is None
        assert server.commits == 0


async def test_a_server_that_stands_alone_is_explained() -> None:
    """Its word for a transaction becomes one that says what to do."""
    from pymongo.errors import OperationFailure

    server = StandIn()
    async with MongoStore("mongodb://x/y", client=server.connect) as store:
        parent = (await store.create(record("p"))).record

        async def refuses(*_: object) -> None:
            raise OperationFailure("Transaction numbers are only allowed on a replica set", 20)

        store._together = refuses  # type: ignore[method-assign]
        with pytest.raises(ConfigurationError, match="replSet"):
            await store.create(record("x", parent))


@pytest.mark.parametrize("url", ["mongodb://h:notaport/", "mongodb://h/?unknownOption=1&w=x&w=y"])
def test_a_wrong_url_is_a_matter_of_configuration(url: str) -> None:
    with pytest.raises(ConfigurationError):
        MongoStore.from_url(url)._make()
