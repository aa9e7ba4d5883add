"""Getting and setting: ttl, options, many keys, figures, configuration."""

import logging
import random
import struct
from pathlib import Path
from typing import Any

import pytest

from clusters import Cluster
from tiered_cache import (
    MISSING,
    CacheOptions,
    CacheProvider,
    CacheSerializationError,
    ConfigurationError,
    Settings,
)
from tiered_cache.testing import (
    FakeClock,
)


async def test_none_is_a_value(cache: CacheProvider) -> None:
    await cache.set("k", None)
    assert await cache.get("k", MISSING) is None
    assert await cache.get("other", MISSING) is MISSING
    assert not MISSING
    calls: list[int] = []
    assert await cache.get_or_set("k", lambda: calls.append(1)) is None
    assert not calls


async def test_ttl(cache: CacheProvider, clock: FakeClock) -> None:
    await cache.set("k", 1, ttl=10)
    await clock.advance(9.9)
    assert await cache.get("k") == 1
    await clock.advance(0.2)
    assert await cache.get("k") is None


async def test_sliding_and_negative(cache: CacheProvider, clock: FakeClock) -> None:
    await cache.set("s", 1, ttl=10, sliding=True)
    for _ in range(5):
        await clock.advance(8)
        assert await cache.get("s") == 1
    await cache.set("n", None, ttl=100, negative_ttl=5)
    await clock.advance(6)
    assert await cache.get("n", MISSING) is MISSING


async def test_jitter(clock: FakeClock) -> None:
    rng = random.Random(7)
    async with CacheProvider.from_url("memory://", clock=clock, rng=rng) as cache:
        await cache.set_many({f"j{n}": n for n in range(50)}, ttl=100, jitter=0.5)
        await clock.advance(75)
        left = await cache.get_many([f"j{n}" for n in range(50)])
        assert 10 < len(left) < 40


@pytest.mark.parametrize(
    "bad",
    [
        {"ttl": 0}, {"ttl": -1}, {"ttl": float("nan")}, {"ttl": True}, {"ttl": "60"}, {"jitter": 2},
        {"tags": "abc"}, {"tags": [""]}, {"tags": ["*"]}, {"eager_refresh": -0.1},
        {"max_stale": -1},
        {"ttl": float("inf")},
    ],
)  # fmt: skip
async def test_bad_options(cache: CacheProvider, bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        await cache.set("k", 1, **bad)
    with pytest.raises(ValueError, match="must"):
        CacheOptions(**bad)


async def test_options_that_were_seen_before_excuse_no_others(cache: CacheProvider) -> None:
    await cache.set("k", 1, ttl=1, skip_l1=True)
    for wrong in ({"ttl": True, "skip_l1": True}, {"ttl": 1, "skip_l1": 1}):
        with pytest.raises(ConfigurationError, match="must"):
            await cache.set("k", 1, **wrong)  # type: ignore[arg-type]
    for tags in (["a"], ("a",), {"a"}):
        await cache.set("k", 1, tags=tags)  # type: ignore[arg-type]
        assert await cache.get("k") == 1


async def test_bad_calls(cache: CacheProvider) -> None:
    for key in ("", 5, None, "\ud800"):
        with pytest.raises(ConfigurationError):
            await cache.get(key)  # type: ignore[arg-type]
    for call in (cache.get, cache.delete, lambda key: cache.get_or_set(key, lambda: 1)):
        with pytest.raises(ConfigurationError, match="not a list"):
            await call(["k"])  # type: ignore[arg-type,operator]
    with pytest.raises(TypeError, match="not both"):
        await cache.set("k", 1, CacheOptions(), ttl=5)
    with pytest.raises(TypeError, match="'tll'"):
        await cache.set("k", 1, tll=5)  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match="concurrency"):
        await cache.warm(["k"], str, concurrency=0)


async def test_a_list_of_tags_may_be_used_again(cache: CacheProvider) -> None:
    tags = ["a"]
    await cache.set("k", 1, tags=tags)
    tags[0] = "b"
    await cache.set("l", 2, tags=tags)
    await cache.invalidate(["a"])
    assert [await cache.get("k"), await cache.get("l")] == [None, 2]
    await cache.invalidate(["b"])
    assert await cache.get("l") is None


async def test_copy_protects_what_is_cached(cache: CacheProvider) -> None:
    value = {"a": [1]}
    await cache.set("k", value, copy=True)
    value["a"].append(2)
    found = await cache.get("k")
    found["a"].append(3)
    assert await cache.get("k") == {"a": [1]}
    await cache.set("r", value)
    assert await cache.get("r") is value


async def test_copy_goes_with_the_value_through_l2(cluster: Cluster) -> None:
    await cluster.a.set("k", {"a": [1]}, copy=True)
    for _ in range(2):  # from L2, then from L1
        found = await cluster.b.get("k")
        assert found == {"a": [1]}
        found["a"].append(2)
    found = await cluster.b.get_or_set("k", dict)
    found["a"].append(2)
    assert await cluster.b.get("k") == {"a": [1]}


async def test_who_asks_for_a_copy_gets_one(cache: CacheProvider) -> None:
    @cache.cached(key="k", copy=True)
    async def load() -> dict[str, list[int]]:
        return {}

    await cache.set("k", {"a": [1]})
    for ask in (lambda: cache.get_or_set("k", dict, copy=True), load, load, load):
        found = await ask()
        assert found == {"a": [1]}
        found["a"].append(2)
    assert await cache.get("k") == {"a": [1]}


