"""Sending against the same statements on the raw driver: ``python bench_notify.py [--rounds 5]``.

Prints medians of interleaved rounds and ratios; what was stored is counted outside.
"""

import argparse
import asyncio
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

from notify import Notification, NotificationService
from notify.adapters.sql import SQLStore
from notify.records import to_record
from notify.stored import (
    Entry,
)
from notify.testing import entry

COUNT = 300


async def ours(path: Path) -> None:
    async with NotificationService.from_url(f"sqlite:///{path}?synchronous=NORMAL") as service:
        await service.unread_count("u")
        started = time.perf_counter()
        for n in range(COUNT):
            await service.send(Notification(title="t", user_id=f"u{n}"))
        report("send", started)


async def bulk(path: Path) -> None:
    async with NotificationService.from_url(f"sqlite:///{path}?synchronous=NORMAL") as service:
        await service.unread_count("u")
        notes = [Notification(title="t", user_id=f"u{n}") for n in range(COUNT * 10)]
        started = time.perf_counter()
        await service.send_bulk(notes)
        report("send_bulk", started, COUNT * 10)


async def raw(path: Path) -> None:
    """Do the store's own statements on sqlite3 in a thread, one transaction a call."""
    store = SQLStore(f"sqlite:///{path}", synchronous="NORMAL")
    await store.setup()
    entries = []
    for n in range(COUNT):
        made = entry(f"u{n}")
        record = to_record(Notification(title="t", user_id=f"u{n}"))
        entries.append(Entry(record, made.deliveries, visible=True))
        for each in made.deliveries:
            each.notification_id = record.id
    steps = [
        [store._db.prepare(sql).step(values) for sql, values in store._adding(each, "ticket")]
        for each in entries
    ]
    await store.aclose()
    link = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    link.execute("PRAGMA synchronous = NORMAL")

    def one(batch) -> None:
        link.execute("BEGIN IMMEDIATE")
        for sql, args in batch:
            link.execute(sql, args).fetchall()
        link.execute("COMMIT")

    started = time.perf_counter()
    for batch in steps:
        await asyncio.to_thread(one, batch)
    report("raw", started)
    link.close()


FIGURES: dict[str, list[float]] = {}


def report(name: str, started: float, count: int = COUNT) -> None:
    FIGURES.setdefault(name, []).append(count / (time.perf_counter() - started))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    for _ in range(parser.parse_args().rounds):
        for bench in (raw, ours, bulk):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "n.db")
                asyncio.run(bench(path))
                with sqlite3.connect(path) as link:
                    stored = link.execute("SELECT count(*) FROM notifications").fetchone()[0]
                link.close()
                assert stored in {COUNT, COUNT * 10}, stored
    floor = statistics.median(FIGURES["raw"])
    for name, values in FIGURES.items():
        middle = statistics.median(values)
        spread = f"{min(values):,.0f} to {max(values):,.0f}"
        print(f"{name:10} {middle:>9,.0f}/s  ({spread})  {floor / middle:.2f} x the time of raw")


if __name__ == "__main__":
    main()
