"""A shared level that fails, hangs and comes back."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence

import pytest

from clusters import Cluster
from tiered_cache import (
    CacheProvider,
    CacheStats,
    Settings,
)
from tiered_cache.adapters.memory import MemoryRemote
from tiered_cache.errors import BackendError
from tiered_cache.ports import Read, Write
from tiered_cache.testing import (
    FakeClock,
    FlakyRemote,
    settle,
)


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
    class Counting(FlakyRemote):
        asked = 0

        async def _fault(self) -> None:
            self.asked += self.frozen
            await super()._fault()

    remote = Counting(clock=clock)
    settings = Settings.from_mapping({"l2": {"timeout": 0.05}})
    async with CacheProvider(settings, remote=remote, clock=clock) as cache:
        await cache.get("k")
        remote.frozen = True
        for n in range(50):
            assert await cache.get_or_set(f"k{n}", lambda: n) == n  # noqa: B023
        assert remote.asked == 1
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


async def test_nothing_of_users_in_the_logs(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    cluster.remote.down = True
    await cluster.a.get_or_set("secret-key", lambda: "secret-value", tags=["secret-tag"])
    text = " ".join(str(record.__dict__) for record in caplog.records)
    assert "cache.l2_failed" in text
    assert "secret" not in text


@pytest.mark.parametrize("change", ["delete", "invalidate", "set"])
async def test_a_cancelled_change_reaches_the_others_later(
    cluster: Cluster, clock: FakeClock, change: str
) -> None:
    """A client that hangs up must not leave the other processes with the old value."""
    await cluster.a.set("k", "old", tags=["t"])
    await settle()
    assert await cluster.b.get("k") == "old"
    cluster.remote.frozen = True
    work = {
        "delete": lambda: cluster.a.delete("k"),
        "invalidate": lambda: cluster.a.invalidate(["t"]),
        "set": lambda: cluster.a.set("k", "new", tags=["t"]),
    }[change]()
    task = asyncio.ensure_future(work)
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    cluster.remote.frozen = False
    await cluster.a.get("other")
    await settle()
    # a set that was cut off is deleted: nobody knows which of the two values is there
    assert await cluster.b.get("k") is None


async def test_a_factory_that_outlives_its_fence(cluster: Cluster, clock: FakeClock) -> None:
    go = asyncio.Event()

    async def factory() -> str:
        await go.wait()
        return "old"

    caller = asyncio.create_task(cluster.a.get_or_set("k", factory))
    await settle()
    await clock.advance(3601)
    go.set()
    assert await caller == "old"
    assert cluster.remote.shelf.values == {}


async def test_figures_go_on_after_a_failed_export(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[int] = []

    def export(stats: CacheStats) -> None:
        seen.append(stats.hits)
        raise OSError("the collector is down")

    async with CacheProvider.from_url("memory://", clock=clock, metrics_exporter=export) as cache:
        await cache.set("k", 1)
        for _ in range(2):
            await cache.get("k")
            await settle()
            await clock.advance(60)
            await settle()
    assert seen == [1, 2]
    assert "cache.metrics_failed" in caplog.text


async def test_tags_that_no_value_has_are_forgotten(cluster: Cluster, cache: CacheProvider) -> None:
    for subject in (cluster.a, cache):
        await subject.set("kept", 1, tags=["kept"])
        for n in range(25_000):
            if n % 100:
                subject._parts.engine.tags.current([f"t{n}"])
            else:
                await subject.invalidate([f"t{n}"])
        await subject.invalidate(["last"])
        assert len(subject._parts.engine.tags.versions) < 20_100
        assert await subject.get("kept") == 1
        await subject.invalidate(["kept"])
        assert await subject.get("kept") is None


class Broken(MemoryRemote):
    """An adapter of somebody else, with a mistake in it."""

    async def read(self, keys: Sequence[str], tags: Sequence[str], *, fences: bool = True) -> Read:
        raise KeyError("a mistake")


async def test_no_exception_of_an_adapter_reaches_the_application(clock: FakeClock) -> None:
    async with CacheProvider(Settings(), remote=Broken(clock=clock), clock=clock) as cache:
        assert await cache.get_or_set("k", lambda: 1) == 1
        found = await cache.get_stats()
        assert (found.breaker, found.l2_errors) == ("open", 1)
        await clock.advance(1.5)  # nor that of the probe
        assert (await cache.get_stats()).breaker == "open"


class Narrow(FlakyRemote):
    """A way that bears three writes after each read, and values of no more than 100,000 bytes."""

    bears = 0

    async def read(self, keys: Sequence[str], tags: Sequence[str], *, fences: bool = True) -> Read:
        self.bears = 3
        return await super().read(keys, tags, fences=fences)

    async def write(self, items: Sequence[Write]) -> Sequence[bool]:
        if self.bears <= 0 or any(len(item.data) > 100_000 for item in items):
            raise BackendError("too much", retryable=True)
        assert len(items) <= 250
        self.bears -= 1
        return await super().write(items)


@pytest.fixture
async def narrow(clock: FakeClock) -> AsyncIterator[tuple[Narrow, CacheProvider]]:
    remote = Narrow(clock=clock)
    async with CacheProvider(Settings(), remote=remote, clock=clock) as cache:
        await cache.get("x")
        yield remote, cache


async def test_what_waits_is_made_by_and_by(
    narrow: tuple[Narrow, CacheProvider], clock: FakeClock
) -> None:
    """A level that bears a part of it at a time comes back: what was made is not made again."""
    remote, cache = narrow
    remote.down = True
    await cache.set_many({f"k{n}": n for n in range(1500)})
    remote.down = False
    await clock.advance(60)
    assert (await cache.get_stats()).breaker == "closed"
    assert len(remote.shelf.values) == 1500
    assert (await cache.get_stats()).replayed == 1500


async def test_a_value_that_never_arrives_keeps_the_level_away_from_nobody(
    narrow: tuple[Narrow, CacheProvider], clock: FakeClock
) -> None:
    remote, cache = narrow
    await cache.set("gone", 1)
    await cache.set("large", "small as yet")
    await cache.set("large", bytes(200_000), compress=False)
    await cache.delete("gone")
    assert (await cache.get_stats()).breaker == "open"
    await clock.advance(60)
    assert (await cache.get_stats()).breaker == "closed"
    assert not remote.shelf.values, "nor is the old one there"
