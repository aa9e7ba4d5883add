"""What was read from the store itself is never followed by something older from the cache."""

from collections.abc import Awaitable, Callable

import pytest

from progress_tracker import rules
from progress_tracker._common.clock import FakeClock
from progress_tracker.adapters.memory import MemoryStore
from progress_tracker.ports import Filters, ProgressStore, Record
from progress_tracker.storing.read_cache import CachedStore
from progress_tracker.testing import NOW, record
from progress_tracker.testing.records import store_rule

Look = Callable[[ProgressStore], Awaitable[object]]


def _update(base: Record) -> Record:
    return rules.update(base, NOW + 1, 50)


_LOOKS: dict[str, Look] = {
    "get_many": lambda store: store.get_many(["x"]),
    "positions": lambda store: store.positions(["x"]),
    "list_records": lambda store: store.list_records(Filters(), 10, None),
}


@pytest.fixture
async def cached() -> CachedStore:
    """Return a cache that holds ``x``, in front of a store that others write to."""
    inner = MemoryStore()
    made = CachedStore(inner, ttl=60, clock=FakeClock())
    made.listening(now=True)
    await inner.create(record("x"))
    await made.get("x")
    return made


@pytest.mark.parametrize("look", _LOOKS.values(), ids=_LOOKS)
async def test_a_newer_state_that_was_read_drops_the_older(cached: CachedStore, look: Look) -> None:
    newer = await store_rule(cached.inner, "x", _update)
    older = await cached.get("x")
    assert older is not None
    assert older.position < newer.position, "nothing is cached: the test shows nothing"
    await look(cached)
    assert await cached.get("x") == newer


@pytest.mark.parametrize("name", ["get_many", "positions"])
async def test_what_was_found_deleted_is_gone(cached: CachedStore, name: str) -> None:
    await cached.inner.delete("x")
    assert await cached.get("x") is not None, "nothing is cached: the test shows nothing"
    await _LOOKS[name](cached)
    assert await cached.get("x") is None


@pytest.mark.parametrize("look", _LOOKS.values(), ids=_LOOKS)
async def test_what_is_as_it_was_stays(cached: CachedStore, look: Look) -> None:
    await look(cached)
    await store_rule(cached.inner, "x", _update)
    found = await cached.get("x")
    assert found is not None
    assert found.version == 1
