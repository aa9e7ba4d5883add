"""Redis behind TLS, with and without Sentinel, and by a Unix socket passes the same suites.

Two caches hear each other.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("redis")
pytest.importorskip("trustme")

from _common.proxy import Proxy
from redis_ways import (  # noqa: F401  fixtures
    mixed_sentinel_url,
    tls_cluster_url,
    tls_sentinel,
    tls_sentinel_url,
    tls_server,
    tls_url,
    unix_server,
    unix_url,
)
from tiered_cache import BackendError, CacheProvider, ConfigurationError, Settings
from tiered_cache.adapters.redis import (
    RedisBackplane,
    RedisClusterTier,
    RedisTier,
    StreamsBackplane,
)
from tiered_cache.ports import Backplane, RemoteTier
from tiered_cache.testing import BackplaneSuite, RemoteTierSuite

pytestmark = pytest.mark.integration
WAYS = [
    "tls_url",
    "unix_url",
    pytest.param("tls_sentinel_url", marks=pytest.mark.slow),
    pytest.param("mixed_sentinel_url", marks=pytest.mark.slow),
]


@pytest.fixture(params=WAYS)
def url(request: pytest.FixtureRequest) -> str:
    found: str = request.getfixturevalue(request.param)
    return found


class TestTier(RemoteTierSuite):
    @pytest.fixture
    async def tier(self, url: str, redis_prefix: str) -> AsyncIterator[RemoteTier]:
        tier = RedisTier(url, key_prefix=redis_prefix, timeout=5)
        yield tier
        await tier.aclose()


@pytest.mark.slow
class TestClusterBehindTls(RemoteTierSuite):
    @pytest.fixture
    async def tier(self, tls_cluster_url: str, redis_prefix: str) -> AsyncIterator[RemoteTier]:  # noqa: F811  a fixture
        tier = RedisClusterTier(tls_cluster_url, key_prefix=redis_prefix, timeout=5)
        yield tier
        await tier.aclose()


class TestBackplanes(BackplaneSuite):
    @pytest.fixture(params=[RedisBackplane, StreamsBackplane])
    async def pair(
        self, url: str, redis_prefix: str, request: pytest.FixtureRequest
    ) -> AsyncIterator[tuple[Backplane, Backplane]]:
        first, second = (request.param(url, key_prefix=redis_prefix, timeout=5) for _ in range(2))
        yield first, second
        await first.aclose()
        await second.aclose()


def settings(url: str, prefix: str) -> Settings:
    l2 = {"connection_string": url, "key_prefix": prefix, "timeout": 5}
    return Settings.from_mapping({"l2": l2})


@pytest.mark.slow
async def test_two_caches_hear_each_other_in_a_cluster_behind_tls(
    tls_cluster_url: str,  # noqa: F811  a fixture
    redis_prefix: str,
) -> None:
    await hear_each_other(settings(tls_cluster_url, redis_prefix))


@pytest.mark.parametrize("how", ["pubsub", "streams", "tracking"])
async def test_an_invalidation_reaches_the_other_cache(
    url: str, redis_prefix: str, how: str
) -> None:
    await hear_each_other(settings(f"{url}&backplane={how}", redis_prefix))


async def hear_each_other(made: Settings) -> None:
    async with CacheProvider(made) as a, CacheProvider(made) as b, asyncio.timeout(120):
        for cache in (a, b):
            await cache.get("look")
            while not (await cache.get_stats()).trusted:
                await asyncio.sleep(0.01)
        await a.set("k", {"text": "ü" * 1000}, tags=["t"])
        assert await b.get("k") == {"text": "ü" * 1000}
        assert (await a.invalidate(["t"])).confirmed
        while await b.get("k") is not None:
            await asyncio.sleep(0)


def told(exc: BaseException | None) -> str:
    """Return what an error and those under it say: old releases of redis-py pass nothing up."""
    return "" if exc is None else f"{exc}\n{told(exc.__cause__ or exc.__context__)}"


async def test_a_certificate_that_nobody_vouches_for(
    tls_server: tuple[str, Path],  # noqa: F811  a fixture
    redis_prefix: str,
) -> None:
    url, _ = tls_server
    tier = RedisTier(url, timeout=5)
    with pytest.raises(BackendError) as refused:
        await tier.read(["k"], [])
    assert "certificate" in told(refused.value)
    await tier.aclose()
    async with CacheProvider(settings(url, redis_prefix)) as cache:
        assert await cache.get_or_set("k", lambda: 1) == 1
        assert not (await cache.delete("k")).confirmed
        assert isinstance((await cache.opened()).shared.last_error, BackendError)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "why"),
    [
        ("", "No master found"),  # nobody vouches for the Sentinel
        ("?sentinel_ssl_ca_certs={ca}", "certificate"),  # … for the server that it names
        ("?ssl_ca_certs={ca}&sentinel_ssl=off", "No master found"),  # it hears no plain words
    ],
)
async def test_a_sentinel_behind_tls_is_not_reached_by(
    tls_sentinel: tuple[str, Path],  # noqa: F811  a fixture
    options: str,
    why: str,
) -> None:
    url, authority = tls_sentinel
    tier = RedisTier(url + options.format(ca=authority), timeout=5)
    with pytest.raises(BackendError) as refused:
        await tier.read(["k"], [])
    assert why in told(refused.value)
    await tier.aclose()


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("rediss+sentinel://h/chief?sentinel_ssl=perhaps", "on or off"),
        ("rediss+cluster://h?ssl_check_hostname=no&max_connections=many", "max_connections"),
        ("redis://h:99999/0", "Port out of range"),
        ("redis://h:abc/0", "'abc'"),
        ("redis://h/cache", "database must be a number, not 'cache'"),
        ("redis://h/0?protocol=9", "protocol must be"),
        ("redis://h/0?sockets=5", "unknown option 'sockets'"),
        ("redis://h/0?socket_timeout=long", "socket_timeout"),
        ("unix:///redis.sock?db=first", "Invalid value for .db."),
        ("redis+sentinel://h", "no master"),
        ("redis+sentinel://h/chief/first", "database must be a number, not 'first'"),
        ("redis+sentinel://h/chief?sockets=5", "unknown option 'sockets'"),
        ("redis+sentinel://h/chief?sentinel_sockets=5", "unknown option 'sockets'"),
        ("redis+cluster://", "no host"),
        ("redis+cluster://h:abc", "'abc'"),
        ("redis+cluster://h?sockets=5", "unknown option 'sockets'"),
    ],
)
def test_what_cannot_be_in_a_url_is_told_at_once(url: str, word: str) -> None:
    for kind in (RedisTier, RedisBackplane):
        with pytest.raises(ConfigurationError, match=word):
            kind(url)


def test_no_part_of_a_password_is_told() -> None:
    with pytest.raises(ConfigurationError, match="write %2F for /") as refused:
        RedisTier("redis://:secret/word@h/0")
    assert "secret" not in str(refused.value)
    assert "word@" not in str(refused.value)


async def test_plain_words_to_a_server_behind_tls(tls_server: tuple[str, Path]) -> None:  # noqa: F811  a fixture
    tier: Any = RedisTier(tls_server[0].replace("rediss", "redis"), timeout=5)
    with pytest.raises(BackendError):
        await tier.read(["k"], [])
    await tier.aclose()


async def test_a_call_that_is_given_up_leaves_no_transport_behind(tls_url: str) -> None:  # noqa: F811  a fixture
    """TLS ends with a farewell, which a server that does not answer never returns."""
    port = urlsplit(tls_url).port
    assert port is not None
    with Proxy(port) as proxy:
        tier = RedisTier(tls_url.replace(str(port), str(proxy.port)), timeout=5)
        await tier.read([], [])
        (connection,) = tier._redis.connection_pool._available_connections
        socket = connection._writer.transport.get_extra_info("socket")
        proxy.mode = "blackhole"
        call = asyncio.ensure_future(tier.read(["k"], []))
        for _ in range(10):
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        for _ in range(3):
            await asyncio.sleep(0)
        assert socket.fileno() == -1
        await tier.aclose()
