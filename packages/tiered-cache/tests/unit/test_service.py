"""What the cache promises, on a clock that stands still."""

import asyncio
import logging
from typing import Any

import pytest

from tiered_cache import (
    MISSING,
    CacheContext,
    CacheFactoryTimeout,
    CacheOptions,
    CacheProvider,
    CacheSerializationError,
    ConfigurationError,
    Settings,
)
from tiered_cache.testing import (
    FakeClock,
    FlakyRemote,
    MemoryBackplane,
    assert_single_flight,
    settle,
)


class Cluster:
    """Two processes' caches on one shared level, in memory."""

    def __init__(self, clock: FakeClock) -> None:
        self.remote = FlakyRemote(clock=clock)
        self.planes = [MemoryBackplane(clock=clock)]
        self.planes.append(MemoryBackplane(self.planes[0].hub, clock=clock))
        other = FlakyRemote(clock=clock, shelf=self.remote.shelf)
        self.a = CacheProvider(
            Settings(), remote=self.remote, backplane=self.planes[0], clock=clock
        )
        self.b = CacheProvider(Settings(), remote=other, backplane=self.planes[1], clock=clock)


@pytest.fixture
async def cluster(clock: FakeClock):
    made = Cluster(clock)
    await made.a.get("x")
    await made.b.get("x")
    await settle()
    yield made
    await made.a.aclose()
    await made.b.aclose()


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


async def test_sliding_and_jitter_and_negative(cache: CacheProvider, clock: FakeClock) -> None:
    await cache.set("s", 1, ttl=10, sliding=True)
    for _ in range(5):
        await clock.advance(8)
        assert await cache.get("s") == 1
    await cache.set("n", None, ttl=100, negative_ttl=5)
    await clock.advance(6)
    assert await cache.get("n", MISSING) is MISSING
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


async def test_bad_calls(cache: CacheProvider) -> None:
    for key in ("", 5, None, "\ud800"):
        with pytest.raises(ConfigurationError):
            await cache.get(key)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not both"):
        await cache.set("k", 1, CacheOptions(), ttl=5)
    with pytest.raises(TypeError, match="'tll'"):
        await cache.set("k", 1, tll=5)  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match="concurrency"):
        await cache.warm(["k"], str, concurrency=0)


async def test_factories_of_both_kinds_and_with_a_context(cache: CacheProvider) -> None:
    async def later() -> int:
        return 2

    def decides(ctx: CacheContext) -> str:
        assert (ctx.key, ctx.ttl, ctx.stale) == ("c", 60.0, MISSING)
        ctx.tags.append("extra")
        return "made"

    def skips(ctx: CacheContext) -> int:
        ctx.skip = True
        return 3

    assert await cache.get_or_set("a", lambda: 1) == 1
    assert await cache.get_or_set("b", later) == 2
    assert await cache.get_or_set("c", decides, ttl=60) == "made"
    await cache.invalidate(["extra"])
    assert await cache.get("c") is None
    assert await cache.get_or_set("d", skips) == 3
    assert await cache.get("d") is None


async def test_one_factory_for_many_callers(cache: CacheProvider, cluster: Cluster) -> None:
    await assert_single_flight(cache, callers=1000)
    await assert_single_flight(cluster.a, callers=100)
    assert (await cache.get_stats()).coalesced == 999


async def test_a_cancelled_leader_hurts_nobody(cache: CacheProvider) -> None:
    go = asyncio.Event()

    async def factory() -> int:
        await go.wait()
        return 7

    callers = [asyncio.create_task(cache.get_or_set("k", factory)) for _ in range(3)]
    await settle()
    callers[0].cancel()
    callers[1].cancel()
    await settle()
    go.set()
    assert await callers[2] == 7
    assert callers[0].cancelled()
    assert await cache.get("k") == 7


async def test_a_factorys_error_reaches_all_and_is_not_cached(cache: CacheProvider) -> None:
    async def factory() -> int:
        await asyncio.sleep(0)
        raise LookupError("mine")

    results = await asyncio.gather(
        *(cache.get_or_set("k", factory) for _ in range(3)), return_exceptions=True
    )
    assert [type(each) for each in results] == [LookupError] * 3
    assert await cache.get_or_set("k", lambda: 1) == 1


async def test_reentry_does_not_deadlock(cache: CacheProvider) -> None:
    async def inner() -> int:
        return 1

    async def outer() -> int:
        return await cache.get_or_set("k", inner) + 1

    async with asyncio.timeout(5):
        assert await cache.get_or_set("k", outer) == 2


