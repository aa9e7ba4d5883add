"""Invalidations that nobody confirmed: what is learnt meanwhile may not weaken them."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from tiered_cache import CacheContext, CacheProvider, Settings
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

    def __init__(self, *, lag: bool = False) -> None:
        self.clock = FakeClock()
        self.remote = Slow(clock=Lagging(self.clock) if lag else self.clock)
        self.other = MemoryBackplane(clock=self.clock)
        plane = MemoryBackplane(self.other.hub, clock=self.clock)
        self.cache = CacheProvider(
            Settings(), remote=self.remote, backplane=plane, clock=self.clock
        )  # fmt: skip

    async def told(self, **tags: TagVersion) -> None:
        await self.other.start(lambda _: None, lambda: None)
        await self.other.publish(Message((), tags))
        await settle()

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


async def test_doubts_leave_what_waits(world: World) -> None:
    """Redis told that tags changed, not which: of ours it cannot know yet."""
    shelf = world.remote.shelf
    await world.cache.invalidate(["t"])
    await world.cache.set("k", "old", ttl=300, tags=["t"])
    made = shelf.versions["t"]
    await world.break_down()
    await world.unconfirmed()
    await world.other.start(lambda _: None, lambda: None)
    await world.other.publish(Message(forget_versions=True))
    await world.told(t=made)
    assert await world.serves_nothing_old()


class Held(FlakyRemote):
    """Answers a read of versions, or a change of them, only when it may."""

    held: str = ""
    go: asyncio.Event

    async def _answer(self, what: str, answer: Any) -> Any:
        if self.held == what:
            await self.go.wait()
        return answer

    async def read(self, keys: Sequence[str], tags: Sequence[str], *, fences: bool = True) -> Any:
        found = await super().read(keys, tags, fences=fences)
        return await self._answer("read" if "t" in tags else "other", found)

    async def bump(self, tags: Sequence[str], *, soft: bool = False) -> Any:
        return await self._answer("bump", await super().bump(tags, soft=soft))


class Pair:
    """Two caches on one shared level; the answers to the first one can be held back."""

    def __init__(self) -> None:
        clock = FakeClock()
        self.held = Held(clock=clock)
        self.held.go = asyncio.Event()
        self.planes = [MemoryBackplane(clock=clock)]
        self.planes.append(MemoryBackplane(self.planes[0].hub, clock=clock))
        remotes = [self.held, FlakyRemote(shelf=self.held.shelf, clock=clock)]
        settings = Settings.from_mapping({"l2": {"timeout": 1000}})
        self.a, self.b = (
            CacheProvider(settings, remote=remote, backplane=plane, clock=clock)
            for remote, plane in zip(remotes, self.planes, strict=True)
        )

    async def missed(self) -> None:
        """Invalidate in the second process; the first hears nothing, and then that it missed it."""
        self.planes[0].cut()
        assert (await self.b.invalidate(["t"])).confirmed
        self.planes[0].heal()

    async def released(self, task: "asyncio.Task[Any]") -> None:
        self.held.held = ""
        self.held.go.set()
        await task


@pytest.fixture
async def pair() -> Any:
    made = Pair()
    async with made.a, made.b:
        await made.a.get("begin")
        await made.b.get("begin")
        yield made


async def test_an_answer_from_before_what_was_missed(pair: Pair) -> None:
    await pair.b.set("k", "old", tags=["t"])
    pair.held.held = "read"
    asking = asyncio.create_task(pair.a.get("k"))
    await settle()
    await pair.missed()
    await pair.released(asking)
    assert await pair.a.get("k") is None


async def test_our_own_change_is_answered_after_one_was_missed(pair: Pair) -> None:
    pair.held.held = "bump"
    changing = asyncio.create_task(pair.a.invalidate(["t"]))
    await settle()
    await pair.b.set("k", "old", tags=["t"])
    await pair.missed()
    await pair.released(changing)
    assert await pair.a.get("k") is None
    assert await pair.a.get_or_set("k", lambda: "new", tags=["t"]) == "new"
    assert await pair.b.get("k") == "new"


async def test_news_from_before_our_own_change(pair: Pair) -> None:
    """They come late, when our own version was forgotten; of ours no message comes back."""
    await pair.b.invalidate(["t"], soft=True)
    news = pair.held.shelf.versions["t"]
    await pair.b.set("k", "old", tags=["t"])
    assert (await pair.a.invalidate(["t"])).confirmed
    pair.planes[0].cut()
    pair.planes[0].heal()
    await pair.planes[1].publish(Message((), {"t": news}))
    await settle()
    assert await pair.a.get("k") is None
    assert await pair.a.get_or_set("k", lambda: "new", tags=["t"]) == "new"
    assert await pair.b.get("k") == "new"


async def test_what_carries_a_guess_is_not_shared(world: World) -> None:
    """Its version of the tag is ours alone: nobody else can tell what is newer."""
    world.remote.says = asyncio.Event()
    invalidating = asyncio.create_task(world.cache.invalidate(["t"]))
    await settle()
    assert await world.cache.get_or_set("new", lambda: 1, tags=["t"]) == 1
    assert await world.cache.get_or_set("late", named_late) == 1
    assert not {"new", "late"} & world.remote.shelf.values.keys()
    world.remote.says.set()
    await invalidating
    assert await world.cache.get_or_set("next", lambda: 2, tags=["t"]) == 2
    assert "next" in world.remote.shelf.values


async def named_late(context: CacheContext) -> int:
    context.tags.append("t")
    return 1


class Lagging:
    """A clock that is behind another one."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.sleep, self.monotonic = clock.sleep, clock.monotonic

    def time(self) -> float:
        return self._clock.time() - 60


@pytest.mark.parametrize("again", [False, True])
async def test_a_level_whose_clock_is_behind(again: bool) -> None:
    """What it gives for invalidations that waited is lower than what stood for them meanwhile."""
    world = World(lag=True)
    async with world.cache as cache:
        await cache.set("k", "old", ttl=300, tags=["t"])
        await world.break_down()
        await world.unconfirmed()
        await cache.get_or_set("k", lambda: "between", ttl=300, tags=["t"], max_stale=600)
        await world.clock.advance(0.01)
        await world.unconfirmed()
        world.remote.down = False
        await world.clock.advance(1.5)
        assert not (await cache.get_stats()).pending
        if again:  # its clock passes what stood for them
            await world.clock.advance(61)
            await cache.invalidate(["t"], soft=True)
        assert await world.serves_nothing_old()


@pytest.mark.parametrize("soft", [True, False])
async def test_news_below_the_guess(soft: bool) -> None:
    """The level's clock is behind: what another process bumped since is lower than our guess."""
    world = World(lag=True)
    async with world.cache as cache:
        await cache.set("k", "old", ttl=300, tags=["t"])
        before = (await world.remote.read([], ["t"])).versions["t"]
        await world.break_down()
        assert not (await cache.invalidate(["t"], soft=soft)).confirmed
        assert await cache.get_or_set("k", lambda: "mine", ttl=300, tags=["t"]) == "mine"
        await world.told(t=TagVersion(before.version, before.hard))  # no news
        assert await cache.get("k") == "mine"
        news = before.version + 1
        await world.told(t=TagVersion(news, news))
        assert await world.serves_nothing_old()
