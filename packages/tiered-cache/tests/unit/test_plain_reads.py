"""What ``get`` and ``get_many`` find in L2, with L1 and without: fresh values and no others."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from clusters import Cluster
from tiered_cache import MISSING, CacheProvider, Settings
from tiered_cache.codec.envelope import Header
from tiered_cache.ports import Read, Write
from tiered_cache.testing import FakeClock, FlakyRemote, MemoryBackplane, settle


class Counting(FlakyRemote):
    """Knows what was read."""

    reads: list[tuple[int, int]]

    async def read(self, keys: Sequence[str], tags: Sequence[str], *, fences: bool = True) -> Read:
        self.reads.append((len(keys), len(tags)))
        return await super().read(keys, tags, fences=fences)


class Reader:
    """A process that only reads, by one call or the other."""

    def __init__(self, cluster: Cluster, call: str, *, local: bool) -> None:
        self.plane = MemoryBackplane(cluster.planes[0].hub, clock=cluster.clock)
        self.remote = Counting(clock=cluster.clock, shelf=cluster.remote.shelf)
        self.remote.reads = []
        settings = Settings.from_mapping({"l1": {"enabled": local, "max_size": 5000}})
        self.cache = CacheProvider(
            settings, remote=self.remote, backplane=self.plane, clock=cluster.clock
        )
        self.call = call

    async def look(self, key: str) -> Any:
        if self.call == "get":
            return await self.cache.get(key, MISSING)
        return (await self.cache.get_many([key])).get(key, MISSING)

    async def counted(self) -> tuple[int, int, int]:
        stats = await self.cache.get_stats()
        return stats.l2_hits, stats.misses, stats.corrupt


@pytest.fixture(
    params=[("get", True), ("get", False), ("get_many", True), ("get_many", False)],
    ids=["get", "get-no-l1", "get_many", "get_many-no-l1"],
)
async def reader(cluster: Cluster, request: pytest.FixtureRequest) -> AsyncIterator[Reader]:
    call, local = request.param
    made = Reader(cluster, call, local=local)
    # so that it knows the version of all values, as after its first read
    await cluster.a.set("first", 1)
    assert await made.look("first") == 1
    await settle()
    yield made
    await made.cache.aclose()


@pytest.mark.parametrize("value", [1, None, {"a": [1]}])
async def test_values_are_found_and_counted(cluster: Cluster, reader: Reader, value: Any) -> None:
    before = await reader.counted()
    await cluster.a.set("k", value)
    assert await reader.look("k") == value
    assert await reader.look("none") is MISSING
    hits, misses, corrupt = await reader.counted()
    assert (hits - before[0], misses - before[1], corrupt) == (1, 1, 0)


async def test_expired_values_are_misses_while_l2_keeps_them(
    cluster: Cluster, reader: Reader, clock: FakeClock
) -> None:
    await cluster.a.set("k", 1, ttl=5, max_stale=100)
    assert await reader.look("k") == 1
    await clock.advance(6)
    await settle()
    assert await reader.look("k") is MISSING


@pytest.mark.parametrize("cut", [False, True], ids=["hears", "cut-off"])
@pytest.mark.parametrize("everything", [False, True], ids=["tag", "clear"])
async def test_invalidated_values_are_misses(
    cluster: Cluster, reader: Reader, clock: FakeClock, cut: bool, everything: bool
) -> None:
    await cluster.a.set("k", 1, tags=["t"])
    await cluster.a.set("other", 2, tags=["u"])
    assert (await reader.look("k"), await reader.look("other")) == (1, 2)
    if cut:
        reader.plane.cut()
    done = await (cluster.a.clear() if everything else cluster.a.invalidate(["t"]))
    assert done.confirmed
    await settle()
    if cut:
        await clock.advance(3)
    assert await reader.look("k") is MISSING
    assert await reader.look("other") == (MISSING if everything else 2)


async def test_unknown_tags_are_asked_for_once(cluster: Cluster, reader: Reader) -> None:
    await cluster.a.set("k", 1, tags=["new", "newer"])
    reader.remote.reads.clear()
    assert await reader.look("k") == 1
    assert reader.remote.reads == [(1, 0), (0, 2)]


async def test_a_value_whose_tags_nobody_tells_is_a_miss(cluster: Cluster, reader: Reader) -> None:
    await cluster.a.set("k", 1, tags=["new"])

    async def read(keys: Sequence[str], tags: Sequence[str], *, fences: bool = True) -> Read:
        if tags:
            raise OSError("gone")
        return await Counting.read(reader.remote, keys, tags, fences=fences)

    reader.remote.read = read  # type: ignore[method-assign]
    assert await reader.look("k") is MISSING


@pytest.mark.parametrize("data", [b"", b"\xc7", b"foreign", b"\xc7\x01\x01\x00\xff\xff\xff\xff"])
async def test_foreign_bytes_are_counted_misses(
    cluster: Cluster, reader: Reader, data: bytes
) -> None:
    await cluster.remote.write([Write("k", data, 60)])
    assert await reader.look("k") is MISSING
    assert (await reader.counted())[2] == 1


async def test_a_value_without_the_tag_of_all_is_none_of_ours(
    cluster: Cluster, reader: Reader, clock: FakeClock
) -> None:
    """Nothing would ever invalidate it."""
    codec = (await reader.cache.opened()).codec
    header = Header(clock.time(), clock.time() + 60, clock.time() + 60, {})
    await cluster.remote.write([Write("k", codec.dumps(1, None, header), 60)])
    assert await reader.look("k") is MISSING
    assert (await reader.counted())[2] == 1


async def test_many_keys_are_one_read_of_those_that_l1_has_not(
    cluster: Cluster, clock: FakeClock
) -> None:
    made = Reader(cluster, "get_many", local=True)
    async with made.cache as cache:
        values = {f"k{n:04}": n for n in range(1500)}
        await cluster.a.set_many(values, tags=["t"])
        assert await cache.get("k0000") == 0
        made.remote.reads.clear()
        found = await cache.get_many(["none", *reversed(values)])
        assert found == values
        assert list(found) == list(reversed(values))
        assert made.remote.reads == [(1000, 0), (500, 0)]
        made.remote.reads.clear()
        assert await cache.get_many(list(values)) == values
        assert made.remote.reads == []
        # nothing is heard any more: one read for the values, and one for their tag
        made.plane.cut()
        await clock.advance(3)
        assert await cache.get_many(list(values)[:500]) == dict(list(values.items())[:500])
        assert [keys for keys, _ in made.remote.reads] == [500, 0]
