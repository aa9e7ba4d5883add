"""A backplane takes its time to listen: what was changed before it did is not served after it."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from tiered_cache import CacheProvider
from tiered_cache.ports import Message, Read
from tiered_cache.testing import FakeClock, FlakyRemote, MemoryBackplane, MemoryRemote, settle


class Late(MemoryBackplane):
    """Listens once it is let."""

    def __init__(self, hub: list[MemoryBackplane], *, clock: FakeClock) -> None:
        super().__init__(hub, clock=clock)
        self.go = asyncio.Event()

    async def start(
        self, on_message: Callable[[Message], None], on_gap: Callable[[], None]
    ) -> None:
        await self.go.wait()
        await super().start(on_message, on_gap)

    @property
    def last_alive(self) -> float:
        return super().last_alive if self.go.is_set() else float("-inf")


class Gated(MemoryRemote):
    """Its reads end when they may."""

    gate: asyncio.Event | None = None
    reads = 0

    async def read(self, keys: Sequence[str], tags: Sequence[str], *, fences: bool = True) -> Read:
        self.reads += 1
        found = await super().read(keys, tags, fences=fences)
        if self.gate is not None and not keys:  # it asks for the tags of what it has found
            await self.gate.wait()
        return found


def caches(clock: FakeClock) -> tuple[CacheProvider, CacheProvider]:
    plane, remote = MemoryBackplane(clock=clock), MemoryRemote(clock=clock)
    first = CacheProvider(remote=remote, backplane=plane, clock=clock)
    other = Gated(clock=clock, shelf=remote.shelf)
    return first, CacheProvider(remote=other, backplane=Late(plane.hub, clock=clock), clock=clock)


@pytest.mark.parametrize("how", ["tag", "key", "soft"])
async def test_what_was_changed_before_anybody_listened(clock: FakeClock, how: str) -> None:
    first, other = caches(clock)
    async with first, other:
        await first.set("k", "old", tags=["t"])
        assert await other.get("k") == "old"
        if how == "key":
            assert (await first.delete("k")).confirmed
        else:
            assert (await first.invalidate(["t"], soft=how == "soft")).confirmed
        plane = (await other.opened()).shared.backplane  # type: ignore[union-attr]
        plane.go.set()  # type: ignore[union-attr]
        await settle()
        assert await other.get("k") is None
        assert await other.get_or_set("k", lambda: "new", tags=["t"]) == "new"


async def test_a_read_under_way_is_no_miss(clock: FakeClock) -> None:
    """When listening begins in the middle of it, L2 is asked once more."""
    first, other = caches(clock)
    async with first, other:
        await first.set("k", "old", tags=["t"])
        shared = (await other.opened()).shared
        assert shared is not None
        remote: Gated = shared.remote  # type: ignore[assignment]
        remote.gate = asyncio.Event()
        asked = asyncio.create_task(other.get("k"))
        made = asyncio.create_task(other.get_or_set("k", lambda: "made"))
        while remote.reads < 4:
            await asyncio.sleep(0)
        shared.backplane.go.set()  # type: ignore[union-attr]
        await settle()
        remote.gate.set()
        assert await asked == "old"
        assert await made == "old"


async def test_a_version_made_up_is_nobody_elses(clock: FakeClock) -> None:
    """Without L2 a process makes up versions; an invalidation at the same moment is another one."""
    hub: list[MemoryBackplane] = []
    remote = MemoryRemote(clock=clock)
    down = FlakyRemote(clock=clock, shelf=remote.shelf)
    first = CacheProvider(remote=remote, backplane=MemoryBackplane(hub, clock=clock), clock=clock)
    other = CacheProvider(remote=down, backplane=MemoryBackplane(hub, clock=clock), clock=clock)
    async with first, other:
        await first.get("warm-up")
        await other.get("warm-up")
        await clock.advance(0.5)  # else the server counts on from the versions that it gave
        down.down = True
        await other.set("k", "old", tags=["t"])
        assert (await first.invalidate(["t"])).confirmed
        await settle()
        assert await other.get("k") is None
