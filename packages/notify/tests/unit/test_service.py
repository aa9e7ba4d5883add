"""The service: sending, the inbox, live feeds, preferences, on memory and SQLite."""

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from notify import (
    BackendError,
    ConfigurationError,
    IdempotencyConflict,
    InvalidNotification,
    InvalidPreferences,
    Notification,
    NotificationFilters,
    NotificationNotFound,
    NotificationPreferences,
    NotificationService,
    QuietHours,
    UnsupportedOperationError,
)
from notify._common.telemetry import correlated
from notify.testing import FakeChannel, settle


def note(title: str = "t", user_id: str = "ann", **more) -> Notification:
    return Notification(title=title, user_id=user_id, **more)


async def take(stream, count: int) -> list:
    found = []
    async with asyncio.timeout(60):
        async for each in stream:
            found.append(each)
            if len(found) == count:
                break
    await stream.aclose()
    return found


async def test_send_returns_what_is_stored(service) -> None:
    given = note(
        "Title ü", message="m\nn", type="error", category="c", action_url="https://x.example/1?a=b",
        action_label="Go", metadata={"a": [1, None]}, channels=["in-app"], priority="critical",
        locale="de-AT", context={"n": 1}, timestamp=datetime(2026, 1, 2, tzinfo=UTC),
    )  # fmt: skip
    result = await service.send(given)
    assert result.ok
    assert not result.duplicate
    found = await service.get(result.id, "ann")
    same = dataclasses.replace(found, seq=None, channels=["in-app"])
    assert same == given
    assert found.seq == 1


async def test_the_same_content_and_key_is_the_same_notification(service) -> None:
    first = await service.send(note(idempotency_key="k", metadata={"b": 1, "a": 2}))
    with correlated("another request"):
        again = await service.send(note(idempotency_key="k", metadata={"a": 2, "b": 1}))
    assert again.duplicate
    assert again.id == first.id
    assert len(again.deliveries) == 1
    for other in (note("other", idempotency_key="k"), note(id=first.id, title="other")):
        with pytest.raises(IdempotencyConflict):
            await service.send(other)
    with pytest.raises(IdempotencyConflict):
        await service.send(note(id=first.id, user_id="bob"))
    mine = await service.send(note(user_id="bob", idempotency_key="k"))
    assert mine.id != first.id
    assert await service.unread_count("ann") == 1


async def test_sending_the_same_key_at_once_makes_one(service) -> None:
    results = await asyncio.gather(*(service.send(note(idempotency_key="k")) for _ in range(10)))
    assert len({each.id for each in results}) == 1
    assert sum(not each.duplicate for each in results) == 1


async def test_bulk_goes_on_after_a_bad_one(service) -> None:
    await service.send(note("first", idempotency_key="k"))
    results = await service.send_bulk([
        note("a"), note(""), note("b", user_id="bob"), note("c", channels=["pigeon"]),
        note("other", idempotency_key="k"), note("d", metadata={"x": object()}), note("e"),
    ])  # fmt: skip
    assert [each.ok for each in results] == [True, False, True, False, False, False, True]
    assert isinstance(results[1].error, InvalidNotification)
    assert isinstance(results[4].error, IdempotencyConflict)
    assert [each.title for each in await service.get_user_notifications("ann")] == [
        "e",
        "a",
        "first",
    ]
    assert await service.send_bulk([]) == []


async def test_bulk_of_many(service) -> None:
    results = await service.send_bulk([note(str(n), f"u{n % 7}") for n in range(1200)])
    assert all(each.ok for each in results)
    assert [each.notification.title for each in results] == [str(n) for n in range(1200)]
    page = await service.get_user_notifications("u3", limit=500)
    assert [each.seq for each in page] == list(range(len(page), 0, -1))


async def test_only_in_app_ones_are_in_the_inbox(service) -> None:
    sent = await service.send(note(channels=["sms"]))
    assert await service.get_user_notifications("ann") == []
    assert (await service.get(sent.id, "ann")).seq is None
    await service.mark_as_read(sent.id, "ann")
    assert (await service.get(sent.id)).read
    assert await service.unread_count("ann") == 0


async def test_another_users_is_not_found(service) -> None:
    sent = await service.send(note())
    for call in (
        service.get, service.mark_as_read, service.archive, service.delete, service.deliveries,
        service.explain,
    ):  # fmt: skip
        with pytest.raises(NotificationNotFound) as foreign:
            await call(sent.id, "bob")
        with pytest.raises(NotificationNotFound) as absent:
            await call("0" * 32, "bob")
        assert str(foreign.value).replace(sent.id, "0" * 32) == str(absent.value)
    assert await service.unread_count("ann") == 1


