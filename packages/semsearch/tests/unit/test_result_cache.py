"""Cached results are the service's own, and belong to one query."""

from typing import Any

import pytest

from semsearch import SearchDocument, SearchResults, SearchService
from semsearch.service.result_cache import ResultCache
from semsearch.settings import CacheSettings
from semsearch.testing import FakeClock


async def test_users_may_change_what_they_get(search: SearchService) -> None:
    await search.index(SearchDocument("a", "tides", {"tags": ["x"], "deep": {"k": [1]}}))

    async def ask() -> Any:
        return await search.search("tides", facets=["tags"])

    for _ in range(3):
        found = await ask()
        assert found[0].metadata == {"tags": ["x"], "deep": {"k": [1]}}
        assert found.facets["tags"].values == [("x", 1)]
        assert found[0].highlights == ["<mark>tides</mark>"]
        found[0].metadata["tags"].append("y")
        found[0].metadata["deep"]["k"].clear()
        found[0].scores.clear()
        found[0].highlights.append("mine")
        found.facets["tags"].values.clear()
        found.facets.clear()
        found.clear()
    (await search.get("a")).metadata["tags"].append("z")  # type: ignore[index]  # a dict
    [near] = await search.search("tides", filters={"tags": "x"})
    assert near.metadata["tags"] == ["x"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"n": {"$lt": float("inf")}}, {"n": {"$lt": float("-inf")}}),
        ({"n": 1}, {"n": True}),
    ],
)
async def test_filters_that_differ_are_not_confused(
    search: SearchService, first: dict[str, Any], second: dict[str, Any]
) -> None:
    await search.index(SearchDocument("a", "tides", {"n": 1}))
    assert len(await search.search("tides", filters=first)) == 1
    assert await search.search("tides", filters=second) == []


def test_it_keeps_what_was_asked_for_last() -> None:
    cache = ResultCache(CacheSettings(max_size=2), FakeClock())
    for name in ("a", "b"):
        cache.put(name, 1, SearchResults([], total=1))
    assert cache.get("a", 1) is not None
    cache.put("c", 1, SearchResults([], total=1))
    assert [cache.get(name, 1) is None for name in "abc"] == [False, True, False]
    assert cache.hit_rate() == 3 / 4


async def test_answers_end_with_their_time_with_a_write_and_are_whole() -> None:
    clock = FakeClock()
    cache = ResultCache(CacheSettings(ttl=60), clock)
    cache.put("a", 1, SearchResults([], total=1))
    cache.put("half", 1, SearchResults([], total=1, degraded="words: down"))
    assert cache.get("half", 1) is None
    await clock.advance(59)
    assert cache.get("a", 1) is not None
    await clock.advance(1)
    assert cache.get("a", 1) is None
    cache.put("a", 1, SearchResults([], total=1))
    assert cache.get("a", 2) is None
    assert cache.get("a", 1) is None  # it is gone for good
