"""``cached``: keys, types, both kinds of functions."""

import asyncio
import enum
import inspect
import threading
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest

from tiered_cache import CacheProvider, ConfigurationError, Settings
from tiered_cache.testing import FakeClock, MemoryBackplane, MemoryRemote


class Colour(enum.Enum):
    RED = 1


@dataclass
class Point:
    x: int
    y: int


async def test_arguments_make_the_key(cache: CacheProvider) -> None:
    calls: list[object] = []

    @cache.cached(ttl=60)
    async def f(a: object, b: object = 0, *rest: object, **named: object) -> int:
        """The docstring."""
        calls.append(a)
        return len(calls)

    different = [
        1,
        True,
        "1",
        1.0,
        None,
        (1,),
        (True,),
        [1],
        {1},
        b"1",
        date(2026, 1, 1),
        Colour.RED,
        Point(1, 2),
    ]
    results = [await f(each) for each in different]
    assert results == list(range(1, len(different) + 1))
    assert [await f(each) for each in different] == results
    assert await f(1, b=0) == await f(a=1) == results[0]
    assert await f("a:b", "c") != await f("a", "b:c")
    assert await f(1, 2, 3) != await f(1, 2, c=3)
    assert f.__doc__ == "The docstring."
    assert list(inspect.signature(f).parameters) == ["a", "b", "rest", "named"]


async def test_what_has_no_key_is_refused(cache: CacheProvider) -> None:
    @cache.cached()
    async def f(a: object) -> int:
        return 1

    with pytest.raises(ConfigurationError, match="stable text"):
        await f(object())


async def test_templates_escape_their_fields(cache: CacheProvider) -> None:
    @cache.cached(key="user:{user_id}:{part}")
    async def f(user_id: object, part: object) -> int:
        return 1

    assert f.key(5, "name") == "user:5:name"
    keys = {
        f.key("a:b", "c"),
        f.key("a", "b:c"),
        f.key("5", "x"),
        f.key(5, "x"),
        f.key(True, "x"),
        f.key("%3A;", "x"),
        f.key(":", "x"),
    }
    assert len(keys) == 7
    with pytest.raises(ConfigurationError, match="no parameter"):
        cache.cached(key="user:{nobody}")(f)
    with pytest.raises(ConfigurationError, match="no parameter"):
        cache.cached(key="{user_id.__class__}")(f)


async def test_methods_know_their_object(cache: CacheProvider) -> None:
    class Service:
        def __init__(self, name: str) -> None:
            self.name = name

        @cache.cached()
        async def who(self) -> str:
            return self.name

    class Named(Service):
        def __cache_key__(self) -> str:
            return self.name

    a, b = Service("a"), Service("b")
    assert [await a.who(), await b.who(), await a.who()] == ["a", "b", "a"]
    assert await Named("x").who() == "x"
    assert (await cache.get_stats()).hits == 1
    await Named("x").who()
    assert (await cache.get_stats()).hits == 2


async def test_condition_unless_and_the_attributes(cache: CacheProvider) -> None:
    numbers = iter(range(100))

    @cache.cached(condition=lambda a: a > 0, unless=lambda result: result % 2 == 1)
    async def f(a: int) -> int:
        return next(numbers)

    assert [await f(-1), await f(-1)] == [0, 1]
    assert [await f(1), await f(1), await f(1)] == [2, 2, 2]
    assert [await f(2), await f(2)] == [3, 4]
    assert await f.refresh(1) == 5
    assert await f.invalidate(2)
    assert await f(2) == 6
    assert await f.bypass(2) == 7
    assert await f(2) == 6


async def test_blocking_functions_share_with_everybody(cache: CacheProvider) -> None:
    calls: list[int] = []
    go = threading.Event()

    @cache.cached(ttl=60)
    def f(a: int) -> int:
        calls.append(a)
        go.wait(5)
        return a * 2

    threads = [asyncio.to_thread(f, 3) for _ in range(5)]
    gathered = asyncio.gather(*threads)
    await asyncio.sleep(0.05)
    go.set()
    assert await gathered == [6] * 5
    assert calls == [3]
    assert f(3) == 6