async def test_inbox_paging_and_filters(service) -> None:
    for n in range(5):
        await service.send(note(str(n), category="even" if n % 2 == 0 else "odd"))
    page = await service.get_user_notifications("ann", limit=2)
    assert [each.title for each in page] == ["4", "3"]
    page = await service.get_user_notifications("ann", limit=3, cursor=page.next_cursor)
    assert [each.title for each in page] == ["2", "1", "0"]
    assert page.next_cursor is None
    filters = NotificationFilters(category="even")
    await service.mark_as_read(page[0].id, "ann")
    found = await service.get_user_notifications("ann", True, filters=filters)
    assert [each.title for each in found] == ["4", "0"]
    for bad in ({"limit": 0}, {"limit": 501}, {"limit": True}, {"cursor": "x"}, {"cursor": "-1"}):
        with pytest.raises(ConfigurationError):
            await service.get_user_notifications("ann", **bad)


async def test_mark_archive_delete_and_counts(service) -> None:
    ids = [(await service.send(note(str(n), category="a" if n < 2 else "b"))).id for n in range(4)]
    await service.mark_as_read(ids[0], "ann")
    await service.mark_as_read(ids[0], "ann")
    await service.archive(ids[1], "ann")
    assert await service.unread_count("ann") == 2
    assert await service.mark_all_as_read("ann", category="a") == 0
    assert await service.mark_all_as_read("ann", before=datetime.now(UTC) - timedelta(1)) == 0
    assert await service.mark_all_as_read("ann") == 2
    await service.delete(ids[3], "ann")
    events = await take(service.watch("ann", 0), 8)
    assert [(e.kind, e.unread) for e in events] == [
        ("created", 1), ("created", 2), ("created", 3), ("created", 4), ("read", 3),
        ("archived", 2), ("all_read", 0), ("deleted", 0),
    ]  # fmt: skip
    assert [each.title for each in await service.get_user_notifications("ann")] == ["2", "0"]


async def test_watch_replays_exactly_what_was_missed(service) -> None:
    for n in range(3):
        await service.send(note(str(n)))
    first = await take(service.watch("ann", 0), 2)
    live = service.watch("ann", first[-1].seq)
    await service.send(note("3"))
    rest = await take(live, 2)
    assert [e.seq for e in (*first, *rest)] == [1, 2, 3, 4]
    assert [e.notification.title for e in (*first, *rest)] == ["0", "1", "2", "3"]


async def test_watch_from_now_sees_only_what_comes(service, monkeypatch) -> None:
    await service.send(note("old"))
    seen, begun, changes = [], asyncio.Event(), service.store.changes

    async def looked(*args):
        found = await changes(*args)
        begun.set()
        return found

    monkeypatch.setattr(service.store, "changes", looked)

    async def watch() -> None:
        seen.extend(await take(service.watch("ann"), 2))

    task = asyncio.create_task(watch())
    async with asyncio.timeout(60):
        await begun.wait()
    assert (await service.get_stats()).watchers == 1
    await service.send_bulk([note("new"), note("newer"), note("not mine", "bob")])
    await task
    assert [e.notification.title for e in seen] == ["new", "newer"]
    assert (await service.get_stats()).watchers == 0


async def test_hundred_watchers_and_random_writers_see_one_sequence(service) -> None:
    streams = [asyncio.create_task(take(service.watch("ann", 0), 40)) for _ in range(20)]
    await asyncio.gather(*(service.send(note(str(n))) for n in range(30)))
    page = await service.get_user_notifications("ann", limit=10)
    await asyncio.gather(*(service.mark_as_read(each.id, "ann") for each in page))
    for events in await asyncio.gather(*streams):
        assert [e.seq for e in events] == list(range(1, 41))
        assert events[-1].unread == 20


async def test_subscribe(service, eventually) -> None:
    heard, slow = [], []

    async def callback(n: Notification) -> None:
        heard.append(n.title)
        if n.title == "bad":
            raise ValueError("theirs")

    stop = service.subscribe("ann", callback)
    stop_slow = service.subscribe("ann", lambda n: (slow.append(n.title), stop_slow()))
    await service.send(note("one"))
    await service.send(note("bad"))
    await service.send(note("two"))
    await eventually(lambda: heard == ["one", "bad", "two"] and slow)
    assert slow == ["one"]
    stop()
    stop()
    await service.send(note("three"))
    await asyncio.sleep(0.05)
    assert heard == ["one", "bad", "two"]


