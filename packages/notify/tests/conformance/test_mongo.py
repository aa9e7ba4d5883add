"""MongoDB passes the suite: a server if ``MONGODB_URL`` names one, else the stand-in.

The server must be a replica set, of one member if need be.
"""

import os
from collections.abc import AsyncIterator

import pytest

from notify import BackendError, ConfigurationError, NotificationStore
from notify.testing import NotificationStoreSuite, entry

pytest.importorskip("pymongo")
pytest.importorskip("mongomock")

from _common.mongo_stand_in import StandIn
from notify.adapters.mongo.documents import INDEXES
from notify.adapters.mongo.store import MongoStore

URL = os.environ.get("MONGODB_URL")


class TestMongoStore(NotificationStoreSuite):
    @pytest.fixture
    async def store(self, redis_prefix: str) -> AsyncIterator[NotificationStore]:
        if URL is None:
            store = MongoStore("mongodb://x/y", client=StandIn().connect)
            yield store
            await store.aclose()
            return
        store = MongoStore(URL, collection=redis_prefix.strip(":"))
        yield store
        await store.setup()
        for rest in (*INDEXES, "_users", "_preferences", "_suppressions"):
            await store._of(rest).drop()
        await store.aclose()


async def test_a_step_that_fails_leaves_nothing() -> None:
    """A notification without its deliveries would never go out."""
    server = StandIn()
    store = MongoStore("mongodb://x/y", client=server.connect)
    await store.setup()

    async def fails(*_: object) -> int:
        raise OSError("the server went away")

    store._show = fails  # type: ignore[method-assign]  the last step of sending
    with pytest.raises(BackendError) as caught:
        await store.add([entry("ann", "email", id="n1")])
    assert caught.value.retryable
    assert await store.get("n1", None) is None
    assert await store.counts() == (0, {})
    assert server.commits == 0


async def test_a_server_that_stands_alone_is_explained() -> None:
    """Its word for a transaction becomes one that says what to do."""
    from pymongo.errors import OperationFailure

    store = MongoStore("mongodb://x/y", client=StandIn().connect)

    async def refuses(*_: object) -> int:
        raise OperationFailure("Transaction numbers are only allowed on a replica set", 20)

    store._show = refuses  # type: ignore[method-assign]
    with pytest.raises(ConfigurationError, match="replSet"):
        await store.add([entry()])


@pytest.mark.parametrize(
    "url", ["mongodb://h:notaport/", "mongodb://h/?timeout=0", "mongodb://h/?timeout=x"]
)
def test_a_wrong_url_is_a_matter_of_configuration(url: str) -> None:
    with pytest.raises(ConfigurationError):
        MongoStore.from_url(url)._make()
