"""A cancellation at every await: nothing half done, nothing left running, the next call works."""

import asyncio
import types
from collections.abc import Awaitable, Callable

import pytest

from notify import MemoryDirectory, Notification, NotificationService
from notify.testing import FakeChannel, settle


class Steps:
    """Cancels the task that awaits ``work`` at its ``place``-th suspension."""

    def __init__(self, work: Awaitable[object], place: int) -> None:
        self._work, self._place = work, place
        self.reached = False

    @types.coroutine
    def run(self):
        inner = self._work.__await__()
        step, given, count = inner.send, None, 0
        while True:
            try:
                waits = step(given)
            except StopIteration:
                return
            if count == self._place:
                self.reached = True
                asyncio.current_task().cancel()
            count += 1
            try:
                given, step = (yield waits), inner.send
            except BaseException as exc:
                given, step = exc, inner.throw


async def cancelled_at(work: Callable[[], Awaitable[object]], place: int) -> bool:
    """Run ``work`` and cancel it at a place; return whether it has so many."""
    steps = Steps(work(), place)

    async def main() -> None:
        await steps.run()

    task = asyncio.create_task(main())
    await asyncio.wait([task])
    if not steps.reached:
        task.result()
    return steps.reached


@pytest.fixture(params=["memory", "sqlite", "redis"])
def any_url(request: pytest.FixtureRequest) -> str:
    if request.param == "memory":
        return "memory://"
    if request.param == "sqlite":
        found: str = request.getfixturevalue("sqlite_url")
        return found
    pytest.importorskip("redis")
    prefix = request.getfixturevalue("redis_prefix").strip(":")
    return f"{request.getfixturevalue('redis_url')}?prefix={prefix}"


@pytest.fixture
async def service(any_url: str):
    channel = FakeChannel("email")
    directory = MemoryDirectory({("ann", "email"): "ann@example.com"})
    made = NotificationService(channels=[channel], directory=directory)
    made.configure(
        {"storage": {"connection_string": any_url}, "delivery": {"background": False}}
        if any_url != "memory://"
        else {"delivery": {"background": False}}
    )
    async with made:
        await made.get_stats()
        made.channel = channel  # type: ignore[attr-defined]
        yield made


def note(key: str) -> Notification:
    return Notification(
        id=key, title="t", user_id="ann", channels=["in-app", "email"], idempotency_key=key
    )


async def test_send(service, any_url: str) -> None:
    place = 0
    while await cancelled_at(lambda: service.send(note(f"n{place}")), place):  # noqa: B023
        before = set(asyncio.all_tasks())
        again = await service.send(note(f"n{place}"))
        rows = await service.deliveries(again.id)
        assert sorted(each.channel for each in rows) == ["email", "in-app"]
        await settle()
        left = {each.get_name() for each in asyncio.all_tasks() - before}
        assert not {name for name in left if name.startswith("notify.attempt")}
        place += 1
    assert place > 0 or any_url == "memory://", "in memory nothing waits"
    count = place + 1  # the last one went through
    events = await service.store.events("ann", 0, 1000)
    assert [each.seq for each in events] == list(range(1, count + 1))
    assert await service.unread_count("ann") == count


async def test_marking(service) -> None:
    place = 0
    await service.send(note("first"))
    while True:
        sent = await service.send(note(f"n{place}"))
        done = await cancelled_at(lambda: service.mark_as_read(sent.id, "ann"), place)  # noqa: B023
        await service.mark_as_read(sent.id, "ann")
        assert (await service.get(sent.id, "ann")).read
        kinds = [e.kind for e in await service.store.events("ann", 0, 1000)]
        assert kinds.count("read") == place + 1, "once for each, however often it was asked for"
        place += 1
        if not done:
            return


async def test_delivering(service) -> None:
    place, total = 0, 0
    while True:
        sent = [await service.send(note(f"n{place}-{n}")) for n in range(2)]
        total += 2
        done = await cancelled_at(service.deliver_due, place)
        await service.deliver_due()
        for each in sent:
            rows = await service.deliveries(each.id)
            states = {row.channel: str(row.status) for row in rows}
            # claimed and not begun, it waits for the end of its lease
            assert states["email"] in {"delivered", "sending"}
            taken = {message.key for message in service.channel.sent}
            unmarked = {row.id for row in rows if str(row.status) == "sending"}
            assert not taken & unmarked, "what a provider took would go out again"
        place += 1
        if not done:
            break
    keys = [each.key for each in service.channel.sent]
    assert len(keys) == len(set(keys)), "nothing went out twice"
    assert len(keys) >= total - 2
