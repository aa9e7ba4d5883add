"""Many sockets of one user: read and encoded once, and nobody misses or repeats anything."""

import asyncio
import random

import pytest

pytest.importorskip("starlette")

from _common.asgi_lines import Line
from notify import Notification, NotificationService
from notify import wire as wire_module
from notify.adapters.memory import MemoryStore
from notify.asgi import create_app
from notify.errors import BackendError
from notify.testing import FakeClock, settle

PATH = "/ws/notifications"


class Store(MemoryStore):
    """A store that gives others a turn before each look, and can fail."""

    def __init__(self) -> None:
        super().__init__()
        self.looks = 0
        self.fails = False

    async def events(self, *args, **kwargs):
        self.looks += 1
        await asyncio.sleep(0)
        if self.fails:
            raise BackendError("the store does not answer")
        return await super().events(*args, **kwargs)

    async def unread(self, *args, **kwargs):
        for _ in range(5):  # the last look of `get_changes`: much may happen until it ends
            await asyncio.sleep(0)
        return await super().unread(*args, **kwargs)


def who(connection):
    return connection.headers.get("x-user")


def note(title="t") -> Notification:
    return Notification(title=title, user_id="anna")


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
async def service(store):
    async with NotificationService(store=store, clock=FakeClock()) as made:
        yield made


@pytest.fixture
async def app(service):
    made = create_app(service, authenticate=who)
    yield made
    await settle()
    assert made.state.care.connections == 0
    left = {each.get_name() for each in asyncio.all_tasks()}
    assert not left & {"notify.feed", "notify.client", "notify.care"}


async def until_open(app, count: int) -> None:
    async with asyncio.timeout(60):
        while app.state.care.connections != count:
            await asyncio.sleep(0)
    await settle()


async def heard(line: Line, count: int) -> list[int]:
    return [(await line.hear())["seq"] for _ in range(count)]


async def test_an_event_is_read_and_encoded_once(service, store, app, monkeypatch) -> None:
    lines = [Line(app, PATH, query="since=0") for _ in range(5)]
    await until_open(app, 5)
    made, plain = [], wire_module.event
    monkeypatch.setattr(wire_module, "event", lambda e: made.append(e.seq) or plain(e))
    store.looks = 0
    for n in range(1, 4):
        await service.send(note())
        assert [await heard(line, 1) for line in lines] == [[n]] * 5
    assert made == [1, 2, 3]
    assert store.looks <= 6, "one for all, not one for each"
    assert (await service.get_stats()).watchers == 1
    for line in lines:
        await line.close()


@pytest.mark.parametrize("seed", range(25))
async def test_whoever_comes_at_any_time_hears_all_once(service, app, seed) -> None:
    rng = random.Random(seed)
    lines: list[tuple[int, Line]] = []
    for n in range(60):
        await service.send(note(str(n)))
        for _ in range(rng.randrange(4)):
            await asyncio.sleep(0)
        if rng.random() < 0.3:
            since = rng.randrange(n + 2)
            lines.append((since, Line(app, PATH, query=f"since={since}")))
        if lines and rng.random() < 0.2:
            rng.choice(lines)[1].flows.clear()
        if lines and rng.random() < 0.3:
            rng.choice(lines)[1].flows.set()
    for _, line in lines:
        line.flows.set()
    await service.send(note("last"))
    for since, line in lines:
        assert await heard(line, 61 - since) == list(range(since + 1, 62))
    await settle()
    assert all(line.is_silent for _, line in lines)
    for _, line in lines:
        await line.close()


async def test_who_begins_now_hears_nothing_of_before(service, app) -> None:
    await service.send(note())
    old = Line(app, PATH, query="since=0")
    assert await heard(old, 1) == [1]
    new, alone = Line(app, PATH), Line(app, PATH, user="ben")
    await until_open(app, 3)
    await service.send(note())
    assert await heard(new, 1) == await heard(old, 1) == [2]
    await service.send(Notification(title="t", user_id="ben"))
    assert await heard(alone, 1) == [1]
    for line in (old, new, alone):
        await line.close()


async def test_who_takes_something_again_reads_on(service, app) -> None:
    slow, quick = (Line(app, PATH, query="since=0") for _ in range(2))
    await until_open(app, 2)
    slow.flows.clear()
    for n in range(1, 451):  # over two pages of the store
        await service.send(note())
        assert await heard(quick, 1) == [n]
    assert not slow.sent
    slow.flows.set()
    assert await heard(slow, 450) == list(range(1, 451))
    await service.send(note())
    assert await heard(slow, 1) == await heard(quick, 1) == [451]
    for line in (slow, quick):
        await line.close()


async def test_an_inbox_that_begins_anew(service, app) -> None:
    await service.send(note())
    await service.send(note())
    lines = [Line(app, PATH, query="since=0") for _ in range(2)]
    for line in lines:
        assert await heard(line, 2) == [1, 2]
    await service.erase_user("anna")
    await service.send(note())
    for line in lines:
        assert await heard(line, 1) == [1]
    late = Line(app, PATH, query="since=2")  # it does not know yet
    assert await heard(late, 1) == [1]
    await service.send(note())
    for line in (*lines, late):
        assert await heard(line, 1) == [2]
        await line.close()


@pytest.mark.parametrize("count", [1, 3])
async def test_a_store_that_fails_closes_them(service, store, app, count) -> None:
    lines = [Line(app, PATH, query="since=0") for _ in range(count)]
    await until_open(app, count)
    store.fails = True
    await service.send(note())
    for line in lines:
        await line.end()
        assert line.closed == 1011
    store.fails = False
    again = Line(app, PATH, query="since=0")
    assert await heard(again, 1) == [1]
    await again.close()


async def test_a_wrong_answer_of_the_store_is_told_to_who_runs_it(
    service, store, app, monkeypatch, caplog
) -> None:
    first = Line(app, PATH, query="since=0")
    await until_open(app, 1)

    async def broken(*_, **__):
        raise LookupError

    monkeypatch.setattr(store, "last_seq", broken)
    second = Line(app, PATH, query="since=0")
    await second.end()
    assert second.closed == 1011
    assert [each.message for each in caplog.records if each.levelname == "ERROR"] == [
        "socket.failed"
    ]
    await first.close()


async def test_a_service_that_is_closed_ends_them(app, service) -> None:
    lines = [Line(app, PATH, query="since=0") for _ in range(2)]
    await until_open(app, 2)
    await service.aclose()
    for line in lines:
        await line.end()
        assert line.closed == 1001


async def test_what_was_missed_comes_in_a_few_messages_to_who_takes_batches(service, app) -> None:
    for n in range(250):  # more than one page, and more than one message holds
        await service.send(Notification(title=f"{n}", message="m" * 1000, user_id="anna"))
    line, plain = Line(app, PATH, query="since=5&batch=1"), Line(app, PATH, query="since=5")
    batches, places = 0, list[int]()
    while len(places) < 245:
        said = await line.hear()
        batches += 1
        places += [each["seq"] for each in said["events"]]
    assert places == list(range(6, 251))
    assert 4 <= batches <= 10
    assert max(len(each["text"]) for each in line.sent) < 70_000
    assert await heard(plain, 245) == places
    await service.send(note())
    assert (await line.hear())["seq"] == (await plain.hear())["seq"] == 251
    await line.close()
    await plain.close()
