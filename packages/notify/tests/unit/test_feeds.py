"""Many feeds of one user: what is new is read once, and nobody misses or repeats anything."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from notify import BackendError, Notification, NotificationService
from notify.adapters.memory import MemoryStore
from notify.testing import NOW, FakeClock, entry, settle

FEEDS = 20


class Counted(MemoryStore):
    """Counts the looks at events, and fails when told."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0
        self.failing = False

    async def events(self, user_id, since, limit):
        self.looks += 1
        await asyncio.sleep(0)
        if self.failing:
            raise BackendError("away", retryable=True)
        return await super().events(user_id, since, limit)


class Watchers:
    """Feeds that note what they get."""

    def __init__(self, service: NotificationService, count: int) -> None:
        self.heard: list[list[int]] = [[] for _ in range(count)]
        self.failed = 0
        self.tasks = [asyncio.create_task(self._watch(service, each)) for each in self.heard]

    async def _watch(self, service: NotificationService, heard: list[int]) -> None:
        try:
            async for event in service.watch("ann", 0):
                heard.append(event.seq)  # noqa: PERF401  what came before it failed counts
        except BackendError:
            self.failed += 1

    async def all_have(self, *seqs: int) -> None:
        async with asyncio.timeout(60):
            while any(each != list(seqs) for each in self.heard):
                await asyncio.sleep(0)

    async def end(self) -> None:
        for each in self.tasks:
            each.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


@pytest.fixture
def store() -> Counted:
    return Counted()


@pytest.fixture
async def service(store: Counted) -> AsyncIterator[NotificationService]:
    async with NotificationService(store=store, clock=FakeClock(NOW)) as made:
        yield made


@pytest.fixture
async def watchers(service: NotificationService) -> AsyncIterator[Watchers]:
    await note(service)
    made = Watchers(service, FEEDS)
    await made.all_have(1)
    await settle()
    yield made
    await made.end()


async def note(service: NotificationService) -> None:
    await service.send(Notification(title="t", user_id="ann"))


async def test_what_is_new_is_read_once(store, service, watchers) -> None:
    store.looks = 0
    for seq in (2, 3, 4):
        await note(service)
        await watchers.all_have(*range(1, seq + 1))
    await settle()
    # the instance rings itself once more through the backplane: at most two looks a message
    assert store.looks <= 6


async def test_a_burst(service, watchers) -> None:
    await asyncio.gather(*(note(service) for _ in range(250)))
    await watchers.all_have(*range(1, 252))


async def test_one_that_stands_elsewhere(service, watchers) -> None:
    late = Watchers(service, 1)
    await note(service)
    await late.all_have(1, 2)
    await watchers.all_have(1, 2)
    await late.end()
    await note(service)
    await watchers.all_have(1, 2, 3)


async def test_a_store_that_fails_is_told_to_each(store, service, watchers) -> None:
    store.failing = True
    await note(service)
    async with asyncio.timeout(60):
        while watchers.failed < FEEDS:
            await asyncio.sleep(0)
    store.failing = False
    again = Watchers(service, FEEDS)
    await again.all_have(1, 2)
    await again.end()


async def test_a_lost_ring_is_healed(store, service, watchers) -> None:
    await store.add([entry("ann")])  # nobody rings
    await settle()
    await watchers.all_have(1)
    for _ in range(21):
        await service.clock.advance(1.0)
        await settle()
    await watchers.all_have(1, 2)


async def test_an_erased_user_begins_anew(service, watchers) -> None:
    await note(service)
    await watchers.all_have(1, 2)
    await service.erase_user("ann")
    await settle()
    await note(service)
    await note(service)
    await watchers.all_have(1, 2, 1, 2)


async def test_nothing_is_left_when_all_have_gone(service, watchers) -> None:
    feeds = service._parts.feeds
    await watchers.end()
    assert feeds.count == 0
    assert feeds._rooms == {}
    assert feeds._healing is None


async def test_closing_ends_all(service, watchers) -> None:
    await service.aclose()
    async with asyncio.timeout(60):
        await asyncio.gather(*watchers.tasks)
