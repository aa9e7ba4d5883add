"""The SQL store's own: the caller's session, schema, formats."""

import sqlite3

import pytest

pytest.importorskip("sqlalchemy")

from sqlalchemy import create_engine, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from notify import (
    BackendError,
    ConfigurationError,
    IdempotencyConflict,
    Notification,
    NotificationService,
)
from notify.adapters.sql import SQLStore
from notify.adapters.sql_tables import make_metadata
from notify.testing import FakeChannel, entry


@pytest.fixture
async def service(sqlite_url):
    async with NotificationService.from_url(sqlite_url, channels=[FakeChannel("email")]) as made:
        yield made


def note(title="t", **more) -> Notification:
    return Notification(title=title, user_id="ann", channels=["in-app", "email"], **more)


async def test_an_async_session_is_the_transaction(service, tmp_path) -> None:
    pytest.importorskip("aiosqlite")
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/n.db")
    async with AsyncSession(engine) as session:
        await session.execute(text("CREATE TABLE orders (id INTEGER)"))
        await session.commit()
        await session.execute(text("INSERT INTO orders VALUES (1)"))
        sent = await service.send(note("kept", idempotency_key="k"), session=session)
        assert sent.notification.seq == 1
        again = await service.send(note("kept", idempotency_key="k"), session=session)
        assert again.duplicate
        assert len(again.deliveries) == 2
        with pytest.raises(IdempotencyConflict):
            await service.send(note("other", idempotency_key="k"), session=session)
        await session.commit()
        await session.execute(text("INSERT INTO orders VALUES (2)"))
        await service.send(note("undone"), session=session)
        await session.rollback()
        count = (await session.execute(text("SELECT count(*) FROM orders"))).scalar()
    await engine.dispose()
    assert count == 1
    assert [each.title for each in await service.get_user_notifications("ann")] == ["kept"]
    assert len(await service.deliveries(sent.id)) == 2


