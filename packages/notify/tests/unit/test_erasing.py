"""After ``erase_user`` no byte of the user is left, in any table or key."""

import sqlite3
from pathlib import Path

import pytest

from notify import MemoryDirectory, Notification, NotificationService
from notify.testing import FakeChannel

USER, ADDRESS, WORD = "secret-user-7", "secret-address@example.com", "secret-word"
TRACES = [each.encode() for each in (USER, ADDRESS, WORD)]


async def live_a_life(service: NotificationService) -> None:
    """Leave traces everywhere: inbox, outbox, events, preferences, topics, quotas, suppressions."""
    for n in range(3):
        await service.send(
            Notification(
                title=f"{WORD} {n}", user_id=USER, channels=["in-app", "email"], category="news",
                idempotency_key=f"{WORD}-{n}", metadata={"a": WORD},
            )
        )  # fmt: skip
    await service.deliver_due()
    read = await service.send(Notification(title=WORD, user_id=USER))
    gone = await service.send(Notification(title=WORD, user_id=USER))
    await service.mark_as_read(read.id, USER)
    await service.delete(gone.id, USER)
    await service.mark_all_as_read(USER)
    await service.set_preferences(USER, {"categories": {WORD: False}})
    await service.subscribe_topic("everybody", USER)
    await service.suppress("email", ADDRESS)
    await service.send(Notification(title="stays", user_id="bob"))


def made(url: str | None) -> NotificationService:
    service = NotificationService(
        channels=[FakeChannel("email", None, None, None)],
        directory=MemoryDirectory({(USER, "email"): ADDRESS}),
    )
    service.configure(
        {
            **({} if url is None else {"storage": {"connection_string": url}}),
            "delivery": {"background": False},
            "rates": {"users": {"email": {"limit": 2, "window": 1000}}},
            "preferences": {"categories": {"chat": {"digest": 60}}},
        }
    )
    return service


def check(before: bytes, after: bytes) -> None:
    assert TRACES[0] in before, "the search itself finds nothing"
    assert TRACES[2] in before
    for trace in TRACES:
        assert trace not in after, trace


async def test_memory() -> None:
    async with made(None) as service:
        await live_a_life(service)
        before = repr(vars(service.store._state)).encode()  # type: ignore[attr-defined]
        assert await service.erase_user(USER) == 4
        check(before, repr(vars(service.store._state)).encode())  # type: ignore[attr-defined]
        assert await service.unread_count("bob") == 1


def tables(path: Path) -> bytes:
    found = b""
    with sqlite3.connect(path) as link:
        names = [
            row[0] for row in link.execute("SELECT name FROM sqlite_master WHERE type='table'")
        ]
        for name in names:
            for row in link.execute(f"SELECT * FROM {name}"):
                found += repr(row).encode()
    link.close()
    return found


async def test_sqlite(sqlite_url: str, tmp_path: Path) -> None:
    async with made(sqlite_url) as service:
        await live_a_life(service)
        before = tables(tmp_path / "n.db")
        assert await service.erase_user(USER) == 4
        check(before, tables(tmp_path / "n.db"))
        assert await service.unread_count("bob") == 1


async def test_redis(redis_url: str, redis_prefix: str) -> None:
    pytest.importorskip("redis")
    from redis.asyncio import Redis

    client = Redis.from_url(redis_url)

    async def everything() -> bytes:
        found = b""
        async for key in client.scan_iter(count=1000):
            kind = await client.type(key)
            read = {
                b"string": client.get, b"hash": client.hgetall, b"set": client.smembers,
                b"list": lambda key: client.lrange(key, 0, -1),
                b"zset": lambda key: client.zrange(key, 0, -1),
            }[kind]  # fmt: skip
            found += key + repr(await read(key)).encode()
        return found

    async with made(f"{redis_url}?prefix={redis_prefix.strip(':')}") as service:
        await live_a_life(service)
        before = await everything()
        assert await service.erase_user(USER) == 4
        check(before, await everything())
        assert await service.unread_count("bob") == 1
    await client.aclose()
