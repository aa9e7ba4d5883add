"""The line to MongoDB is cut before and after each call that a step makes, and after its commit.

Against the stand-in: it shows what the store does with an answer that is lost, not what a server
does. What was begun in a transaction is undone there as it is by a server.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

pytest.importorskip("pymongo")
pytest.importorskip("mongomock")

from _common import mongo_stand_in
from _common.mongo_stand_in import StandIn
from notify import BackendError, MemoryDirectory, Notification, NotificationService
from notify.adapters.mongo.store import MongoStore
from notify.testing import NOW, FakeChannel, FakeClock

pytestmark = pytest.mark.chaos
LEASE = 60.0


class Cut:
    """Loses the ``nth`` call, or its answer, of one client while it is armed."""

    def __init__(self, nth: int, where: str) -> None:
        from pymongo.errors import AutoReconnect

        self._nth, self._where, self._error = nth, where, AutoReconnect
        self._count = 0
        self.is_armed = self.is_done = False

    @contextlib.asynccontextmanager
    async def around(self) -> AsyncIterator[None]:
        is_it = self.is_armed and not self.is_done and self._count == self._nth
        self._count += self.is_armed
        self.is_done |= is_it
        if is_it and self._where == "before":
            raise self._error("the line was cut")
        yield
        if is_it:
            raise self._error("the line was cut")

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        turn = mongo_stand_in.Collection.turn
        transaction = mongo_stand_in.Session.with_transaction

        @contextlib.asynccontextmanager
        async def cut_turn(collection: Any, session: Any) -> AsyncIterator[None]:
            async with self.around(), turn(collection, session):
                yield

        async def cut_transaction(session: Any, work: Callable[[Any], Awaitable[Any]]) -> Any:
            made = await transaction(session, work)
            async with self.around():  # the answer to the commit
                return made

        monkeypatch.setattr(mongo_stand_in.Collection, "turn", cut_turn)
        monkeypatch.setattr(mongo_stand_in.Session, "with_transaction", cut_transaction)


@contextlib.asynccontextmanager
async def serving(
    server: StandIn, channel: FakeChannel, clock: FakeClock
) -> AsyncIterator[NotificationService]:
    directory = MemoryDirectory({("ann", "email"): "ann@example.com"})
    store = MongoStore("mongodb://x/y", client=server.connect)
    made = NotificationService(store=store, channels=[channel], directory=directory, clock=clock)
    made.configure({"delivery": {"background": False, "lease": LEASE, "timeout": 30.0}})
    async with made:
        await made.setup()
        yield made


def note() -> Notification:
    return Notification(
        id="n1", title="t", user_id="ann", channels=["in-app", "email"], idempotency_key="k"
    )


async def cuts(
    run: Callable[[Cut], Awaitable[None]], where: str, monkeypatch: pytest.MonkeyPatch
) -> int:
    """Run once for each call that can be cut; return how many there were."""
    for nth in range(100):
        cut = Cut(nth, where)
        with monkeypatch.context() as patch:
            cut.install(patch)
            await run(cut)
        if not cut.is_done:
            return nth
    raise AssertionError("it never ends")


@pytest.mark.parametrize("where", ["before", "after"])
async def test_a_sender_is_cut_off_at_each_call(where: str, monkeypatch) -> None:
    async def run(cut: Cut) -> None:
        server, channel, clock = StandIn(), FakeChannel("email"), FakeClock(NOW)
        async with serving(server, channel, clock) as service:
            cut.is_armed = True
            with contextlib.suppress(BackendError):
                await service.send(note())
            cut.is_armed = False
            again = await service.send(note())
            assert len(again.deliveries) == 2
            events = await service.store.events("ann", 0, 10)
            assert [(each.seq, each.unread) for each in events] == [(1, 1)]
            assert (await service.get_stats()).notifications == 1
            await service.deliver_due()
            assert len(channel.sent) == 1

    assert await cuts(run, where, monkeypatch) >= 4


@pytest.mark.parametrize("step", ["claim", "finish"])
@pytest.mark.parametrize("where", ["before", "after"])
async def test_a_worker_is_cut_off_at_each_call(step: str, where: str, monkeypatch) -> None:
    async def run(cut: Cut) -> None:
        server, channel, clock = StandIn(), FakeChannel("email"), FakeClock(NOW)
        async with serving(server, channel, clock) as service:
            await service.send(note())
            call = getattr(service.store, step)

            async def stepping(*args: Any, **more: Any) -> Any:
                cut.is_armed = True
                try:
                    return await call(*args, **more)
                finally:
                    cut.is_armed = False

            monkeypatch.setattr(service.store, step, stepping)
            for _ in range(3):
                with contextlib.suppress(BackendError):
                    await service.deliver_due()
                await clock.advance(LEASE + 1)
            [mail] = [each for each in await service.deliveries("n1") if each.channel == "email"]
            assert str(mail.status) == "delivered"
            assert {each.key for each in channel.sent} == {mail.id}
            # what the provider had and the store did not know of goes out again, under its key
            assert len(channel.sent) <= (2 if step == "finish" else 1)
            assert len(channel.sent) <= mail.attempts <= 2

    assert await cuts(run, where, monkeypatch) >= 1
