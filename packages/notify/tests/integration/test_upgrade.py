"""Databases of version 1 become those of version 2, with what is in them."""

import sqlite3
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

from notify import DeliveryFilters, Notification, NotificationService
from notify.adapters.sql_tables import make_metadata

NEW = ("suppressions", "topics", "quotas")


def make_old(path: Path) -> None:
    """Turn a fresh database into one that version 1 would have made."""
    with sqlite3.connect(path) as link:
        for index in ("bundle", "sent", "topics_of"):
            link.execute(f"DROP INDEX notifications_{index}")
        link.execute("ALTER TABLE notifications_deliveries DROP COLUMN bundle")
        for name in NEW:
            link.execute(f"DROP TABLE notifications_{name}")
        link.execute("UPDATE notifications_schema SET version = 1")
    link.close()


def columns(path: Path) -> dict[str, list[str]]:
    with sqlite3.connect(path) as link:
        found = {
            name: sorted(row[1] for row in link.execute(f"PRAGMA table_info({name})"))
            for name in make_metadata("notifications").tables
        }
    link.close()
    return found


async def test_version_1_becomes_version_2(sqlite_url: str, tmp_path: Path) -> None:
    path = tmp_path / "n.db"
    fresh = columns(path)
    async with NotificationService.from_url(sqlite_url) as service:
        sent = await service.send(
            Notification(title="old", user_id="ann", channels=["in-app", "email"])
        )
    make_old(path)
    assert columns(path) != fresh
    async with NotificationService.from_url(sqlite_url) as service:
        assert (await service.get(sent.id, "ann")).title == "old"
        assert len(await service.list_deliveries(DeliveryFilters())) == 2
        await service.subscribe_topic("t", "ann")
        assert await service.send_to_topic("t", Notification(title="new", user_id="-")) == 1
        assert await service.unread_count("ann") == 2
    assert columns(path) == fresh
