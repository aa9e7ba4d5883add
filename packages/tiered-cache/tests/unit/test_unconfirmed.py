"""Invalidations that nobody confirmed: what is learnt meanwhile may not weaken them."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tiered_cache import CacheProvider, Settings
from tiered_cache.ports import Message, TagVersion
from tiered_cache.testing import FakeClock, FlakyRemote, MemoryBackplane, settle


class Slow(FlakyRemote):
    """Invalidates at once, and says so only when it may."""

    says: asyncio.Event | None = None

    async def bump(self, tags: Sequence[str], *, soft: bool = False) -> Mapping[str, TagVersion]:
        made = await super().bump(tags, soft=soft)
        if (says := self.says) is not None:
            await says.wait()
        return made


class World:
    """A cache whose shared level and backplane can be played with."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.remote = Slow(clock=self.clock)
        self.other = MemoryBackplane(clock=self.clock)
        plane = MemoryBackplane(self.other.hub, clock=self.clock)
        self.cache = CacheProvider(
            Settings(), remote=self.remote, backplane=plane, clock=self.clock
        )  # fmt: skip

    async def told(self, **tags: TagVersion) -> None:
        await self.other.start(lambda _: None, lambda: None)
        await self.other.publish(Message((), tags))

    async def break_down(self) -> None:
        """Open the breaker: changes wait from now on."""
        self.remote.down = True
        await self.cache.get("anything")
        assert (await self.cache.get_stats()).breaker == "open"

    async def unconfirmed(self) -> None:
        assert not (await self.cache.invalidate(["t"])).confirmed

    async def serves_nothing_old(self) -> bool:
        """Whether a factory that fails finds nothing to stand in for it, nor any call a value."""

        async def fails() -> Any:
            raise LookupError("the database is away")

        try:
            await self.cache.get_or_set("k", fails, tags=["t"])
        except LookupError:
            return await self.cache.get("k") is None
        return False


@pytest.fixture
async def world() -> Any:
    made = World()
    async with made.cache:
        await made.cache.set("k", "old", ttl=300, tags=["t"])
        yield made


@pytest.mark.parametrize("soft", [True, False])
async def test_the_late_answer_of_an_invalidation_before(world: World, soft: bool) -> None:
    """The answer tells of a lower version than that which was made up for the one that waits."""
    world.remote.says = asyncio.Event()
    before = asyncio.create_task(world.cache.invalidate(["t"], soft=soft))
    await settle()
    await world.cache.set("k", "old", ttl=300, tags=["t"])
    # another process computed it after that invalidation
    made = world.remote.shelf.versions["t"]
    await world.break_down()
    await world.clock.advance(0.01)
    await world.unconfirmed()
    world.remote.says.set()
    await before
    assert await world.serves_nothing_old()
    await world.told(t=made)
    assert await world.serves_nothing_old()


@pytest.mark.parametrize("hard", [True, False])
async def test_news_of_another_process(world: World, hard: bool) -> None:
    """Its clock runs ahead: a value that it computed before is older than what waits here."""
    await world.break_down()
    await world.unconfirmed()
    ahead = int((world.clock.time() + 5) * 1e6)
    await world.told(t=TagVersion(ahead, ahead if hard else 1))
    assert await world.serves_nothing_old()
    known = (await world.cache.opened()).tags.versions["t"]
    assert known.version > ahead
    assert known.hard > ahead


async def test_a_change_that_waits_anew_while_the_one_before_is_made(world: World) -> None:
    await world.break_down()
    await world.unconfirmed()
    world.remote.down, world.remote.says = False, asyncio.Event()
    await world.clock.advance(1.5)  # the probe replays, and is not answered yet
    engine = await world.cache.opened()
    guess = engine.tags.versions["t"]
    await world.unconfirmed()
    newer = engine.tags.versions["t"]
    assert newer > guess
    assert engine.shared is not None
    world.remote.says.set()
    await settle()
    assert engine.shared.replayed == 1
    assert engine.tags.versions["t"] >= newer
    # made, too, before anything is read: from then on the shared level's number counts
    world.remote.says = None
    await world.clock.advance(2)
    await world.cache.get("k")
    assert not (await world.cache.get_stats()).pending
    assert engine.tags.versions["t"] == world.remote.shelf.versions["t"]
    assert not engine.tags.waiting


async def test_a_soft_one_that_waits_lets_values_stand_in(world: World) -> None:
    await world.break_down()
    assert not (await world.cache.invalidate(["t"], soft=True)).confirmed
    version = world.remote.shelf.versions.get("t")
    assert version is None
    assert not await world.serves_nothing_old()


async def test_what_waited_is_forgotten_once_it_is_made(world: World) -> None:
    await world.break_down()
    await world.cache.invalidate([f"t{n}" for n in range(20)])
    engine = await world.cache.opened()
    assert len(engine.tags.waiting) == 20
    world.remote.down = False
    await world.clock.advance(2)
    assert not engine.tags.waiting
    assert (await world.cache.invalidate(["t"])).confirmed
    assert not engine.tags.waiting
