"""The YAML of the users' specification loads, and each key has its effect."""

import zlib
from pathlib import Path
from typing import Any

import pytest

from tiered_cache import (
    BackendError,
    CacheProvider,
    CacheSerializationError,
    CacheStats,
    ConfigurationError,
    Settings,
)
from tiered_cache.testing import FakeClock, FlakyRemote, MemoryBackplane, MemoryRemote, settle

YAML = """
cache:
  # L1: In-memory cache
  l1:
    enabled: true
    max_size: 1000 # number of items
    ttl: 60 # seconds

  # L2: Redis cache
  l2:
    enabled: true
    connection_string: "${REDIS_URL}"
    default_ttl: 3600 # 1 hour
    key_prefix: "cache:"

  # Compression
  compression:
    enabled: true
    threshold: 1024 # bytes

  # Metrics
  metrics:
    enabled: true
    collect_interval: 60 # seconds
"""


def make(clock: FakeClock, remote: MemoryRemote | None = None, **settings: object) -> CacheProvider:
    """A cache with a shared level in memory."""
    return CacheProvider(
        Settings.from_mapping(settings),
        remote=remote or MemoryRemote(clock=clock),
        backplane=MemoryBackplane(clock=clock),
        clock=clock,
    )


def test_specified_yaml_loads(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    file = tmp_path / "settings.yaml"
    file.write_text(YAML, encoding="utf-8")
    settings = Settings.from_yaml(file, environ={"REDIS_URL": "redis://localhost"})
    assert settings.l2.connection_string == "redis://localhost"
    assert (settings.l1.max_size, settings.compression.threshold) == (1000, 1024)


async def test_l1_max_size() -> None:
    async with CacheProvider(Settings.from_mapping({"l1": {"max_size": 3}})) as cache:
        await cache.set_many({str(n): n for n in range(10)})
        assert (await cache.get_stats()).keys == 3


async def test_l1_can_be_off(clock: FakeClock) -> None:
    async with make(clock, l1={"enabled": False}) as cache:
        await cache.set("k", 1)
        assert await cache.get("k") == 1
        stats = await cache.get_stats()
        assert (stats.keys, stats.l2_hits) == (0, 1)
    alone = Settings.from_url("redis://h/0?l1=off&protocol=3")
    assert (alone.l1.enabled, alone.l2.connection_string) == (False, "redis://h/0?protocol=3")


async def test_l1_ttl_caps_what_is_served_unasked(clock: FakeClock) -> None:
    remote = MemoryRemote(clock=clock)
    async with make(clock, remote, l1={"ttl": 60}) as cache:
        await cache.set("k", 1, ttl=3600)
        remote.shelf.values.clear()
        await clock.advance(59)
        assert await cache.get("k") == 1
        await clock.advance(2)
        assert await cache.get("k") is None


async def test_default_ttl(clock: FakeClock) -> None:
    async with make(clock, l2={"default_ttl": 100}, l1={"ttl": 1000}) as cache:
        await cache.set("k", 1)
        await clock.advance(99)
        assert await cache.get("k") == 1
        await clock.advance(2)
        assert await cache.get("k") is None


async def test_l2_can_be_off(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/c.db"
    settings = Settings.from_mapping({"l2": {"enabled": False, "connection_string": url}})
    async with CacheProvider(settings) as cache:
        await cache.set("k", 1)
    assert not list(tmp_path.iterdir())


@pytest.mark.integration
async def test_key_prefix(redis_url: str, redis_prefix: str) -> None:
    redis = pytest.importorskip("redis")
    l2 = {"connection_string": redis_url, "key_prefix": f"{redis_prefix}x:", "timeout": 10}
    async with CacheProvider(Settings.from_mapping({"l2": l2})) as cache:
        await cache.set("k", 1)
    with redis.Redis.from_url(redis_url) as client:
        assert client.exists(f"{redis_prefix}x:v:k")


@pytest.mark.parametrize(("enabled", "threshold"), [(True, 1024), (True, 10_000), (False, 1024)])
async def test_compression(clock: FakeClock, enabled: bool, threshold: int) -> None:
    remote = MemoryRemote(clock=clock)
    rules = {"enabled": enabled, "threshold": threshold}
    async with make(clock, remote, compression=rules) as cache:
        await cache.set("k", "x" * 5000)
        size = len(remote.shelf.values["k"][0])
        assert (size < 200) == (enabled and threshold < 5000)
        await cache.set("k", "x" * 5000, compress=True)
        assert len(remote.shelf.values["k"][0]) < 200
        await cache.set("k", "x" * 5000, compress=False)
        assert len(remote.shelf.values["k"][0]) > 5000


async def test_decompression_is_bounded(clock: FakeClock) -> None:
    remote = MemoryRemote(clock=clock)
    async with make(clock, remote) as generous:
        await generous.set("k", "x" * 5000, compress=True)
    async with make(clock, remote, compression={"max_size": 1000}, l1={"enabled": False}) as cache:
        with pytest.raises(CacheSerializationError, match=r"max_size is 1000"):
            await cache.set("l", "x" * 5000, compress=True)
        assert await cache.get("k") is None
        assert (await cache.get_stats()).corrupt == 1
        assert len(zlib.compress(b"x" * 5000)) < 100


@pytest.mark.parametrize("enabled", [True, False])
async def test_metrics_are_exported(clock: FakeClock, enabled: bool) -> None:
    seen: list[CacheStats] = []
    mapping = {"metrics": {"enabled": enabled, "collect_interval": 30}}
    settings = Settings.from_mapping(mapping)
    cache = CacheProvider(settings, clock=clock, metrics_exporter=seen.append)
    async with cache:
        await cache.get("k")
        await clock.advance(65)
        assert len(seen) == (2 if enabled else 0)


async def test_timeout_bounds_every_call(clock: FakeClock) -> None:
    remote = FlakyRemote(clock=clock)
    remote.frozen = True
    async with make(clock, remote, l2={"timeout": 0.02}) as cache:
        assert await cache.get_or_set("k", lambda: 1) == 1
        assert (await cache.get_stats()).breaker == "open"


async def test_strict_raises_unconfirmed(clock: FakeClock) -> None:
    remote = FlakyRemote(clock=clock)
    async with make(clock, remote, strict=True) as cache:
        await cache.get("k")
        remote.down = True
        with pytest.raises(BackendError, match="did not confirm"):
            await cache.invalidate(["t"])


async def test_suspect_after(clock: FakeClock) -> None:
    remote, backplane = MemoryRemote(clock=clock), MemoryBackplane(clock=clock)
    settings = Settings.from_mapping({"suspect_after": 5})
    async with CacheProvider(settings, remote=remote, backplane=backplane, clock=clock) as cache:
        await cache.set("k", 1)
        backplane.cut()
        remote.shelf.values.clear()
        await clock.advance(4)
        assert await cache.get("k") == 1
        await clock.advance(2)
        await settle()
        assert await cache.get("k") is None


@pytest.mark.parametrize("name", ["json", "raw", "msgpack", "pickle-signed"])
async def test_serializers(clock: FakeClock, name: str) -> None:
    keys = ["a key of some length"] if name == "pickle-signed" else []
    async with make(clock, serializer=name, signing_keys=keys, l1={"enabled": False}) as cache:
        value = b"\x00\xff" if name == "raw" else {"a": [1, None]}
        await cache.set("k", value)
        assert await cache.get("k") == value


@pytest.mark.parametrize(
    ("bad", "where"),
    [
        ({"l3": {}}, "l3"),
        ({"l1": {"max_size": 0}}, r"\$\.l1\.max_size"),
        ({"l2": {"default_ttl": -1}}, r"\$\.l2\.default_ttl"),
        ({"compression": {"algorithm": "rar"}}, r"\$\.compression\.algorithm"),
        ({"signing_keys": "x"}, r"\$\.signing_keys"),
    ],
)
def test_wrong_settings_name_their_place(bad: dict[str, object], where: str) -> None:
    with pytest.raises(ConfigurationError, match=where):
        Settings.from_mapping(bad)


@pytest.mark.parametrize("url", [5, None, b"redis://h", "redis://[::1"])
def test_what_is_no_url_is_told_at_once(url: Any) -> None:
    with pytest.raises(ConfigurationError, match="URL"):
        CacheProvider.from_url(url)


async def test_wrong_names_are_told_at_first_use(clock: FakeClock) -> None:
    for wrong, where in (
        ({"serializer": "pickle"}, "unknown serializer 'pickle'; known: json, msgpack"),
        ({"serializer": "pickle-signed"}, "signing_keys of at least 16"),
        ({"serializer": "pickle-signed", "signing_keys": ["short"]}, "signing_keys of at least 16"),
        ({"l1": {"policy": "none"}}, "unknown local tier 'none'; known: cachetools-fifo"),
    ):
        with pytest.raises(ConfigurationError, match=where):
            await make(clock, **wrong).get("k")


@pytest.mark.parametrize("policy", ["s3fifo", "sieve", "lru", "tinylfu", "cachetools-lfu"])
async def test_policies(clock: FakeClock, policy: str) -> None:
    pytest.importorskip(
        {"tinylfu": "theine", "cachetools-lfu": "cachetools"}.get(policy, "msgspec")
    )
    settings = Settings.from_mapping({"l1": {"policy": policy, "max_size": 3}})
    async with CacheProvider(settings, clock=clock) as cache:

        @cache.cached()
        async def double(n: int) -> int:
            return 2 * n

        for _ in range(3):
            assert [await double(n) for n in range(10)] == list(range(0, 20, 2))
        await double.invalidate(9)
        assert await double(9) == 18
        assert (await cache.get_stats()).misses >= 10