async def test_warming(cache: CacheProvider) -> None:
    seen: list[int] = []
    assert await cache.warm(list("abc"), str.upper, 2, on_progress=seen.append) == 3
    assert seen == [1, 2, 3]
    assert await cache.get_many(["a", "b", "c"]) == {"a": "A", "b": "B", "c": "C"}


async def test_stats_count(cache: CacheProvider) -> None:
    await cache.get("k")
    await cache.set("k", "x" * 1000)
    await cache.get("k")
    await cache.get("k")
    stats = await cache.get_stats()
    assert (stats.hits, stats.misses, stats.keys) == (2, 1, 1)
    assert stats.hit_rate == pytest.approx(2 / 3)
    assert stats.size > 1000


async def test_what_has_no_bytes(cluster: Cluster) -> None:
    class Row:
        pass

    row = Row()
    with pytest.raises(CacheSerializationError, match="Row"):
        await cluster.a.set("k", row)
    await cluster.a.set("k", row, skip_l2=True)
    assert await cluster.a.get("k") is row
    assert await cluster.a.get_or_set("r", lambda: row) is row
    assert await cluster.a.get_or_set("r", Row) is row
    assert (await cluster.a.get_stats()).unserializable == 1


async def test_skipping_a_level(cluster: Cluster) -> None:
    await cluster.a.set("one", 1, skip_l1=True)
    assert (await cluster.a.get_stats()).keys == 0
    await cluster.a.set("two", 2, skip_l2=True)
    assert await cluster.b.get_many(["one", "two"]) == {"one": 1}


async def test_foreign_bytes_are_misses(cluster: Cluster) -> None:
    await cluster.a.set("k", {"a": 1})
    data, expires = cluster.remote.shelf.values["k"]
    hostile = [
        b"",
        b"\x80\x04cos\nsystem\n.",
        data[:-1],
        data[:9],
        b"\xc7\x02" + data[2:],
        b"\xc7\x01\x09" + data[3:],
        data[:3] + b"\x07" + data[4:],
    ]
    for number, broken in enumerate(hostile):
        cluster.remote.shelf.values["k"] = (broken, expires)
        assert await cluster.b.get("k") is None
        assert (await cluster.b.get_stats()).corrupt == number + 1


async def test_unconfigured_warns_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.WARNING)
    async with CacheProvider() as cache:
        await cache.set("k", 1)
        await cache.get("k")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "TIERED_CACHE_URL" in caplog.records[0].getMessage()
    monkeypatch.setenv("TIERED_CACHE_STRICT", "1")
    with pytest.raises(ConfigurationError, match="STRICT"):
        await CacheProvider().get("k")


@pytest.mark.parametrize("url", ["nope://x", "memory://?x=1", "no-scheme", "redis://h?l1=maybe"])
async def test_bad_urls(url: str) -> None:
    with pytest.raises(ConfigurationError):
        await CacheProvider.from_url(url).get("k")


@pytest.mark.parametrize(
    "bad",
    [{"tags": 5}, {"tags": ["\ud800"]}, {"tags": [None]}, {"skip_l1": "no"}, {"compress": 1},
     {"copy": None}],
)  # fmt: skip
async def test_wrong_types_of_options(cache: CacheProvider, bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="must"):
        await cache.set("k", 1, **bad)


async def test_wrong_types_of_many(cache: CacheProvider) -> None:
    for wrong in ("abc", None, [1], [""]):
        with pytest.raises(ConfigurationError, match="key"):
            await cache.get_many(wrong)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="key"):
            await cache.delete_many(wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="mapping"):
        await cache.set_many([("k", 1)])  # type: ignore[arg-type]


async def test_warming_takes_keys_as_it_goes_and_raises_the_factorys_error(
    cache: CacheProvider,
) -> None:
    taken: list[int] = []

    def keys() -> Any:
        for n in range(1_000_000):
            taken.append(n)
            yield str(n)

    def factory(key: str) -> str:
        if key == "5":
            raise LookupError(key)
        return key

    with pytest.raises(LookupError, match="5"):
        await cache.warm(keys(), factory, concurrency=2)
    assert len(taken) < 20


async def test_dead_values_leave_l1(cache: CacheProvider, clock: FakeClock) -> None:
    await cache.set("k", 1, ttl=10)
    await clock.advance(11)
    assert await cache.get("k") is None
    stats = await cache.get_stats()
    assert (stats.keys, stats.size, stats.expired) == (0, 0, 1)


async def test_times_that_are_no_numbers_are_corrupt(cluster: Cluster) -> None:
    await cluster.a.set("k", 1)
    data, expires = cluster.remote.shelf.values["k"]
    old = struct.pack(">d", expires)
    assert data.count(old) == 2
    cluster.remote.shelf.values["k"] = data.replace(old, struct.pack(">d", float("nan"))), expires
    assert await cluster.b.get("k") is None
    assert (await cluster.b.get_stats()).corrupt == 1


async def test_prefixes_keep_caches_in_one_file_apart(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/c.db"
    one, two = (
        CacheProvider(Settings.from_mapping({"l2": {"connection_string": url, "key_prefix": name}}))
        for name in ("one*", "two:")
    )
    async with one, two:
        await one.set("k", 1, tags=["t"])
        assert await two.get("k") is None
        await two.set("k", 2, tags=["t"])
        await one.invalidate(["t"])
        assert await one.delete_pattern("*") == 1
        assert await one.get("k") is None
        assert await two.get("k") == 2