def test_blocking_errors_and_unless(clock: FakeClock) -> None:
    cache = CacheProvider.from_url("memory://", clock=clock)

    @cache.cached(unless=lambda result: result is None, max_stale=100, ttl=10)
    def f(fail: bool = False) -> object:
        if state["fail"]:
            raise OSError("down")
        return state["value"]

    state: dict[str, object] = {"fail": False, "value": None}
    assert f() is None
    state["value"] = 5
    assert f() == 5
    state["fail"] = True
    assert f() == 5
    clock.shift(11)
    assert f() == 5
    clock.shift(200)
    with pytest.raises(OSError, match="down"):
        f()


async def test_values_come_back_with_their_type(clock: FakeClock) -> None:
    remote, hub = MemoryRemote(clock=clock), MemoryBackplane(clock=clock)
    make = lambda: CacheProvider(
        Settings(), remote=remote, backplane=MemoryBackplane(hub.hub, clock=clock), clock=clock
    )
    calls: list[int] = []
    found: list[object] = []
    for _ in range(2):
        async with make() as cache:

            @cache.cached(namespace="points")
            async def points(n: int) -> list[Point]:
                calls.append(n)
                return [Point(n, 2)]

            @cache.cached(namespace="plain")
            async def plain() -> dict[str, object]:
                calls.append(0)
                return {"t": (1, {2}), "d": date(2026, 1, 1)}

            found.append((await points(1), await plain()))
    assert found[0] == found[1]
    assert calls == [1, 0]


async def test_version_and_namespace_part_the_keys(cache: CacheProvider) -> None:
    async def f(a: int) -> int:
        return a

    first = cache.cached(version=1)(f)
    assert first.key(1) != cache.cached(version=2)(f).key(1)
    assert first.key(1) != cache.cached(namespace="n")(f).key(1)
    assert first.key(1) == cache.cached()(f).key(1)


@pytest.mark.parametrize("user_id", ["a:b{0}", 7, None])
async def test_tags_are_filled_in_from_the_call(cache: CacheProvider, user_id: Any) -> None:
    runs: list[Any] = []

    @cache.cached(300, ["users", "user:{user_id}", "{{all}}"])
    async def load(user_id: Any, detail: int = 0) -> int:
        runs.append(user_id)
        return len(runs)

    other = "another"
    assert [await load(user_id), await load(user_id, detail=1), await load(other)] == [1, 2, 3]
    await cache.invalidate([f"user:{user_id}"])
    assert [await load(user_id), await load(user_id, 1), await load(other)] == [4, 5, 3]
    await load.refresh(other)
    assert await load(other) == 6
    await cache.invalidate([f"user:{other}"])
    assert [await load(user_id), await load(other)] == [4, 7]
    await cache.invalidate(["{all}"])
    assert await load(user_id) == 8


async def test_tags_of_a_method(cache: CacheProvider) -> None:
    class Users:
        runs = 0

        @cache.cached(300, tags=["user:{user_id}"])
        async def load(self, user_id: int) -> int:
            self.runs += 1
            return self.runs

    users = Users()
    assert [await users.load(1), await users.load(2), await users.load(1)] == [1, 2, 1]
    await cache.invalidate(["user:1"])
    assert [await users.load(1), await users.load(2)] == [3, 2]


@pytest.mark.parametrize("tag", ["{other}", "{user_id.name}", "{user_id!r}", "{}", "{user_id"])
def test_tags_that_name_no_parameter(cache: CacheProvider, tag: str) -> None:
    with pytest.raises(ConfigurationError, match="tag"):

        @cache.cached(300, tags=[tag])
        async def load(user_id: int) -> int:
            return user_id
