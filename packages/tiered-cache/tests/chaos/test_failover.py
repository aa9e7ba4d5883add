"""A master behind Sentinel that is killed: its replica is promoted, and the cache goes on."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest

pytest.importorskip("redis")
pytest.importorskip("trustme")

from _common.directories import temporary_directory
from _common.redis_server import REDIS
from _common.server import Daemon
from _common.services import demanded
from redis_groups import client, run_sentinel
from redis_ways import Group, certify, run_tls_sentinel
from tiered_cache import CacheProvider, Settings

pytestmark = [pytest.mark.chaos, pytest.mark.integration, pytest.mark.slow]
PATIENCE = 60  # Sentinel decides within a few seconds, on a busy machine later

Pair = tuple[CacheProvider, CacheProvider]


@dataclass(frozen=True)
class Scene:
    """A group of one test's own, for it does not survive, and how to reach it."""

    group: Group
    url: str
    link: dict[str, Any]

    def client(self, daemon: Daemon) -> Any:
        return client(daemon, **self.link)


@pytest.fixture(params=["plain", "tls"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    with demanded(REDIS), temporary_directory("tls") as folder:
        if request.param == "plain":
            with run_sentinel() as group:
                yield Scene(group, f"redis+sentinel://127.0.0.1:{group[2].port}/chief/0", {})
            return
        certify(folder)
        with run_tls_sentinel(folder) as group:
            url = f"rediss+sentinel://127.0.0.1:{group[2].port}/chief/0"
            trusted = {"ssl_ca_certs": str(folder / "ca.pem")}
            yield Scene(group, f"{url}?{urlencode(trusted)}", {"ssl": True, **trusted})


@pytest.fixture
async def pair(scene: Scene) -> AsyncIterator[Pair]:
    l2 = {"connection_string": scene.url, "timeout": 0.5}
    settings = Settings.from_mapping({"l2": l2})
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


async def has_role(scene: Scene, daemon: Daemon, role: bytes) -> bool:
    with scene.client(daemon) as asked:
        return bool(asked.execute_command("ROLE")[0] == role)


async def has_copied(scene: Scene) -> bool:
    """Whether the replica has everything that was written so far."""
    with scene.client(scene.group[0]) as asked:
        return bool(asked.execute_command("WAIT", 1, 1000) == 1)


async def test_the_cache_goes_on_with_the_promoted_replica(scene: Scene, pair: Pair) -> None:
    (master, replica, _), (a, b) = scene.group, pair
    await a.set("kept", "before")
    await a.set("deleted", "old")
    await a.set("tagged", "old", tags=["t"])
    for key, value in (("kept", "before"), ("deleted", "old"), ("tagged", "old")):
        await until(lambda key=key, value=value: sees(b, key, value))
    await until(lambda: has_copied(scene))
    master.kill()

    # nobody is there: callers are served all the same, and changes wait
    for n in range(20):
        assert await a.get_or_set(f"new{n}", lambda n=n: n) == n
    assert not (await a.delete("deleted")).confirmed
    assert not (await a.invalidate(["t"])).confirmed
    assert await a.get("deleted") is None
    assert await a.get("tagged") is None
    assert (await a.get_stats()).pending == 2

    await until(lambda: has_role(scene, replica, b"master"))
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
    with scene.client(replica) as asked:
        assert asked.exists("cache:v:after")
    assert (await a.delete("after")).confirmed
    await until(lambda: sees(b, "after", None))

    # the old one comes back as a replica: nothing is read from it or written to it
    master.restart()
    await until(lambda: has_role(scene, master, b"slave"))
    assert (await b.invalidate(["t"])).confirmed
    await a.set("last", 2)
    await until(lambda: sees(b, "last", 2))
