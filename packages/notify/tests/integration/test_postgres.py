"""The SQL store on a real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("asyncpg")

from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from notify import (
    BackendError,
    Backplane,
    Notification,
    NotificationService,
    NotificationStore,
)
from notify.adapters.postgres_bell import PostgresBackplane
from notify.adapters.sql import SQLStore
from notify.adapters.sql_tables import make_metadata
from notify.testing import BackplaneSuite, NotificationStoreSuite

pytestmark = pytest.mark.integration
TABLES = sorted(make_metadata("notifications").tables)


class TestPostgresStore(NotificationStoreSuite):
    @pytest.fixture
    async def store(self, database: str) -> AsyncIterator[NotificationStore]:
        store = SQLStore(database)
        yield store
        await store._db.batch([(f"DELETE FROM {name}", {}) for name in TABLES])
        await store.aclose()


class TestPostgresBackplane(BackplaneSuite):
    @pytest.fixture
    async def pair(self, database: str) -> AsyncIterator[Sequence[Backplane]]:
        pair = [PostgresBackplane(database) for _ in range(2)]
        yield pair
        for each in pair:
            await each.aclose()

    async def test_many_users_take_several_payloads(self, pair: Sequence[Backplane]) -> None:
        """A payload has a limit; whoever is beyond it is told of in the next."""
        users = {f"{'ü' * 60}{n}" for n in range(300)}
        heard = set[str]()
        done, listening = asyncio.Event(), asyncio.Event()

        def on_ring(told: Collection[str] | None) -> None:
            listening.set()
            heard.update(told or ())
            if heard == users:
                done.set()

        task = asyncio.create_task(pair[1].listen(on_ring))
        async with asyncio.timeout(60):
            await listening.wait()
            await pair[0].publish(users)
            await done.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def test_a_connection_that_is_cut_is_an_error(
        self, pair: Sequence[Backplane], database: str
    ) -> None:
        """The caller listens again; it must hear that it is deaf."""
        listening = asyncio.Event()
        task = asyncio.create_task(pair[0].listen(lambda _: listening.set()))
        store = SQLStore(database)
        async with asyncio.timeout(60):
            await listening.wait()
            await store._db.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' "
                "AND mode = 'ShareLock'"
            )
            with pytest.raises(BackendError) as caught:
                await task
        assert caught.value.retryable
        await store.aclose()


async def test_a_callers_commit_rings(database: str) -> None:
    """What is sent in the caller's transaction is heard when that commits, and not before."""
    engine = create_async_engine(database.replace("postgresql://", "postgresql+asyncpg://"))
    async with NotificationService.from_url(database) as service:
        feed = service.watch("ann", 0)
        first = asyncio.ensure_future(anext(feed))
        async with AsyncSession(engine) as session, asyncio.timeout(60):
            await service.send(Notification(title="t", user_id="ann"), session=session)
            await session.commit()
            assert (await first).kind == "created"
        await feed.aclose()
        await service.erase_user("ann")
    await engine.dispose()
