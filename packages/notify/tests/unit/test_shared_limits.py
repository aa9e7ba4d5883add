"""Limits over two workers on one store: what a user and a provider get from both together."""

import asyncio

import pytest

pytest.importorskip("sqlalchemy")

from notify import MemoryDirectory, Notification, NotificationService
from notify.testing import NOW, FakeChannel, FakeClock


class Two:
    """Two services on one store, each with a worker and a provider's client of its own."""

    def __init__(self, url: str, rates: object) -> None:
        self.clock = FakeClock(NOW)
        users = [f"u{n}" for n in range(10)]
        directory = MemoryDirectory({(user, "email"): f"{user}@example.com" for user in users})
        self.channels = [FakeChannel("email"), FakeChannel("email")]
        self.services = [
            NotificationService(channels=[each], directory=directory, clock=self.clock)
            for each in self.channels
        ]
        for each in self.services:
            each.configure(
                {
                    "storage": {"connection_string": url},
                    "rates": rates,
                    "delivery": {"background": False, "concurrency": 1},
                }
            )

    async def deliver(self, advance: float = 0.0) -> int:
        """Let both work at once; return how many messages went out."""
        await self.clock.advance(advance)
        before = self.sent
        await asyncio.gather(*(each.deliver_due() for each in self.services))
        return self.sent - before

    @property
    def sent(self) -> int:
        return sum(len(each.sent) for each in self.channels)

    async def aclose(self) -> None:
        for each in self.services:
            await each.aclose()


async def test_what_a_user_gets(sqlite_url: str) -> None:
    two = Two(sqlite_url, {"users": {"email": {"limit": 3, "window": 60}}})
    await two.services[0].send_bulk(
        [Notification(title=str(n), user_id="u0", channels=["email"]) for n in range(8)]
    )
    assert [await two.deliver(), await two.deliver(60), await two.deliver(60)] == [3, 3, 2]
    await two.aclose()


@pytest.mark.parametrize(
    "rates",
    [
        {"users": {"email": {"limit": 3, "window": 60}}},
        {"providers": {"fake": {"limit": 3, "window": 60}}},
    ],
)
async def test_one_worker_counts_what_the_other_sent(sqlite_url: str, rates: object) -> None:
    two = Two(sqlite_url, rates)
    sent = []
    for worker in two.services:
        for n in range(3):
            await worker.send(Notification(title=str(n), user_id="u0", channels=["email"]))
        sent.append(await worker.deliver_due() and two.sent)
    assert sent == [3, 3]
    assert await two.deliver(60) == 3
    await two.aclose()


async def test_what_a_provider_gets(sqlite_url: str) -> None:
    two = Two(sqlite_url, {"providers": {"fake": {"limit": 3, "window": 60}}})
    await two.services[0].send_bulk(
        [Notification(title="t", user_id=f"u{n}", channels=["email"]) for n in range(8)]
    )
    assert await two.deliver() == 3, "not three for each process"
    assert await two.deliver(59) == 0
    assert [await two.deliver(1), await two.deliver(60)] == [3, 2]
    await two.aclose()


async def test_a_process_that_is_refused_keeps_its_own_place(sqlite_url: str) -> None:
    two = Two(sqlite_url, {"providers": {"fake": {"limit": 1, "window": 60}}})
    mine, his = (each._parts.delivery.limits for each in two.services)
    assert await mine.take("fake", 0.0, NOW) == 0.0
    assert await his.take("fake", 0.0, NOW + 10) == 50.0
    assert await his.take("fake", 0.0, NOW + 60) == 0.0, "by its own bucket it had a place"
    await two.aclose()
