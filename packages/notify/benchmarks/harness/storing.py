"""Sending against the same statements on the raw driver; bulk against its ``executemany``."""

import asyncio
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

from notify import Notification, NotificationService
from notify.adapters.sql import SQLStore
from notify.adapters.sql_tables import DELIVERY, NOTE
from notify.records import to_record
from notify.stored import Entry
from notify.testing import entry

from ._common.results import Results

COUNT, BULK, WARM = 300, 10_000, 2000


def entries(count: int, first: str = "u") -> list[Entry]:
    made = []
    for n in range(count):
        shown = entry(f"{first}{n}").deliveries
        record = to_record(Notification(title="t", user_id=f"{first}{n}"))
        for each in shown:
            each.notification_id = record.id
        made.append(Entry(record, shown, visible=True))
    return made


def statements(store: SQLStore, chosen: list[Entry]) -> list[list[tuple[str, Any]]]:
    return [
        [store._db.prepare(sql).step(values) for sql, values in store.adding(each, "ticket")]
        for each in chosen
    ]


async def ours(url: str, results: Results, name: str, first: str) -> None:
    async with NotificationService.from_url(url) as service:
        await service.unread_count("u")
        started = time.perf_counter()
        for n in range(COUNT):
            await service.send(Notification(title="t", user_id=f"{first}{n}"))
        add(results, name, "notify.send", COUNT, started, ours=True)


def add(
    results: Results,
    name: str,
    who: str,
    count: int,
    started: float,
    *,
    ours: bool = False,
    floor: bool = False,
) -> None:
    """Note how many a second it were since ``started``."""
    kind, _, store = name.partition("-")
    title = {"send": "send", "bulk": f"send_bulk of {BULK:,}"}[kind]
    measure = results.measure(name, f"{title}, {store}", "a second", more=True)
    measure.add(who, count / (time.perf_counter() - started), ours=ours, floor=floor)


async def sqlite(results: Results) -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder)}/n.db?synchronous=NORMAL"
        store = SQLStore.from_url(url)
        await store.setup()
        steps = statements(store, entries(COUNT))
        await store.aclose()
        link = sqlite3.connect(Path(folder, "n.db"), isolation_level=None, check_same_thread=False)
        link.execute("PRAGMA synchronous = NORMAL")

        def one(batch: list[tuple[str, Any]]) -> None:
            link.execute("BEGIN IMMEDIATE")
            for sql, args in batch:
                link.execute(sql, args).fetchall()
            link.execute("COMMIT")

        started = time.perf_counter()
        for batch in steps:
            await asyncio.to_thread(one, batch)
        who = "sqlite3 in a thread, the same statements"
        add(results, "send-SQLite", who, COUNT, started, floor=True)
        await ours(url, results, "send-SQLite", "v")
        stored = link.execute("SELECT count(*) FROM notifications").fetchone()[0]
        link.close()
        assert stored == 2 * COUNT, stored


async def postgres(url: str, results: Results) -> None:
    import asyncpg

    store = SQLStore(url)
    await store.setup()
    for name in ("", "_deliveries", "_events", "_users"):
        await store._db.fetch(f"TRUNCATE notifications{name}")
    steps = statements(store, entries(COUNT))
    raw = await asyncpg.connect(url)
    started = time.perf_counter()
    for batch in steps:
        await raw.execute("BEGIN")
        for sql, args in batch:
            await raw.fetch(sql, *args)
        await raw.execute("COMMIT")
    add(results, "send-PostgreSQL", "asyncpg, the same rows", COUNT, started, floor=True)
    await ours(url, results, "send-PostgreSQL", "v")
    many = entries(BULK, "w")
    names = [name for name in NOTE if name != "seq"]
    notes = [(*tuple(getattr(each.record, name) for name in names), "t") for each in many]
    rows = [
        tuple(str(v) if (v := getattr(d, name)) is not None and name == "status" else v
              for name in DELIVERY)
        for each in many for d in each.deliveries
    ]  # fmt: skip
    marks = ", ".join(f"${n + 1}" for n in range(len(names) + 1))
    held = ", ".join(f"${n + 1}" for n in range(len(DELIVERY)))
    started = time.perf_counter()
    async with raw.transaction():
        await raw.executemany(
            f"INSERT INTO notifications ({', '.join(names)}, ticket) VALUES ({marks})", notes
        )
        await raw.executemany(
            f"INSERT INTO notifications_deliveries ({', '.join(DELIVERY)}) VALUES ({held})", rows
        )
    who = "asyncpg executemany, notifications and deliveries"
    add(results, "bulk-PostgreSQL", who, BULK, started, floor=True)
    async with NotificationService.from_url(url) as service:
        # its connections are open, as the raw one is, which has run for a while
        await service.send_bulk(Notification(title="t", user_id=f"y{n}") for n in range(WARM))
        started = time.perf_counter()
        await service.send_bulk(Notification(title="t", user_id=f"x{n}") for n in range(BULK))
        who = "notify.send_bulk, with numbers and events"
        add(results, "bulk-PostgreSQL", who, BULK, started, ours=True)
    assert await raw.fetchval("SELECT count(*) FROM notifications") == 2 * COUNT + 2 * BULK + WARM
    await raw.close()
    await store.aclose()
