"""What cannot be meant is refused at once: by name, with the value, and with what to do."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tiered_cache import CacheProvider, ConfigurationError
from tiered_cache.sync import CacheProvider as Blocking
from tiered_cache.testing import FakeClock


async def load(user_id: int) -> int:
    return user_id


async def stream(user_id: int) -> AsyncIterator[int]:
    yield user_id


async def held(cache: CacheProvider, wait: Any) -> None:
    async with cache.lock("k", wait=wait):
        pass


Call = Callable[[Any], Any]
WRONG: list[tuple[str, Call]] = [
    ("options must be CacheOptions, not {'ttl': 5}", lambda c: c.set("k", 1, {"ttl": 5})),
    ("ttl must be a positive number of seconds, not 1000", lambda c: c.set("k", 1, ttl=10**400)),
    ("jitter must be between 0 and 1, not 1000", lambda c: c.set("k", 1, jitter=10**400)),
    ("tags must be a list of non-empty str, not None", lambda c: c.invalidate(None)),
    ("factory must be a function, not 'value'", lambda c: c.get_or_set("k", "value")),
    ("stream is a generator", lambda c: c.get_or_set("k", stream)),
    ("stream is a generator", lambda c: c.get_or_set_many(["k"], stream)),
    ("a pattern must be a non-empty str, not ''", lambda c: c.delete_pattern("")),
    ("a pattern must be a non-empty str, not None", lambda c: c.delete_pattern(None)),
    ("factory must be a function, not {}", lambda c: c.get_or_set_many(["k"], {})),
    ("keys must be some str, not 'abc'", lambda c: c.warm("abc", load)),
    ("factory must be a function, not 5", lambda c: c.warm(["k"], 5)),
    ("concurrency must be a whole number of at least 1, not '2'", lambda c: c.warm([], load, "2")),
    ("writer must be a function, not None", lambda c: c.write_through(None)),
    ("writer must be a function, not None", lambda c: c.write_behind(None)),
    (
        "max_delay must be a positive number of seconds, not '1'",
        lambda c: c.write_behind(load, "1"),
    ),
    ("max_batch must be a whole number", lambda c: c.write_behind(load, 1, 0.5)),
    (
        "max_pending must be at least max_batch, 9, not 3",
        lambda c: c.write_behind(load, 1, 9, max_pending=3),
    ),
    ("wait must be a number of seconds, not 'x'", lambda c: held(c, "x")),
    ("wait must be a number of seconds, not nan", lambda c: held(c, float("nan"))),
    ("write @cache.cached() with brackets", lambda c: c.cached(load)),
    ("cached() decorates must be a function, not 7", lambda c: c.cached()(7)),
    ("stream is a generator", lambda c: c.cached()(stream)),
    ("the key 'u:{' has a brace alone", lambda c: c.cached(key="u:{")(load)),
    ("key must be a non-empty str, not ''", lambda c: c.cached(key="")(load)),
    ("key must be a non-empty str, not 5", lambda c: c.cached(key=5)(load)),
    ("condition must be a function, not 5", lambda c: c.cached(condition=5)(load)),
    ("unless must be a function, not 5", lambda c: c.cached(unless=5)(load)),
    ("namespace must be a str, not 5", lambda c: c.cached(namespace=5)(load)),
    ("version must be a whole number, not 'x'", lambda c: c.cached(version="x")(load)),
]


@pytest.mark.parametrize(("told", "call"), WRONG)
async def test_mistakes(cache: CacheProvider, told: str, call: Call) -> None:
    with pytest.raises(ConfigurationError) as refused:
        if asyncio.iscoroutine(made := call(cache)):
            await made
    assert told in str(refused.value)


async def test_no_factory_is_not_a_failing_one(cache: CacheProvider, clock: FakeClock) -> None:
    """A stale value must not hide the mistake."""
    await cache.set("k", "old", ttl=1, max_stale=60)
    await clock.advance(2)
    with pytest.raises(ConfigurationError):
        await cache.get_or_set("k", "value", max_stale=60)  # type: ignore[arg-type]  the mistake


def test_blocking_callers_are_told_the_same() -> None:
    with Blocking.from_url("memory://") as cache:
        for call in (cache.get_or_set, lambda _, factory: cache.get_or_set_many(["k"], factory)):
            with pytest.raises(ConfigurationError, match="factory must be a function, not 5"):
                call("k", 5)  # type: ignore[arg-type]  the mistake
