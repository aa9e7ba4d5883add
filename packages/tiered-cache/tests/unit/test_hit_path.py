"""Hits of decorated functions that are found by their arguments, and what ends that."""

import asyncio
import contextlib
import gc
import inspect
import sys
from collections.abc import Callable
from typing import Any

import pytest

from clusters import Cluster
from tiered_cache import CacheProvider, Settings
from tiered_cache.decorator.compiled import Places, compile_wrapper
from tiered_cache.engine import Live
from tiered_cache.testing import FakeClock, settle


def remembered(function: Any) -> int:
    """How many calls of a decorated function are found by their arguments."""
    slow = function.__globals__["_tc_slow"].__self__._places
    return len(slow.entries) + sum(map(len, slow.owners.values()))


def counter(cache: CacheProvider, **options: Any) -> Any:
    @cache.cached(**options)
    async def number(a: object = None, b: object = None) -> int:
        number.calls += 1  # type: ignore[attr-defined]
        return number.calls  # type: ignore[attr-defined, no-any-return]

    number.calls = 0  # type: ignore[attr-defined]
    return number


async def test_what_ends_a_hit(cache: CacheProvider, clock: FakeClock) -> None:
    number = counter(cache, ttl=10, tags=["t"])
    assert [await number(1), await number(1)] == [1, 1]
    assert remembered(number) == 1
    for n, change in enumerate(
        (
            lambda: cache.invalidate(["t"]),
            lambda: cache.delete(number.key(1)),
            lambda: number.invalidate(1),
            cache.clear,
            lambda: cache.delete_pattern("*number*"),
            lambda: clock.advance(10),
        ),
        start=2,
    ):
        await change()
        assert await number(1) == n
        assert await number(1) == n
    await number.refresh(1)
    assert await number(1) == 8
    await cache.set(number.key(1), 100, ttl=5)
    assert await number(1) == 100
    await clock.advance(5)
    assert await number(1) == 9


async def test_what_leaves_l1_is_forgotten() -> None:
    async with CacheProvider(Settings.from_mapping({"l1": {"max_size": 5}})) as cache:
        number = counter(cache)
        for n in range(50):
            assert await number(n) == n + 1
            assert remembered(number) <= 5
        await cache.aclose()
        assert remembered(number) == 0
        assert await number(1) == 51


def called(work: Callable[[], Any]) -> list[str]:
    """Return what ``work`` calls, by name."""
    names: list[str] = []

    def note(frame: Any, event: str, argument: Any) -> None:
        if event == "call":
            names.append(frame.f_code.co_name)
        elif event == "c_call":
            names.append(argument.__name__)

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return names


async def test_a_hit_is_a_lookup_and_a_look_at_the_clock() -> None:
    """No lock, task, context or second coroutine: what cannot be seen in a busy machine's times."""
    async with CacheProvider.from_url("memory://") as cache:

        @cache.cached(tags=["t"])
        async def number(a: int, b: str = "b") -> int:
            return a

        @cache.cached(tags=["t"])
        def blocking(a: int) -> int:
            return a

        for _ in range(5):  # its use is counted to three
            await number(1)
            blocking(1)

        def hit() -> None:
            with contextlib.suppress(StopIteration):
                number(1).send(None)

        only = ["wrapper", "get", "monotonic"]
        inside = called(hit)
        start = inside.index("wrapper")
        assert inside[start : start + 4] == [*only, "__exit__"]
        assert called(lambda: blocking(1))[1:-1] == only


async def test_hits_are_counted_and_renewed(clock: FakeClock) -> None:
    async with CacheProvider(Settings(), clock=clock) as cache:
        sliding, eager, copied = (
            counter(cache, ttl=10, namespace=name, **{name: value})
            for name, value in (("sliding", True), ("eager_refresh", 0.5), ("copy", True))
        )
        for _ in range(5):
            assert await sliding() == 1
            await clock.advance(6)
        assert [await eager(), await eager()] == [1, 1]
        await clock.advance(6)
        assert await eager() == 1
        await settle()
        assert await eager() == 2
        assert await copied() == await copied() == 1
        stats = await cache.get_stats()
        assert (stats.l1_hits, stats.misses) == (4 + 3 + 1, 3)


@pytest.mark.parametrize("change", ["delete", "invalidate", "silence"])
async def test_other_processes_end_a_hit(cluster: Cluster, change: str) -> None:
    number = counter(cluster.b, tags=["t"], namespace="n")
    assert [await number(1), await number(1)] == [1, 1]
    if change == "silence":
        cluster.planes[1].cut()
        await cluster.a.delete(number.key(1))
        await cluster.clock.advance(3)
    elif change == "delete":
        await cluster.a.delete(number.key(1))
    else:
        await cluster.a.invalidate(["t"])
    await settle()
    assert await number(1) == 2


async def test_arguments_that_look_alike(cache: CacheProvider) -> None:
    number = counter(cache)
    different = [0, False, "0", None, 0.0, -0.0, (1,), (True,), b"0", "", b"", [1], [True]]
    for _ in range(3):
        assert [await number(each) for each in different] == list(range(1, 14))
    assert await number(0, None) == await number(b=None, a=0) == 1


async def test_an_object_takes_its_hits_with_it(cache: CacheProvider) -> None:
    class Owner:
        def __init__(self, name: str) -> None:
            self.name = name

        @cache.cached()
        async def who(self, n: int) -> str:
            return self.name

    seen, is_used_twice = set[int](), False
    for round_ in range(20):
        owners = [Owner(f"{round_}-{at}") for at in range(50)]
        for owner in owners:
            assert await owner.who(1) == await owner.who(1) == owner.name
        is_used_twice = is_used_twice or not seen.isdisjoint(map(id, owners))
        seen |= set(map(id, owners))
        del owner, owners
        gc.collect()
    assert is_used_twice, "no id was used twice: the test shows nothing"
    assert remembered(Owner.who) == 0


async def test_an_object_with_a_key_of_its_own_may_change(cache: CacheProvider) -> None:
    class Owner:
        name = "a"

        def __cache_key__(self) -> str:
            return self.name

        @cache.cached()
        async def who(self) -> str:
            return self.name

    owner = Owner()
    assert [await owner.who(), await owner.who()] == ["a", "a"]
    owner.name = "b"
    assert await owner.who() == "b"


def a(x: int, /, y: int = 2, *rest: int, z: int, w: int = 4, **more: int) -> Any:
    return x, y, rest, z, w, more


def b(x: int, /, *, _tc: int = 1) -> Any:
    return x, _tc


def c(x: int, /) -> Any:
    return x


@pytest.mark.parametrize("function", [a, b, c, lambda: 0, lambda *, k=1: k, lambda *a: a])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_wrappers_have_the_signature(function: Any, asynchronous: bool) -> None:
    async def coroutine(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    signature = inspect.signature(function)
    wrapper = compile_wrapper(
        signature,
        coroutine if asynchronous else function,
        places=Places(has_owner=False),
        live=Live(),
        monotonic=lambda: 0.0,
        condition=None,
        slow=lambda fast, values, call: call(),
    )
    run = asyncio.run if asynchronous else lambda made: made
    for args, kwargs in (((1,), {"z": 3}), ((1, 5, 6), {"z": 1, "q": 2}), ((1,), {}), ((), {})):
        try:
            signature.bind(*args, **kwargs)
        except TypeError:
            with pytest.raises(TypeError):
                run(wrapper(*args, **kwargs))
        else:
            assert run(wrapper(*args, **kwargs)) == function(*args, **kwargs)
