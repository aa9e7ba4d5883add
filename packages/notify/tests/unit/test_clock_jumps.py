"""Clocks that jump: nothing is lost, nothing is sent under another key, every state is reached."""

import asyncio
import random

import pytest

from notify import ChannelError, MemoryDirectory, Notification, NotificationService
from notify.adapters.memory import MemoryStore
from notify.testing import NOW, FakeChannel, FakeClock

RETRY = ChannelError("503", retryable=True)
DAY = 86_400.0


class Jumping(FakeClock):
    """A clock whose time of day is set by somebody; its monotonic side goes on."""

    jump = 0.0

    def time(self) -> float:
        return super().time() + self.jump


def worker(store: MemoryStore, clock: FakeClock, channel: FakeChannel) -> NotificationService:
    made = NotificationService(
        store=store, clock=clock, channels=[channel],
        directory=MemoryDirectory({("ann", "email"): "ann@example.com"}), rng=random.Random(1),
    )  # fmt: skip
    made.configure({"delivery": {"background": False}, "retention": {"read": None, "unread": None}})
    return made


@pytest.mark.parametrize("jump", [DAY, -DAY, 3600.0, -3600.0])
async def test_a_jump_while_it_waits_for_a_retry(jump: float) -> None:
    clock, channel = Jumping(NOW), FakeChannel("email", RETRY, RETRY)
    async with worker(MemoryStore(), clock, channel) as service:
        sent = await service.send(Notification(title="t", user_id="ann", channels=["email"]))
        await service.deliver_due()
        clock.jump = jump
        await clock.advance(abs(jump) + 3600)
        for _ in range(3):
            await service.deliver_due()
            await clock.advance(3600)
        [delivery] = await service.deliveries(sent.id)
    assert str(delivery.status) == "delivered"
    assert len({each.key for each in channel.calls}) == 1


async def test_a_jump_while_a_provider_works() -> None:
    """The lease ends early; who had it has lost it, and what it says changes nothing."""
    store, clock = MemoryStore(), Jumping(NOW)
    taken_over, recorded = asyncio.Event(), asyncio.Event()

    async def slower(message) -> str:
        taken_over.set()
        await recorded.wait()
        return "second"

    second = FakeChannel("email", slower)
    heir, work = worker(store, clock, second), list[asyncio.Task]()

    async def slowly(message) -> str:
        clock.jump = DAY
        work.append(asyncio.create_task(heir.deliver_due()))
        await taken_over.wait()
        return "first"

    first = FakeChannel("email", slowly)
    async with worker(store, clock, first) as service, heir, asyncio.timeout(60):
        sent = await service.send(Notification(title="t", user_id="ann", channels=["email"]))
        await service.deliver_due()
        recorded.set()
        await asyncio.gather(*work)
        [delivery] = await service.deliveries(sent.id)
    assert (str(delivery.status), delivery.provider_id, delivery.attempts) == (
        "delivered", "second", 2,
    )  # fmt: skip
    assert first.sent[0].key == second.sent[0].key


async def test_a_jump_back_holds_no_inbox() -> None:
    clock = Jumping(NOW)
    async with worker(MemoryStore(), clock, FakeChannel("email")) as service:
        for jump in (0.0, -DAY, DAY, -10 * DAY):
            clock.jump = jump
            await service.send(Notification(title="t", user_id="ann"))
        events = await service.store.events("ann", 0, 10)
        assert [(each.seq, each.unread) for each in events] == [(1, 1), (2, 2), (3, 3), (4, 4)]
        assert await service.unread_count("ann") == 4
