"""Connections of Redis: those that the server closed, and more callers than connections."""

import asyncio
from collections.abc import AsyncIterator

import pytest

pytest.importorskip("redis")

import redis
import redis.asyncio

from _common.proxy import Proxy
from _common.server import Server
from tiered_cache import CacheProvider, ConfigurationError, Settings
from tiered_cache.adapters.redis import RedisClusterTier, RedisTier

pytestmark = pytest.mark.integration
MANY = 130  # more than the 100 that redis-py 8 has by default


@pytest.fixture(params=["", "protocol=2", "protocol=3"])
def query(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
async def tier(own_redis: Server, query: str) -> AsyncIterator[RedisTier]:
    made = RedisTier(f"{own_redis.url}?{query}", timeout=5)
    yield made
    await made.aclose()


async def test_what_the_server_closed_meanwhile_is_not_used(
    own_redis: Server, tier: RedisTier
) -> None:
    """Servers close what is idle, and a restarted one knows no connection: no call fails."""
    for _ in range(2):
        await asyncio.gather(*(tier.read(["k"], [], fences=False) for _ in range(8)))
        with redis.Redis(port=own_redis.port, socket_timeout=5) as admin:
            assert len(admin.client_list()) > 2
            admin.client_kill_filter(skipme=True)
            async with asyncio.timeout(60):
                while len(admin.client_list()) > 1:
                    await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)  # the loop hears of it
    await asyncio.gather(*(tier.read(["k"], ["t"]) for _ in range(8)))


@pytest.mark.parametrize("more", ["", "max_connections=2"])
async def test_more_callers_than_connections(own_redis: Server, query: str, more: str) -> None:
    assert own_redis.port is not None
    with Proxy(own_redis.port) as proxy:
        proxy.delay = 0.02
        tier = RedisTier(f"redis://127.0.0.1:{proxy.port}?{query}&{more}", timeout=20)
        await asyncio.gather(*(tier.read([f"k{n}"], [], fences=False) for n in range(MANY)))
        await asyncio.gather(tier.read([], []), tier.delete_pattern("*"), tier.list_keys("*", 9))
        await tier.aclose()
        assert proxy.accepted <= (2 if more else MANY)


async def test_a_slow_cluster_has_connections_for_everybody(own_redis: Server) -> None:
    tier = RedisClusterTier(f"redis+cluster://127.0.0.1:{own_redis.port}")
    assert tier._redis.connection_kwargs.get("max_connections", MANY) >= MANY
    await tier.aclose()


async def test_text_in_place_of_bytes_is_refused(redis_url: str) -> None:
    async with redis.asyncio.Redis.from_url(redis_url, decode_responses=True) as client:
        with pytest.raises(ConfigurationError, match="decode_responses"):
            RedisTier(redis_url, client=client)
    for url in (f"{redis_url}?decode_responses=True", "redis+cluster://h?decode_responses=yes"):
        settings = Settings.from_url(url)
        with pytest.raises(ConfigurationError, match="decode_responses"):
            await CacheProvider(settings).get("k")
