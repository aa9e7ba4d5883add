"""The network is cut before and after the server commits, at each step of a message's way."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("asyncpg")
pytest.importorskip("asyncmy")
pytest.importorskip("redis")

from _common.proxy import Proxy
from notify import BackendError, MemoryDirectory, Notification, NotificationService
from notify._common.sql_lanes import AsyncpgLane
from notify._common.sql_mysql import AsyncmyLane
from notify.adapters.redis.link import Link
from notify.testing import NOW, FakeChannel, FakeClock

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.integration]
LEASE = 60.0


@dataclass
class Place:
    """A server, and the way to it through the proxy."""

    direct: str
    url: str
    proxy: Proxy


@pytest.fixture(params=["postgres", "mysql", "redis"])
def place(request: pytest.FixtureRequest, apart) -> Iterator[Place]:
    direct = request.getfixturevalue(f"{request.param}_url")
    if request.param == "redis":
        direct = f"{direct}?prefix={request.getfixturevalue('redis_prefix').strip(':')}"

    async def tables() -> None:
        async with NotificationService.from_url(direct) as service:
            await service.setup()

    apart(tables())
    port = urlsplit(direct).port
    assert port is not None
    with Proxy(port) as proxy:
        yield Place(direct, direct.replace(f":{port}", f":{proxy.port}"), proxy)


async def state(service: NotificationService) -> object:
    """Return what the store knows, as far as steps change it."""
    stats = await service.get_stats()
    rows = await service.list_deliveries(limit=100)
    return stats.notifications, [(each.id, each.attempts, each.status) for each in rows]


class Cut:
    """Cuts the network once, around the commit of the next call of one method of the store."""

    def __init__(self, where: str, proxy: Proxy, direct: NotificationService) -> None:
        self.where, self.proxy, self.direct = where, proxy, direct
        self.is_armed = self.is_done = False

    async def around(self, commit: Callable[[], Awaitable[Any]]) -> Any:
        """Commit, or not, with the answer lost."""
        if not self.is_armed or self.is_done:
            return await commit()
        self.is_done = True
        before, asked = await state(self.direct), self.proxy.requests
        self.proxy.mode = "drop_requests" if self.where == "before" else "drop_replies"
        task = asyncio.ensure_future(commit())
        async with asyncio.timeout(60):
            while self.proxy.requests == asked:
                await asyncio.sleep(0.001)
            while self.where == "after" and await state(self.direct) == before:
                await asyncio.sleep(0.001)
        self.proxy.cut()
        self.proxy.mode = "pass"
        assert (await state(self.direct) == before) is (self.where == "before")
        return await task


def arm(cut: Cut, service: NotificationService, step: str, monkeypatch: Any) -> None:
    """Cut in the next call of ``step``."""
    run, call = Link.run, getattr(service.store, step)

    def ending(lane: Any) -> Any:
        end = lane.end

        async def ends(self: Any, *, commit: bool) -> None:
            await (
                cut.around(lambda: end(self, commit=True)) if commit else end(self, commit=False)
            )

        return ends

    async def running(self: Link, *words: Any) -> Any:
        return await cut.around(lambda: run(self, *words))

    async def stepping(*args: Any, **more: Any) -> Any:
        cut.is_armed = True
        try:
            return await call(*args, **more)
        finally:
            cut.is_armed = False

    fetch = AsyncpgLane.fetch

    async def fetching(self: AsyncpgLane, *statement: Any) -> Any:
        return await cut.around(lambda: fetch(self, *statement))

    if step == "add_under":  # of PostgreSQL: one statement, which commits by itself
        monkeypatch.setattr(AsyncpgLane, "fetch", fetching)
    for lane in (AsyncpgLane, AsyncmyLane):
        monkeypatch.setattr(lane, "end", ending(lane))
    monkeypatch.setattr(Link, "run", running)
    monkeypatch.setattr(service.store, step, stepping)


@contextlib.asynccontextmanager
async def serving(
    url: str, channel: FakeChannel, clock: FakeClock
) -> AsyncIterator[NotificationService]:
    directory = MemoryDirectory({("ann", "email"): "ann@example.com"})
    made = NotificationService(channels=[channel], directory=directory, clock=clock)
    delivery = {"background": False, "lease": LEASE, "timeout": 30.0}
    made.configure({"storage": {"connection_string": url}, "delivery": delivery})
    async with made:
        yield made


def note() -> Notification:
    return Notification(
        id="n1", title="t", user_id="ann", channels=["in-app", "email"], idempotency_key="k"
    )


@pytest.mark.parametrize("where", ["before", "after"])
async def test_a_sender_is_cut_off(place: Place, where: str, monkeypatch) -> None:
    channel, clock = FakeChannel("email"), FakeClock(NOW)
    async with (
        serving(place.direct, channel, clock) as direct,
        serving(place.url, channel, clock) as service,
    ):
        await service.get_stats()
        # what is lost is an execution, not the preparation of a statement
        await service.send(Notification(title="t", user_id="bob"))
        await service.erase_user("bob")
        step = "add_under" if place.direct.startswith("postgresql") else "add"
        arm(cut := Cut(where, place.proxy, direct), service, step, monkeypatch)
        with pytest.raises(BackendError) as caught:
            await service.send(note())
        assert cut.is_done
        assert caught.value.retryable
        again = await service.send(note())
        assert again.duplicate is (where == "after")
        assert len(again.deliveries) == 2
        events = await direct.store.events("ann", 0, 10)
        assert [(each.seq, each.unread) for each in events] == [(1, 1)]
        assert (await direct.get_stats()).notifications == 1
        await service.deliver_due()
        assert len(channel.sent) == 1


@pytest.mark.parametrize("step", ["claim", "finish"])
@pytest.mark.parametrize("where", ["before", "after"])
async def test_a_worker_is_cut_off(place: Place, step: str, where: str, monkeypatch) -> None:
    channel, clock = FakeChannel("email"), FakeClock(NOW)
    async with (
        serving(place.direct, channel, clock) as direct,
        serving(place.url, channel, clock) as service,
    ):
        await direct.send(note())
        await service.get_stats()
        arm(cut := Cut(where, place.proxy, direct), service, step, monkeypatch)
        with contextlib.suppress(BackendError):
            await service.deliver_due()
        assert cut.is_done
        await clock.advance(LEASE + 1)
        await service.deliver_due()
        [mail] = [each for each in await direct.deliveries("n1") if each.channel == "email"]
        assert str(mail.status) == "delivered"
        # what the provider had and the store did not know of goes out again, under its key
        assert len(channel.sent) == (2 if (step, where) == ("finish", "before") else 1)
        assert {each.key for each in channel.sent} == {mail.id}
        assert mail.attempts == (
            1 if (step, where) in {("claim", "before"), ("finish", "after")} else 2
        )
        await clock.advance(LEASE + 1)
        assert await service.deliver_due() == 0


async def test_a_watcher_is_cut_off(place: Place) -> None:
    """The doorbell's connection, and those of the reads, are cut again and again."""
    channel, clock = FakeChannel("email"), FakeClock(NOW)
    heard: list[int] = []

    async def watch(service: NotificationService) -> None:
        while len(heard) < 12:
            with contextlib.suppress(BackendError):  # watch again from the last one
                async for event in service.watch("ann", heard[-1] if heard else 0):
                    heard.append(event.seq)
                    if len(heard) == 12:
                        break

    async with (
        serving(place.direct, channel, clock) as direct,
        NotificationService.from_url(place.url) as service,
    ):
        task = asyncio.create_task(watch(service))
        for n in range(12):
            await direct.send(Notification(title=str(n), user_id="ann"))
            if n % 3 == 2:
                place.proxy.cut()
            async with asyncio.timeout(60):
                while n % 3 == 0 and len(heard) <= n:
                    await asyncio.sleep(0.01)
        async with asyncio.timeout(60):
            await task
    assert heard == list(range(1, 13))