async def test_a_blocking_session_too(service, tmp_path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/n.db")
    with Session(engine) as session:
        await service.send(note("kept"), session=session)
        session.commit()
    engine.dispose()
    assert await service.unread_count("ann") == 1


async def test_a_newer_format_is_refused(tmp_path) -> None:
    store = SQLStore(f"sqlite:///{tmp_path}/n.db")
    made = entry()
    await store.add([made])
    with sqlite3.connect(tmp_path / "n.db") as link:
        link.execute("UPDATE notifications SET version = 9")
    link.close()
    with pytest.raises(BackendError, match="format 9"):
        await store.get(made.record.id, None)
    await store.aclose()


async def test_a_newer_schema_is_refused(tmp_path) -> None:
    store = SQLStore(f"sqlite:///{tmp_path}/n.db")
    await store.unread("ann")
    await store.aclose()
    with sqlite3.connect(tmp_path / "n.db") as link:
        link.execute("UPDATE notifications_schema SET version = 9, oldest = 9")
    link.close()
    with pytest.raises(ConfigurationError, match="newer release"):
        await store.unread("ann")
    await store.aclose()


async def test_tables_of_other_names(tmp_path) -> None:
    """Two stores share a database without touching each other's tables."""
    names = ("inbox", "post")
    stores = [SQLStore(f"sqlite:///{tmp_path}/n.db", table=name) for name in names]
    await stores[0].add([entry("ann", "email")])
    assert await stores[1].unread("ann") == 0
    [claimed] = await stores[0].claim({"email": 1}, entry().record.created_at, 2e9)
    assert claimed.delivery.user_id == "ann"
    assert await stores[0].erase("ann") == 1
    for each in stores:
        await each.aclose()


def test_schema_and_metadata() -> None:
    script = SQLStore("postgresql://h/d", table="inbox").schema_sql()
    for name in ("inbox", "inbox_deliveries", "inbox_events", "inbox_users", "inbox_preferences"):
        assert f"CREATE TABLE IF NOT EXISTS {name} " in script
        assert name in make_metadata("inbox").tables


@pytest.mark.parametrize("url", ["sqlite:///x.db?mode=ro", "sqlite:///x.db?synchronous=maybe"])
def test_bad_options(url) -> None:
    with pytest.raises(ConfigurationError):
        SQLStore.from_url(url)


async def test_an_unwritable_file_is_a_backend_error(tmp_path) -> None:
    (tmp_path / "n.db").write_bytes(b"this is no database, it is a text of some length" * 50)
    store = SQLStore(f"sqlite:///{tmp_path}/n.db")
    with pytest.raises(BackendError):
        await store.unread("ann")
    await store.aclose()


async def test_hostile_bytes_in_a_record_run_nothing(tmp_path) -> None:
    """What somebody writes into the database is data: at worst an error of ours or of decoding."""
    url = f"sqlite:///{tmp_path}/n.db"
    async with NotificationService.from_url(url) as service:
        sent = await service.send(note())
        with sqlite3.connect(tmp_path / "n.db") as link:
            link.execute("UPDATE notifications SET body = ?", (b"\x80\x04cos\nsystem\n.",))
        link.close()
        with pytest.raises(BackendError, match="cannot be read"):
            await service.get(sent.id)
        with sqlite3.connect(tmp_path / "n.db") as link:
            link.execute("UPDATE notifications_deliveries SET status = 'pending', history = 'x'")
        link.close()
        await service.deliver_due()
        rows = await service.list_deliveries()
        assert {str(each.status) for each in rows} == {"dead"}
        with sqlite3.connect(tmp_path / "n.db") as link:
            link.execute("INSERT INTO notifications_preferences VALUES ('ann', x'80', 1.0)")
        link.close()
        with pytest.raises(BackendError, match="preferences"):
            await service.get_preferences("ann")


async def test_changes_where_events_were_removed(sqlite_url) -> None:
    """Retention removes events and leaves the number: who asks is told where the inbox stands."""
    store = SQLStore(sqlite_url)
    await store.add([entry() for _ in range(3)])
    await store._db.fetch("DELETE FROM notifications_events WHERE seq <> 2")
    found = await store.changes("ann", 0, 10)
    assert ([each.seq for each in found.events], found.seq, found.unread) == ([2], 2, 3)
    for since in (2, 3, None):
        found = await store.changes("ann", since, 10)
        assert (list(found.events), found.seq, found.has_more) == ([], 3, False)
    await store.aclose()


async def test_what_comes_between_two_looks_is_not_passed_over(sqlite_url, monkeypatch) -> None:
    store = SQLStore(sqlite_url)
    fetch, asked = store._fetch, []

    async def late(text, params):
        rows = await fetch(text, params)
        if not asked:
            asked.append(text)
            await store.add([entry()])
        return rows

    await store.add([entry("bob")])
    monkeypatch.setattr(store, "_fetch", late)
    found = await store.changes("ann", 0, 10)
    assert ([each.seq for each in found.events], found.seq, found.unread) == ([1], 1, 1)
    await store.aclose()


async def test_what_was_read_is_not_looked_at_to_count_what_is_not(sqlite_url) -> None:
    """Every statement that counts goes by the index of what is unread, however much was read."""
    store = SQLStore(sqlite_url)
    texts = store._sql
    counting = [texts.unread, texts.stand, texts.told_changes, texts.changes, texts.show[2]]
    counting += [texts.marking("read")[2], texts.marking("deleted")[2], texts.mark_all[2]]
    link = sqlite3.connect(sqlite_url.removeprefix("sqlite:///").partition("?")[0])
    try:
        for each in counting:
            statement = store._db.prepare(each)
            plan = link.execute(
                f"EXPLAIN QUERY PLAN {statement.sql}", [None] * len(statement.names)
            )
            assert any("USING INDEX notifications_unread" in row[3] for row in plan), each
    finally:
        link.close()
    await store.aclose()
