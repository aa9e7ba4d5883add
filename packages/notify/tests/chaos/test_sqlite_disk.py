"""A SQLite file that may grow no further: what was acknowledged is there, the rest can be sent."""

import json
import sqlite3
import sys
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("resource", reason="files are limited by it")

from chaos.filling import send_until_full
from notify import DeliveryFilters, Notification, NotificationService
from notify.testing import FakeChannel

pytestmark = [
    pytest.mark.chaos,
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="files are limited by signals"),
]


@pytest.mark.parametrize("bulk", [False, True])
async def test_a_full_disk(processes, tmp_path: Path, bulk: bool) -> None:
    url, report = f"sqlite:///{tmp_path}/n.db?synchronous=NORMAL", tmp_path / "report.json"
    async with NotificationService.from_url(url) as service:
        await service.setup()
    process = processes.Process(target=send_until_full, args=(url, str(report), bulk))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    told = json.loads(report.read_text())
    assert told["acknowledged"]
    assert told["refused"], "the disk was never full"
    async with NotificationService.from_url(url, channels=[FakeChannel("email")]) as service:
        stored = {each.notification_id for each in await _deliveries(service)}
        assert set(told["acknowledged"]) <= stored, "lost"
        assert set(told["again"]) <= stored
        assert set(told["again"]) == set(told["refused"])
        assert (await service.get_stats()).notifications == len(stored)
        seqs = [each.seq for each in await service.store.events("ann", 0, 10_000)]
        assert seqs == list(range(1, len(stored) + 1))
        sent = await service.send(Notification(title="t", user_id="ann"))
        assert sent.notification.seq in {None, len(stored) + 1}
    with sqlite3.connect(tmp_path / "n.db") as link:
        assert link.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    link.close()


async def _deliveries(service: NotificationService) -> list:
    found, cursor = [], None
    while True:
        page = await service.list_deliveries(DeliveryFilters(), 500, cursor=cursor)
        found += page
        if (cursor := page.next_cursor) is None:
            return found