async def test_a_subscription_outlives_a_store_that_fails(outbox, monkeypatch) -> None:
    service, clock, heard = outbox.service, outbox.clock, []
    service.subscribe("ann", lambda n: heard.append(n.title))
    await service.send(note("one"))
    await clock.advance(0)
    events = service.store.events

    async def down(*_: object) -> None:
        raise BackendError("away", retryable=True)

    monkeypatch.setattr(service.store, "events", down)
    await service.send(note("two"))
    await clock.advance(0.5)
    assert heard == ["one"]
    monkeypatch.setattr(service.store, "events", events)
    await service.send(note("three"))
    await clock.advance(1)
    assert heard == ["one", "two", "three"]


async def test_closing_ends_a_subscription_that_has_not_begun() -> None:
    service = NotificationService.from_url("memory://")
    service.subscribe("ann", print)
    await service.aclose()
    await settle()
    assert service._built is None
    assert not [t for t in asyncio.all_tasks() if t.get_name().startswith("notify")]


async def test_deleting_while_the_sender_waits_is_no_error_of_the_sender() -> None:
    service = NotificationService.from_url("memory://", channels=[FakeChannel("email")])
    service.configure({"delivery": {"background": False}})
    async with service:
        given = note(channels=["in-app", "email"])
        sending = asyncio.create_task(service.send(given, wait=30))
        while not await service.unread_count("ann"):
            await asyncio.sleep(0)
        await service.delete(given.id, "ann")
        async with asyncio.timeout(60):
            assert (await sending).id == given.id


def test_subscribe_needs_a_loop() -> None:
    with pytest.raises(RuntimeError):
        NotificationService().subscribe("ann", print)


async def test_preferences_in_every_shape(service) -> None:
    await service.set_preferences(
        "ann",
        {
            "channels": ["in-app"],
            "categories": {"news": False},
            "quiet_hours": {"start": "22:00", "end": "07:00"},
        },
    )
    prefs = await service.get_preferences("ann")
    assert prefs.windows == (QuietHours("22:00", "07:00"),)
    assert dict(prefs.categories) == {"news": False}
    nights = QuietHours("23:00", "06:00", "Europe/Berlin", [0, "tue"])
    made = NotificationPreferences(quiet_hours=[nights], timezone="Asia/Tokyo", locale="ja")
    await service.set_preferences("ann", made)
    prefs = await service.get_preferences("ann")
    assert prefs.windows[0].weekdays == ("mon", "tue")
    assert (prefs.timezone, prefs.locale, prefs.channels) == ("Asia/Tokyo", "ja", None)
    assert (await service.get_preferences("bob")).windows == ()


@pytest.mark.parametrize(
    "bad",
    [
        {"channel": []},
        {"channels": ["pigeon"]},
        {"channels": "email"},
        {"categories": {"a": "no"}},
        {"categories": {"a": {"pigeon": True}}},
        {"categories": {"": True}},
        {"categories": [1]},
        {"timezone": "Mars/Base"},
        {"timezone": "../etc/passwd"},
        {"timezone": 3},
        {"locale": "d"},
        {"quiet_hours": {"start": "22:00"}},
        {"quiet_hours": {"start": "22:00", "end": "24:00"}},
        {"quiet_hours": {"start": "7:00", "end": "08:00"}},
        {"quiet_hours": {"start": "22:00", "end": "22:00"}},
        {"quiet_hours": {"start": "22:00", "end": "07:00", "weekdays": ["someday"]}},
        {"quiet_hours": {"start": "22:00", "end": "07:00", "weekdays": []}},
        {"quiet_hours": {"start": "22:00", "end": "07:00", "timezone": "X"}},
        {"quiet_hours": [{"start": "00:00", "end": "12:00"}, {"start": "12:00", "end": "00:00"}]},
        {"quiet_hours": 7},
        {"quiet_hours": [7]},
        {"quiet_hours": "22:00"},
        {"quiet_hours": {"start": 22, "end": "07:00"}},
        {"quiet_hours": {"start": "22:00", "end": "07:00", "weekdays": 9}},
        {"quiet_hours": {"start": "22:00", "end": "07:00", "weekdays": [[]]}},
        "text",
    ],
)
async def test_bad_preferences_change_nothing(service, bad) -> None:
    await service.set_preferences("ann", {"locale": "de"})
    with pytest.raises(InvalidPreferences):
        await service.set_preferences("ann", bad)
    assert (await service.get_preferences("ann")).locale == "de"


