"""Versions in memcached where it loses them at a bad moment."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from tiered_cache import BackendError
from tiered_cache.adapters.memcached.connections import Put
from tiered_cache.adapters.memcached.versions import Versions
from tiered_cache.ports import LATEST, TagVersion
from tiered_cache.testing import FakeClock


class Items:
    """What a connection says of a server's items; ``before_put`` happens once, just before one."""

    def __init__(self) -> None:
        self.there: dict[bytes, tuple[bytes, int]] = {}
        self.before_put: Callable[[], None] | None = None
        self._token = 0

    async def gets(self, names: Sequence[bytes]) -> tuple[Mapping[bytes, bytes], Any]:
        found = {name: self.there[name] for name in names if name in self.there}
        return {name: data for name, (data, _) in found.items()}, {
            name: token for name, (_, token) in found.items()
        }

    async def put(self, puts: Sequence[Put]) -> list[bool]:
        happens, self.before_put = self.before_put, None
        if happens is not None:
            happens()
        return [self.store(each) for each in puts]

    def store(self, each: Put) -> bool:
        token = self.there[each.name][1] if each.name in self.there else None
        if token != each.token:
            return False
        self._token += 1
        self.there[each.name] = each.data, self._token
        return True

    async def add_to(self, name: bytes, number: int) -> int | None:
        if name not in self.there:
            return None
        data, token = self.there.pop(name)
        self.store(Put(name, b"%d" % (int(data) + number), 0, None))
        assert token
        return int(data) + number


class World:
    def __init__(self) -> None:
        self.items, self.clock = Items(), FakeClock()
        self.versions = Versions(str.encode, self.clock)
        self.held: Any = self.items

    async def read(self, *tags: str) -> dict[str, TagVersion]:
        seen, names = self.versions.seen, self.versions.names(tags)
        return await self.versions.of(self.held, tags, await self.items.gets(names), seen)

    async def bump(self, *tags: str, soft: bool = False) -> dict[str, TagVersion]:
        return await self.versions.bump(self.held, tags, soft=soft)

    def emptied(self) -> None:
        """Lose everything; another process has begun versions anew."""
        self.items.there.clear()
        self.items.store(Put(LATEST.encode(), b"%d" % (self.clock.time() * 1e6 + 5e6), 0, None))


@pytest.fixture
def world() -> World:
    return World()


async def test_emptied_while_a_tag_is_begun(world: World) -> None:
    """It is not begun at a version of before, which values of before may carry."""
    before = (await world.read(LATEST))[LATEST]
    world.items.before_put = world.emptied
    found = await world.read("t", LATEST)
    assert found["t"] > before
    assert found == await world.read("t", LATEST)


async def test_emptied_while_a_version_is_reserved(world: World) -> None:
    before = (await world.bump("t"))["t"]
    world.items.before_put = world.emptied
    made = await world.bump("t", "u")
    assert before < made["t"] < made["u"]
    assert made == {tag: (await world.read("t", "u"))[tag] for tag in made}
    assert (await world.read(LATEST))[LATEST].version >= made["u"].version


async def test_versions_follow_the_clock(world: World) -> None:
    """One that was made up from the clock meanwhile is lower than that which it stands for."""
    await world.read("t")
    await world.clock.advance(100)
    guess = int(world.clock.time() * 1e6)
    assert (await world.bump("t"))["t"].version >= guess
    assert (await world.bump("t"))["t"].version > guess


async def test_several_at_once_differ(world: World) -> None:
    made = await world.bump("a", "b", "c")
    assert len(set(made.values())) == 3
    assert (await world.bump("a", soft=True))["a"] > max(made.values())


async def test_a_soft_bump_of_a_lost_tag_is_a_hard_one_before_it(world: World) -> None:
    old = (await world.bump("t"))["t"]
    del world.items.there[b"t"]
    assert (await world.bump("t", soft=True))["t"].hard >= old.version


async def test_a_store_that_loses_everything_all_the_time(world: World) -> None:
    def put(_: Any) -> bool:
        return True

    world.items.store = put  # type: ignore[method-assign]
    with pytest.raises(BackendError, match="loses its versions"):
        await world.read("t")