async def test_invalidation_during_the_factory_wins(cache: CacheProvider, cluster: Cluster) -> None:
    """The open hole of the best peer: a value computed before the invalidation is not kept."""
    for subject in (cache, cluster.a):
        for change in (
            lambda c: c.invalidate(["t"]),
            lambda c: c.delete("k"),
            lambda c: c.clear(),
            lambda c: c.delete_pattern("k*"),
            lambda c: c.set("k", "new", tags=["t"]),
        ):
            go = asyncio.Event()

            async def factory(go: asyncio.Event = go) -> str:
                await go.wait()
                return "old"

            caller = asyncio.create_task(subject.get_or_set("k", factory, tags=["t"]))
            await settle()
            await change(subject)
            go.set()
            assert await caller == "old"
            assert await subject.get("k") in {None, "new"}
            await subject.delete("k")


async def test_invalidation_elsewhere_during_the_factory_wins(cluster: Cluster) -> None:
    for change in (lambda: cluster.b.invalidate(["t"]), lambda: cluster.b.delete("k")):
        go = asyncio.Event()

        async def factory(go: asyncio.Event = go) -> str:
            await go.wait()
            return "old"

        caller = asyncio.create_task(cluster.a.get_or_set("k", factory, tags=["t"]))
        await settle()
        # also when no message arrives: the fence and the versions of L2 refuse the value
        cluster.planes[0].cut()
        assert (await change()).confirmed
        go.set()
        assert await caller == "old"
        cluster.planes[0].heal()
        assert await cluster.a.get("k") is None
        assert await cluster.b.get("k") is None


async def test_changes_reach_the_other_process(cluster: Cluster) -> None:
    await cluster.a.set("k", 1, tags=["t"])
    assert await cluster.b.get("k") == 1
    await cluster.a.set("k", 2, tags=["t"])
    await settle()
    assert await cluster.b.get("k") == 2
    await cluster.b.invalidate(["t"])
    await settle()
    assert await cluster.a.get("k") is None
    await cluster.a.set("k", 3)
    assert await cluster.b.get("k") == 3
    await cluster.b.clear()
    await settle()
    assert await cluster.a.get("k") is None
    await cluster.a.set("pattern:1", 1)
    assert await cluster.b.get("pattern:1") == 1
    assert await cluster.a.delete_pattern("pattern:*") == 1
    await settle()
    assert await cluster.b.get("pattern:1") is None


async def test_a_process_without_heartbeat_doubts_its_l1(
    cluster: Cluster, clock: FakeClock
) -> None:
    await cluster.a.set("k", "old", tags=["t"])
    assert await cluster.b.get("k") == "old"
    cluster.planes[1].cut()
    await cluster.a.invalidate(["t"])
    await cluster.a.set("k", "new", tags=["t"])
    await clock.advance(2.1)
    assert await cluster.b.get("k") == "new"
    assert not (await cluster.b.get_stats()).trusted


async def test_a_gap_in_the_messages_empties_l1(cluster: Cluster) -> None:
    await cluster.a.set("k", "old")
    assert await cluster.b.get("k") == "old"
    cluster.planes[1].cut()
    await cluster.a.set("k", "new")
    cluster.planes[1].heal()
    assert await cluster.b.get("k") == "new"


async def test_fail_safe(cache: CacheProvider, clock: FakeClock) -> None:
    options = CacheOptions(ttl=10, max_stale=100, tags=["t"])

    async def broken() -> int:
        raise OSError("down")

    await cache.set("k", 1, options)
    await clock.advance(11)
    assert await cache.get("k") is None
    assert await cache.get_or_set("k", broken, options) == 1
    stats = await cache.get_stats()
    assert (stats.stale_served, stats.factory_errors) == (1, 1)
    # re-armed: the next callers do not try at once
    assert await cache.get_or_set("k", broken, options) == 1
    assert (await cache.get_stats()).factory_calls == 1
    await clock.advance(100)
    with pytest.raises(OSError, match="down"):
        await cache.get_or_set("k", broken, options)


async def test_soft_invalidation_may_be_served_as_stale_and_hard_may_not(
    cache: CacheProvider,
) -> None:
    options = CacheOptions(ttl=10, max_stale=100, tags=["t"])

    async def broken() -> int:
        raise OSError("down")

    await cache.set("k", 1, options)
    await cache.invalidate(["t"], soft=True)
    assert await cache.get("k") is None
    assert await cache.get_or_set("k", broken, options) == 1
    await cache.set("k", 2, options)
    await cache.invalidate(["t"])
    with pytest.raises(OSError, match="down"):
        await cache.get_or_set("k", broken, options)