async def test_erase_user_leaves_nothing(service) -> None:
    for user in ("ann", "bob"):
        await service.send(note(user_id=user))
        await service.set_preferences(user, {"locale": "de"})
    live = service.watch("ann", 5)
    assert await service.erase_user("ann") == 1
    assert await service.get_user_notifications("ann") == []
    assert (await service.get_preferences("ann")).locale is None
    assert await service.unread_count("bob") == 1
    await service.send(note("new life"))
    [event] = await take(live, 1)
    assert (event.seq, event.notification.title) == (1, "new life")


async def test_correlation_id_is_kept(service) -> None:
    with correlated("req-1"):
        sent = await service.send(note(metadata={"a": 1}))
    assert dict((await service.get(sent.id)).metadata) == {"correlation_id": "req-1", "a": 1}


async def test_stats(service) -> None:
    await service.send(note(channels=["in-app", "sms"]))
    stats = await service.get_stats()
    assert (stats.notifications, stats.sent, stats.watchers) == (1, 1, 0)
    assert stats.deliveries == {"delivered": 1, "suppressed": 1}


async def test_memory_refuses_a_session() -> None:
    async with NotificationService.from_url("memory://") as service:
        with pytest.raises(UnsupportedOperationError, match="SQL"):
            await service.send(note(), session=object())


async def test_unknown_store_names_the_known_ones() -> None:
    for url in ("oracle://h/db", "nonsense://x"):
        async with NotificationService.from_url(url) as service:
            with pytest.raises(ConfigurationError, match=r"known: .*memory"):
                await service.send(note())
    with pytest.raises(ConfigurationError):
        async with NotificationService.from_url("memory://?x=1") as service:
            await service.send(note())


async def test_strict_refuses_to_guess(monkeypatch) -> None:
    monkeypatch.setenv("NOTIFY_STRICT", "1")
    with pytest.raises(ConfigurationError, match="NOTIFY_STRICT"):
        await NotificationService().send(note())


async def test_url_from_the_environment(monkeypatch, tmp_path) -> None:
    pytest.importorskip("sqlalchemy")
    monkeypatch.setenv("NOTIFY_URL", f"sqlite:///{tmp_path}/n.db")
    async with NotificationService() as service:
        await service.send(note())
    assert (tmp_path / "n.db").exists()


async def test_retention_removes_by_itself(outbox) -> None:
    service, clock = outbox.service, outbox.clock
    now = datetime.fromtimestamp(clock.time(), UTC)
    read = (await service.send(note("read", timestamp=now))).id
    await service.send(note("unread", timestamp=now))
    await service.mark_as_read(read, "ann")
    await clock.advance(31 * 86400)
    later = datetime.fromtimestamp(clock.time(), UTC)
    await service.send(note("new", timestamp=later))
    await clock.advance(1)
    assert [each.title for each in await service.get_user_notifications("ann")] == ["new", "unread"]
    await clock.advance(60 * 86400)
    assert await service.sweep() == 1
    assert [each.title for each in await service.get_user_notifications("ann")] == ["new"]


@pytest.mark.parametrize("scheme", ["memory", "sqlite"])
async def test_preferences_hold_from_the_moment_they_are_set_anywhere(tmp_path, scheme) -> None:
    """Also for a sender that has seen others before."""
    if scheme == "sqlite":
        pytest.importorskip("sqlalchemy")
    url = f"sqlite:///{tmp_path}/n.db" if scheme == "sqlite" else "memory://"
    async with NotificationService.from_url(url) as service:
        other = service if scheme == "memory" else NotificationService.from_url(url)

        async def reasons() -> list[str | None]:
            note = Notification(title="t", user_id="ann", category="news", channels=["in-app"])
            return [each.reason for each in (await service.send(note)).deliveries]

        assert await reasons() == [None]
        for wanted in (False, True, False):
            await other.set_preferences("ann", {"categories": {"news": wanted}})
            assert await reasons() == await reasons() == [None if wanted else "category_off"]
        await other.erase_user("ann")
        assert await reasons() == [None]
        await other.aclose()
