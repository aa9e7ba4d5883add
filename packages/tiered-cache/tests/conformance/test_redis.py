"""Redis in all its forms passes the suites: alone, behind Sentinel, as a cluster."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

pytest.importorskip("redis")

from _common.proxy import Proxy
from _common.server import Server
from redis_groups import (  # noqa: F401  fixtures
    cluster_nodes,
    cluster_url,
    sentinel_group,
    sentinel_url,
)
from tiered_cache import CacheProvider, Settings
from tiered_cache.adapters.redis import (
    RedisBackplane,
    RedisClusterTier,
    RedisTier,
    StreamsBackplane,
    TrackingBackplane,
)
from tiered_cache.adapters.redis.clients import client_of
from tiered_cache.ports import Backplane, Message, RemoteTier
from tiered_cache.testing import BackplaneSuite, RemoteTierSuite

pytestmark = pytest.mark.integration


class TestRedisTier(RemoteTierSuite):
    @pytest.fixture(params=["", "?protocol=2", "?protocol=3"])
    async def tier(
        self, redis_url: str, redis_prefix: str, request: pytest.FixtureRequest
    ) -> AsyncIterator[RemoteTier]:
        url = redis_url + request.param
        tier = RedisTier(url, key_prefix=f"{redis_prefix}[*?]:", timeout=5)
        yield tier
        await tier.aclose()


class TestTierOfAReadyClient(RemoteTierSuite):
    """Its commands go the client's own way, and it stays open."""

    @pytest.fixture
    async def tier(self, redis_url: str, redis_prefix: str) -> AsyncIterator[RemoteTier]:
        client = client_of(redis_url, timeout=5)
        tier = RedisTier(redis_url, key_prefix=redis_prefix, timeout=5, client=client)
        yield tier
        await tier.aclose()
        assert await client.ping()
        await client.aclose()


@pytest.mark.slow
class TestSentinelTier(RemoteTierSuite):
    @pytest.fixture
    async def tier(self, sentinel_url: str, redis_prefix: str) -> AsyncIterator[RemoteTier]:  # noqa: F811  a fixture
        tier = RedisTier(sentinel_url, key_prefix=redis_prefix, timeout=5)
        yield tier
        await tier.aclose()


@pytest.mark.slow
class TestClusterTier(RemoteTierSuite):
    @pytest.fixture
    async def tier(self, cluster_url: str, redis_prefix: str) -> AsyncIterator[RemoteTier]:  # noqa: F811  a fixture
        tier = RedisClusterTier(cluster_url, key_prefix=f"{redis_prefix}[*?]:", timeout=5)
        yield tier
        await tier.aclose()

    async def test_keys_that_look_like_slots(self, tier: RemoteTier) -> None:
        from tiered_cache.ports import Write

        names = ["{a}b", "}x", "{}", "{{", "a}b}", "{user:1}:x"]
        await tier.write([Write(name, name.encode(), 60) for name in names])
        found = await tier.read(names, [])
        assert dict(found.values) == {name: name.encode() for name in names}
        assert await tier.delete(names) == len(names)


Pair = tuple[Backplane, Backplane]
Make = Callable[[], Any]


class RedisSuite(BackplaneSuite):
    timeout = 60  # patient: it is not waited for, and a machine may be busy

    @staticmethod
    async def both(make: Make) -> AsyncIterator[Pair]:
        first, second = make(), make()
        yield first, second
        await first.aclose()
        await second.aclose()

    async def test_a_lost_message_is_noticed(self, pair: Any) -> None:
        """The server gives numbers: a missing one is a gap, also if no other message follows."""
        gaps: list[int] = []
        await pair[0].start(lambda _: None, lambda: gaps.append(1))
        await pair[1].start(lambda _: None, lambda: None)
        await pair[1].publish(Message(["a"]))
        await self.until(lambda: pair[0].last_alive > 0)
        assert not gaps
        # given, and never sent: as if the server had dropped it
        await pair[1]._redis.incr(f"{pair[1]._prefix}seq")
        await self.until(lambda: bool(gaps))


class TestRedisBackplane(RedisSuite):
    @pytest.fixture(params=["", "?protocol=2", "?protocol=3"])
    async def pair(
        self, redis_url: str, redis_prefix: str, request: pytest.FixtureRequest
    ) -> AsyncIterator[Pair]:
        url = redis_url + request.param
        make = lambda: RedisBackplane(url, key_prefix=redis_prefix, timeout=self.timeout)
        async for each in self.both(make):
            yield each


class TestStreamsBackplane(RedisSuite):
    @pytest.fixture(params=["", "?protocol=2", "?protocol=3"])
    async def pair(
        self, redis_url: str, redis_prefix: str, request: pytest.FixtureRequest
    ) -> AsyncIterator[Pair]:
        url = redis_url + request.param
        make = lambda: StreamsBackplane(url, key_prefix=redis_prefix, timeout=self.timeout)
        async for each in self.both(make):
            yield each


