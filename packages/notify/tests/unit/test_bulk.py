"""Sending many: while the store works on one chunk the next one is made."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from notify import BackendError, InvalidNotification, Notification, NotificationService
from notify.adapters.memory import MemoryStore
from notify.stored import Added, Entry
from notify.testing import settle

CHUNK = 20


class Gated(MemoryStore):
    """Stores when it may, fails when told, and notes the order of what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.fails: dict[str, int] = {}
        self.cancelled = 0

    def _step(self, name: str) -> None:
        self.steps.append(name)
        if self.steps.count(name) == self.fails.get(name):
            raise BackendError("away", retryable=True)

    async def add(self, entries: Sequence[Entry], session: Any = None) -> Sequence[Added]:
        self._step("add")
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return await super().add(entries, session)

    async def get_many_preferences(self, user_ids):
        self._step("wishes")
        return await super().get_many_preferences(user_ids)


def notes(count: int) -> list[Notification]:
    return [Notification(id=f"n{n}", title=f"t{n}", user_id=f"u{n % 7}") for n in range(count)]


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Gated:
    monkeypatch.setattr("notify.service.sending._CHUNK", CHUNK)
    return Gated()


async def test_the_next_is_made_meanwhile(store: Gated) -> None:
    async with NotificationService(store=store) as service:
        store.gate.clear()
        task = asyncio.create_task(service.send_bulk(notes(3 * CHUNK)))
        async with asyncio.timeout(60):
            while store.steps != ["wishes", "wishes", "add"] and len(store.steps) < 4:
                await asyncio.sleep(0)
            assert store.steps.count("add") == 1, "one after the other"
            assert "wishes" in store.steps[1:], "the second is looked at while the first is stored"
            store.gate.set()
            results = await task
        assert [each.id for each in results] == [f"n{n}" for n in range(3 * CHUNK)]
        events = await store.events("u0", 0, 1000)
        assert [each.seq for each in events] == list(range(1, len(events) + 1))


async def test_chunks_of_other_users_are_stored_at_once(store: Gated) -> None:
    async with NotificationService(store=store) as service:
        store.gate.clear()
        many = [Notification(id=f"n{n}", title="t", user_id=f"u{n}") for n in range(4 * CHUNK)]
        task = asyncio.create_task(service.send_bulk(many))
        async with asyncio.timeout(60):
            while store.steps.count("add") < 2 or store.steps.count("wishes") < 3:
                await asyncio.sleep(0)
        await settle()
        assert store.steps.count("add") == 2, "not more than two at once"
        store.gate.set()
        assert [each.id for each in await task] == [each.id for each in many]
        assert all(not each.duplicate for each in await task)


@pytest.mark.parametrize("common", ["user", "id", "key"])
async def test_chunks_with_something_in_common_are_stored_in_order(
    store: Gated, common: str
) -> None:
    async with NotificationService(store=store) as service:
        store.gate.clear()
        many = []
        for n in range(2 * CHUNK):
            at = 0 if n % CHUNK == 0 else n  # the first of each chunk
            name = {each: f"{each}{at if each == common else n}" for each in ("user", "id", "key")}
            many.append(
                Notification(
                    id=name["id"], idempotency_key=name["key"], title="t", user_id=name["user"]
                )
            )
        task = asyncio.create_task(service.send_bulk(many))
        async with asyncio.timeout(60):
            while store.steps.count("wishes") < 2:
                await asyncio.sleep(0)
        await settle()
        assert store.steps.count("add") == 1, "the second one waits"
        store.gate.set()
        await task
        assert store.steps.count("add") == 2


async def test_a_chunk_that_is_not_stored(store: Gated) -> None:
    async with NotificationService(store=store) as service:
        store.fails["add"] = 2
        with pytest.raises(BackendError):
            await service.send_bulk(notes(3 * CHUNK))
        assert (await service.get_stats()).notifications == CHUNK
        again = await service.send_bulk(notes(3 * CHUNK))
        assert sum(each.duplicate for each in again) == CHUNK
        assert (await service.get_stats()).notifications == 3 * CHUNK


async def test_a_chunk_that_cannot_be_made(store: Gated) -> None:
    """What is being stored meanwhile is broken off: nothing goes on behind the caller's back."""
    async with NotificationService(store=store) as service:
        store.gate.clear()
        store.fails["wishes"] = 2
        with pytest.raises(BackendError):
            await service.send_bulk(notes(2 * CHUNK))
        assert store.steps.count("add") == store.cancelled
        names = {each.get_name() for each in asyncio.all_tasks()}
        assert "notify.store" not in names


async def test_a_caller_who_gives_up(store: Gated) -> None:
    async with NotificationService(store=store) as service:
        store.gate.clear()
        task = asyncio.create_task(service.send_bulk(notes(2 * CHUNK)))
        async with asyncio.timeout(60):
            while "add" not in store.steps:
                await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert store.cancelled == 1
        assert (await service.get_stats()).notifications == 0


@pytest.mark.parametrize("bad", [Notification(title="t", user_id="ann"), "abc", None])
async def test_what_is_not_many_is_refused(bad: Any) -> None:
    async with NotificationService.from_url("memory://") as service:
        with pytest.raises(InvalidNotification, match=f"a list.*not {type(bad).__name__}"):
            await service.send_bulk(bad)
