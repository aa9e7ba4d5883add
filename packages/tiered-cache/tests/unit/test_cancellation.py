"""A caller is cancelled at each point where it waits: nothing stays behind, nobody else suffers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from stepping import SteppingRemote
from tiered_cache import CacheProvider, Settings
from tiered_cache.testing import FakeClock, MemoryBackplane, settle

MOST = 200


class World:
    """Two processes' caches on one stepping level, and what the factory does."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.remote = SteppingRemote(clock=self.clock)
        plane = MemoryBackplane(clock=self.clock)
        self.a = self._cache(self.remote, plane)
        other = SteppingRemote(clock=self.clock, shelf=self.remote.shelf)
        self.b = self._cache(other, MemoryBackplane(plane.hub, clock=self.clock))

    def _cache(self, remote: SteppingRemote, plane: MemoryBackplane) -> CacheProvider:
        # a busy machine is no fault of the shared level
        settings = Settings.from_mapping({"l2": {"timeout": 30}})
        return CacheProvider(settings, remote=remote, backplane=plane, clock=self.clock)

    async def factory(self) -> str:
        for _ in range(3):
            await asyncio.sleep(0)
        return "made"

    async def begin(self) -> None:
        await self.a.set("old", "old", tags=["t"])
        assert await self.b.get("old") == "old"
        await settle()

    async def end(self) -> None:
        await self.a.aclose()
        await self.b.aclose()


async def ask(world: World) -> None:
    await world.a.get_or_set("k", world.factory, tags=["t"])


async def call(world: World) -> None:
    @world.a.cached(ttl=60, key="k", tags=["t"])
    async def decorated() -> str:
        return await world.factory()

    await decorated()


async def call_anew(world: World) -> None:
    @world.a.cached(ttl=60, key="k")
    async def decorated() -> str:
        return await world.factory()

    await decorated.refresh()


async def ask_for_many(world: World) -> None:
    async def factory(keys: Sequence[str]) -> dict[str, str]:
        await world.factory()
        return dict.fromkeys(keys, "made")

    await world.a.get_or_set_many(["k", "l"], factory)


async def hold(world: World) -> None:
    async with world.a.lock("k"):
        await asyncio.sleep(0)


WORK: dict[str, Callable[[World], Awaitable[Any]]] = {
    "get_or_set": ask,
    "cached": call,
    "refresh": call_anew,
    "get_or_set_many": ask_for_many,
    "get": lambda world: world.a.get("nothing"),
    "set": lambda world: world.a.set("old", "new", tags=["t"]),
    "set_many": lambda world: world.a.set_many({"old": "new", "k": "new"}),
    "delete": lambda world: world.a.delete("old"),
    "invalidate": lambda world: world.a.invalidate(["t"]),
    "clear": lambda world: world.a.clear(),
    "lock": hold,
}


@pytest.mark.parametrize("name", WORK)
async def test_at_every_point_of(name: str) -> None:
    for turns in range(MOST):
        world = World()
        await world.begin()
        before = asyncio.all_tasks()
        task = asyncio.ensure_future(WORK[name](world))
        await settle(turns)
        if ended := task.done():
            await task
        else:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await settle(60)
        await nothing_stayed(world, before)
        await everything_goes_on(world)
        await world.end()
        if ended:
            assert turns > 1, "it never waited: nothing was swept"
            return
    pytest.fail(f"{name} does not end within {MOST} turns")


async def nothing_stayed(world: World, before: set[asyncio.Task[Any]]) -> None:
    assert {task.get_name() for task in asyncio.all_tasks() - before} == set()
    assert world.remote.shelf.leases == {}
    for cache in (world.a, world.b):
        engine = await cache.opened()
        assert engine.flights._running == {}
        assert engine.lookups._running == {}
        assert engine.shared is not None
        assert engine.shared.waiting._events == {}


async def everything_goes_on(world: World) -> None:
    # what was cut off halfway is made up for with the next call, and the other one hears of it
    async with asyncio.timeout(30):
        await world.a.get("look")
        await settle()
        assert (await world.a.get_stats()).pending == 0
        found = await world.a.get("old"), await world.b.get("old")
        assert found[0] == found[1]
        assert found[0] in {"old", "new", None}
        value = await world.b.get_or_set("k", world.factory)
        assert await world.a.get_or_set("k", world.factory) == value
        async with world.b.lock("k"):
            pass


@pytest.mark.parametrize("turns", range(0, 30, 2))
async def test_one_of_two_who_wait_for_one_factory(turns: int) -> None:
    world = World()
    await world.begin()
    first, second = (asyncio.create_task(world.a.get_or_set("k", world.factory)) for _ in range(2))
    elsewhere = asyncio.create_task(world.b.get_or_set("k", world.factory))
    await settle(turns)
    first.cancel()
    world_moves = asyncio.create_task(pass_time(world))
    async with asyncio.timeout(30):
        assert await second == "made"
        assert await elsewhere == "made"
    world_moves.cancel()
    await settle(60)
    assert world.remote.shelf.leases == {}
    await world.end()


async def pass_time(world: World) -> None:
    """Let those look who wait for another process."""
    while True:
        await settle(5)
        await world.clock.advance(0.01)
