"""A master behind Sentinel that is killed: its replica is promoted, and the cache goes on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

pytest.importorskip("redis")

from _common.redis_server import REDIS
from _common.server import Daemon
from _common.services import demanded
from redis_groups import client, run_sentinel
from tiered_cache import CacheProvider, Settings

pytestmark = [pytest.mark.chaos, pytest.mark.integration, pytest.mark.slow]
PATIENCE = 60  # Sentinel decides within a few seconds, on a busy machine later

Group = tuple[Daemon, Daemon, Daemon]
Pair = tuple[CacheProvider, CacheProvider]


@pytest.fixture
def group() -> Iterator[Group]:
    """A group of this test's own: it does not survive."""
    with demanded(REDIS), run_sentinel() as made:
        yield made


@pytest.fixture
async def pair(group: Group) -> AsyncIterator[Pair]:
    url = f"redis+sentinel://127.0.0.1:{group[2].port}/chief/0"
    settings = Settings.from_mapping({"l2": {"connection_string": url, "timeout": 0.5}})
    async with CacheProvider(settings) as a, CacheProvider(settings) as b:
        await until(lambda: is_well(a))
        await until(lambda: is_well(b))
        yield a, b


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not await check():
            await asyncio.sleep(0.02)


async def is_well(cache: CacheProvider) -> bool:
    await cache.get("look")
    found = await cache.get_stats()
    return found.trusted and found.breaker == "closed" and not found.pending


async def sees(cache: CacheProvider, key: str, value: object) -> bool:
    return await cache.get(key) == value


async def has_role(daemon: Daemon, role: bytes) -> bool:
    with client(daemon) as asked:
        return bool(asked.execute_command("ROLE")[0] == role)


async def has_copied(master: Daemon) -> bool:
    """Whether the replica has everything that was written so far."""
    with client(master) as asked:
        return bool(asked.execute_command("WAIT", 1, 1000) == 1)


async def test_the_cache_goes_on_with_the_promoted_replica(group: Group, pair: Pair) -> None:
    (master, replica, _), (a, b) = group, pair
    await a.set("kept", "before")
    await a.set("deleted", "old")
    await a.set("tagged", "old", tags=["t"])
    for key, value in (("kept", "before"), ("deleted", "old"), ("tagged", "old")):
        await until(lambda key=key, value=value: sees(b, key, value))
    await until(lambda: has_copied(master))
    master.kill()

    # nobody is there: callers are served all the same, and changes wait
    for n in range(20):
        assert await a.get_or_set(f"new{n}", lambda n=n: n) == n
    assert not (await a.delete("deleted")).confirmed
    assert not (await a.invalidate(["t"])).confirmed
    assert await a.get("deleted") is None
    assert await a.get("tagged") is None
    assert (await a.get_stats()).pending == 2

    await until(lambda: has_role(replica, b"master"))
    await until(lambda: is_well(a))
    await until(lambda: is_well(b))
    # what waited was made on the new master, and the other process heard of it
    await until(lambda: sees(b, "deleted", None))
    await until(lambda: sees(b, "tagged", None))
    assert (await a.get_stats()).replayed >= 2
    assert await b.get("kept") == "before"
    # the new master takes values, and messages pass over it
    await a.set("after", 1)
    await until(lambda: sees(b, "after", 1))
    with client(replica) as asked:
        assert asked.exists("cache:v:after")
    assert (await a.delete("after")).confirmed
    await until(lambda: sees(b, "after", None))

    # the old one comes back as a replica: nothing is read from it or written to it
    master.restart()
    await until(lambda: has_role(master, b"slave"))
    assert (await b.invalidate(["t"])).confirmed
    await a.set("last", 2)
    await until(lambda: sees(b, "last", 2))