async def test_soft_timeout_serves_stale_and_finishes_behind(
    cache: CacheProvider, clock: FakeClock
) -> None:
    go = asyncio.Event()

    async def slow() -> str:
        await go.wait()
        return "new"

    options = CacheOptions(ttl=10, max_stale=100, soft_timeout=0.01)
    await cache.set("k", "old", options)
    await clock.advance(11)
    assert await cache.get_or_set("k", slow, options) == "old"
    go.set()
    async with asyncio.timeout(5):
        while await cache.get("k") != "new":
            await asyncio.sleep(0.001)


async def test_hard_timeout(cache: CacheProvider, clock: FakeClock) -> None:
    async def never() -> None:
        await asyncio.Event().wait()

    with pytest.raises(CacheFactoryTimeout, match=r"0\.01 s"):
        await cache.get_or_set("k", never, hard_timeout=0.01)
    options = CacheOptions(ttl=10, max_stale=100, hard_timeout=0.01)
    await cache.set("k", 1, options)
    await clock.advance(11)
    assert await cache.get_or_set("k", never, options) == 1


async def test_eager_refresh(cache: CacheProvider, clock: FakeClock, cluster: Cluster) -> None:
    for subject in (cache, cluster.a):
        numbers = iter(range(10))
        options = CacheOptions(ttl=10, eager_refresh=0.5)
        assert await subject.get_or_set("e", lambda: next(numbers), options) == 0  # noqa: B023
        await clock.advance(6)
        assert await subject.get_or_set("e", lambda: next(numbers), options) == 0  # noqa: B023
        await settle()
        assert await subject.get("e") == 1
        await clock.advance(6)
        assert await subject.get("e") == 1


async def test_copy_protects_what_is_cached(cache: CacheProvider) -> None:
    value = {"a": [1]}
    await cache.set("k", value, copy=True)
    value["a"].append(2)
    found = await cache.get("k")
    found["a"].append(3)
    assert await cache.get("k") == {"a": [1]}
    await cache.set("r", value)
    assert await cache.get("r") is value


async def test_l2_down_is_no_fault_of_the_application(cluster: Cluster, clock: FakeClock) -> None:
    await cluster.a.set("k", "old", tags=["t"])
    await cluster.b.get("k")
    cluster.remote.down = True
    assert await cluster.a.get_or_set("n", lambda: 1) == 1
    await cluster.a.set("m", 2)
    assert await cluster.a.get("m") == 2
    done = await cluster.a.invalidate(["t"])
    assert not done.confirmed
    assert await cluster.a.get("k") is None
    assert not (await cluster.a.delete("m")).confirmed
    assert await cluster.b.get("k") == "old"
    cluster.remote.down = False
    await clock.advance(2)
    # the first question brings what waited to the others, before anything is read
    assert await cluster.a.get("k") is None
    await settle()
    assert await cluster.b.get("k") is None
    assert (await cluster.a.invalidate(["t"])).confirmed


async def test_a_frozen_l2_costs_its_timeout_once(clock: FakeClock) -> None:
    remote = FlakyRemote(clock=clock)
    settings = Settings.from_mapping({"l2": {"timeout": 0.05}})
    async with CacheProvider(settings, remote=remote, clock=clock) as cache:
        await cache.get("k")
        remote.frozen = True
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for n in range(50):
            assert await cache.get_or_set(f"k{n}", lambda: n) == n  # noqa: B023
        assert loop.time() - begun < 1.0
        assert (await cache.get_stats()).l2_errors == 1


async def test_too_many_waiting_invalidations_become_one_of_all(
    cluster: Cluster, clock: FakeClock
) -> None:
    await cluster.b.set("innocent", 1)
    cluster.remote.down = True
    await cluster.a.delete_many([f"k{n}" for n in range(10_001)])
    cluster.remote.down = False
    await clock.advance(2)
    await cluster.a.get("x")
    await settle()
    assert await cluster.b.get("innocent") is None


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


async def test_clear_and_delete_pattern_alone(cache: CacheProvider) -> None:
    await cache.set_many({"a:1": 1, "a:2": 2, "b:1": 3})
    assert await cache.delete_pattern("a:*") == 2
    assert await cache.get_many(["a:1", "b:1"]) == {"b:1": 3}
    assert (await cache.clear()).confirmed
    assert await cache.get("b:1") is None
    assert await cache.delete("b:1")


async def test_warming(cache: CacheProvider) -> None:
    seen: list[int] = []
    assert await cache.warm("abc", str.upper, concurrency=2, on_progress=seen.append) == 3
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


async def test_nothing_of_users_in_the_logs(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    cluster.remote.down = True
    await cluster.a.get_or_set("secret-key", lambda: "secret-value", tags=["secret-tag"])
    text = " ".join(str(record.__dict__) for record in caplog.records)
    assert "cache.l2_failed" in text
    assert "secret" not in text