class TestTrackingBackplane(RedisSuite):
    @pytest.fixture(params=["", "?protocol=2", "?protocol=3"])
    async def pair(
        self, redis_url: str, redis_prefix: str, request: pytest.FixtureRequest
    ) -> AsyncIterator[Pair]:
        url = redis_url + request.param
        make = lambda: TrackingBackplane(url, key_prefix=redis_prefix, timeout=self.timeout)
        async for each in self.both(make):
            yield each

    async def test_what_other_programs_write(self, pair: Any, redis_prefix: str) -> None:
        """No message is sent: Redis itself tells."""
        heard: list[Message] = []
        gaps: list[int] = []
        await pair[0].start(heard.append, lambda: gaps.append(1))
        redis = pair[1]._redis
        await redis.set(f"{redis_prefix}v:ü", b"x")
        await self.until(lambda: any("ü" in each.keys for each in heard))
        await redis.hset(f"{redis_prefix}tags", "t", "1:1")
        await self.until(lambda: any(each.forget_versions for each in heard))
        await redis.set(f"{redis_prefix}other", b"x")
        await redis.delete(f"{redis_prefix}v:ü")
        await self.until(lambda: sum("ü" in each.keys for each in heard) == 2)
        assert not any("other" in str(each.keys) for each in heard)
        await redis.flushall()
        await self.until(lambda: bool(gaps))


@pytest.mark.slow
class TestClusterBackplane(RedisSuite):
    @pytest.fixture
    async def pair(self, cluster_url: str, redis_prefix: str) -> AsyncIterator[Pair]:  # noqa: F811  a fixture
        prefix = f"{redis_prefix}'\\"
        make = lambda: RedisBackplane(cluster_url, key_prefix=prefix, timeout=self.timeout)
        async for each in self.both(make):
            each[1]._turn = 1  # listens to another node
            yield each


@pytest.mark.slow
class TestSentinelBackplane(RedisSuite):
    @pytest.fixture
    async def pair(self, sentinel_url: str, redis_prefix: str) -> AsyncIterator[Pair]:  # noqa: F811  a fixture
        make = lambda: RedisBackplane(sentinel_url, key_prefix=redis_prefix, timeout=self.timeout)
        async for each in self.both(make):
            yield each


async def test_a_prefix_is_a_cache_of_its_own(redis_url: str, redis_prefix: str) -> None:
    """Neither a pattern nor ``clear`` leaves it, though its characters might match others."""
    made = [
        CacheProvider(
            Settings.from_mapping(
                {"l2": {"connection_string": redis_url, "key_prefix": prefix, "timeout": 5}}
            )
        )
        for prefix in (f"{redis_prefix}a*:", f"{redis_prefix}ab:")
    ]
    client = client_of(redis_url, timeout=5)
    async with made[0] as ours, made[1] as theirs:
        foreign = f"{redis_prefix}a*:other"
        await client.set(foreign, b"1")
        await theirs.set("k", "theirs", tags=["t"])
        await ours.set_many({"k": "ours", "l": "ours"}, tags=["t"])
        assert await ours.delete_pattern("*") == 2
        await ours.set("k", "ours", tags=["t"])
        assert (await ours.invalidate(["t"])).confirmed
        assert (await ours.clear()).confirmed
        assert await ours.get("k") is None
        async with CacheProvider(theirs.settings) as later:  # from L2
            assert await later.get("k") == "theirs"
        assert await client.get(foreign) == b"1"
    await client.aclose()


async def test_how_often_redis_is_asked(own_redis: Server) -> None:
    """A change and its message are one request, however many keys and tags; so is a read."""
    assert own_redis.port is not None
    with Proxy(own_redis.port) as proxy:
        plane = RedisBackplane(own_redis.url, timeout=5)
        tier = RedisTier(
            f"redis://127.0.0.1:{proxy.port}", timeout=5, announce=plane.how, node=plane.node
        )
        settings = Settings.from_mapping({"l1": {"enabled": False}, "l2": {"timeout": 5}})
        async with CacheProvider(settings, remote=tier, backplane=plane) as cache:
            keys = [f"k{n}" for n in range(200)]
            work: dict[str, Callable[[], Any]] = {
                "set": lambda: cache.set("k", 1),
                "set with a tag": lambda: cache.set("k", 1, tags=["t"]),
                "set_many": lambda: cache.set_many(dict.fromkeys(keys, 1), tags=["t", "u"]),
                "get": lambda: cache.get("k1"),
                "get_many": lambda: cache.get_many(keys),
                "delete_many": lambda: cache.delete_many(keys),
                "invalidate": lambda: cache.invalidate(["t", "u"]),
                "clear": cache.clear,
            }
            for call in work.values():  # scripts, versions and the clock are known after that
                await call()
            while not (await cache.get_stats()).trusted:
                await asyncio.sleep(0.01)
            asked = dict.fromkeys(work, 0)
            for name, call in work.items():
                before = proxy.requests
                await call()
                asked[name] = proxy.requests - before
            assert asked == dict.fromkeys(work, 1)
