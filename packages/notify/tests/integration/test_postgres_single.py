"""One notification stored by one statement: the same as by several, whoever is at it beside."""

import asyncio
from collections.abc import AsyncIterator

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("asyncpg")

from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from notify import IdempotencyConflict, Notification, NotificationService
from notify.adapters.sql import SQLStore
from notify.adapters.sql_single import Single

pytestmark = pytest.mark.integration
SETTINGS = {"delivery": {"background": False}}


@pytest.fixture
async def services(database: str) -> AsyncIterator[list[NotificationService]]:
    """Two, as of two processes."""
    made = [NotificationService(store=SQLStore(database)) for _ in range(2)]
    for each in made:
        each.configure(SETTINGS)
    yield made
    for user in ("ann", "bob"):
        await made[0].erase_user(user)
    for each in made:
        await each.aclose()


@pytest.fixture
def outcomes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Notes how each statement ended: ``Added``, ``OtherPreferences``, or ``NoneType``."""
    found = list[str]()
    add = Single.add

    async def noted(self, *args):
        made = await add(self, *args)
        found.append(type(made).__name__)
        return made

    monkeypatch.setattr(Single, "add", noted)
    return found


def note(**more) -> Notification:
    return Notification(**{"title": "t", "user_id": "ann", **more})


async def numbers(service: NotificationService) -> list[tuple[int, int]]:
    found = await service.get_changes("ann", 0, 500)
    return [(each.seq, each.unread) for each in found.events]


async def test_one_statement_is_enough(services, outcomes) -> None:
    for _ in range(3):
        sent = await services[0].send(note())
    assert outcomes == ["Added"] * 3
    assert sent.notification.seq == 3
    await services[0].mark_as_read(sent.id, "ann")
    await services[0].send(note(read=True))
    await services[0].send(note())
    assert await numbers(services[0]) == [(1, 1), (2, 2), (3, 3), (4, 2), (5, 2), (6, 3)]
    assert outcomes == ["Added"] * 5
    rows = await services[1].deliveries(sent.id)
    assert [(each.channel, str(each.status)) for each in rows] == [("in-app", "delivered")]


@pytest.mark.parametrize("before", [0, 2])
async def test_who_had_to_wait_counts_anew(services, outcomes, database: str, before: int) -> None:
    """What another transaction stored while we waited for it is counted, though it was not seen."""
    for _ in range(before):
        await services[0].send(note())
    outcomes.clear()
    engine = create_async_engine(database.replace("postgresql://", "postgresql+asyncpg://"))
    async with AsyncSession(engine) as session, asyncio.timeout(60):
        await services[0].send(note(title="first"), session=session)
        second = asyncio.create_task(services[1].send(note(title="second")))
        watching = SQLStore(database)
        while not await watching._db.fetch("SELECT 1 FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
        await session.commit()
        await second
        await watching.aclose()
    await engine.dispose()
    assert outcomes == ["NoneType"], "it saw that it had not seen all"
    assert await numbers(services[0]) == [(n, n) for n in range(1, before + 3)]
    titles = [each.title for each in await services[0].get_user_notifications("ann")]
    assert titles[:2] == ["second", "first"]


async def test_many_at_once_are_counted_each(services) -> None:
    sends = [each.send(note()) for _ in range(100) for each in services]
    found = await asyncio.gather(*sends)
    assert sorted(each.notification.seq for each in found) == list(range(1, 201))
    assert await numbers(services[0]) == [(n, n) for n in range(1, 201)]
    assert await services[0].unread_count("ann") == 200


async def test_what_is_there_takes_no_number(services, outcomes) -> None:
    first = await services[0].send(note(idempotency_key="k"))
    again = await services[1].send(note(idempotency_key="k"))
    same = await services[1].send(note(id=first.id, idempotency_key="k"))
    assert (again.id, again.duplicate, same.duplicate) == (first.id, True, True)
    for wrong in (note(idempotency_key="k", message="x"), note(id=first.id, user_id="bob")):
        with pytest.raises(IdempotencyConflict):
            await services[1].send(wrong)
    assert await numbers(services[0]) == [(1, 1)]
    assert outcomes == ["Added", *["NoneType"] * 4]
    # the same key of two at once: one is stored, and the other is it
    both = await asyncio.gather(*(each.send(note(idempotency_key="j")) for each in services))
    assert len({each.id for each in both}) == 1
    assert sorted(each.duplicate for each in both) == [False, True]
    assert await numbers(services[0]) == [(1, 1), (2, 2)]


async def test_wishes_of_another_process_hold(services, outcomes) -> None:
    await services[0].send(note())
    await services[1].set_preferences("ann", {"muted": ["email"]})
    sent = await services[0].send(note(channels=["in-app", "email"]))
    assert {each.channel: each.reason for each in sent.deliveries} == {
        "in-app": None, "email": "channel_missing: not set up",
    }  # fmt: skip
    assert outcomes == ["Added", "OtherPreferences", "Added"]
    assert await numbers(services[0]) == [(1, 1), (2, 2)]


async def test_what_is_not_for_the_inbox_takes_no_number(services, outcomes) -> None:
    sent = await services[0].send(note(channels=["email", "sms"]))
    assert sent.notification.seq is None
    assert await numbers(services[0]) == []
    assert [each.channel for each in await services[0].deliveries(sent.id)] == ["email", "sms"]
    assert outcomes == ["Added"]
