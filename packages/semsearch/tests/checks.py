"""What every adapter of a server has to show beside its suite."""

import asyncio
import json
import math
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from property.test_filters import metadata, tree
from semsearch.errors import UnsupportedOperationError
from semsearch.filters import Filter
from semsearch.ports import Changes, KeywordIndex, VectorStore
from semsearch.testing import DIMENSION, MODEL, document

wide = st.one_of(
    st.integers(-(10**300), 10**300),
    st.sampled_from([2**53, 2**53 + 1, -(2**53) - 1, 2.0**53, 1e300, -0.0, 10**300, -(10**300)]),
    st.sampled_from(["3000-01-01", "9999-12-31", "0001-01-01", "2026-01-01T00:00:00.000001"]),
)
"""What is not exact as a float."""
places = st.one_of(
    metadata, st.dictionaries(st.sampled_from(["k", "name"]), st.one_of(wide, st.lists(wide)))
)
bounds = st.builds(
    lambda name, operator, value: {name: {operator: value}},
    st.sampled_from(["k", "name"]),
    st.sampled_from(["$gt", "$gte", "$lt", "$lte", "$eq", "$ne"]),
    st.one_of(wide, st.sampled_from([float("inf"), float("-inf"), math.nan, 10**400, -(10**400)])),
)


def named(url: str, name: str) -> str:
    """Return the URL of a server with the name of an index in it, its options behind."""
    base, mark, options = url.partition("?")
    return f"{base.rstrip('/')}/{name}{mark}{options}"


def collected(count: int) -> list[dict[str, Any]]:
    """Return metadata of many kinds, always the same, the worst among them."""
    found: list[dict[str, Any]] = []

    @given(places)
    @settings(max_examples=count, database=None, derandomize=True)
    def collect(made: dict[str, Any]) -> None:
        found.append(json.loads(json.dumps(made)))

    collect()
    return found


async def check_filters(
    adapter: VectorStore | KeywordIndex, examples: int, *, documents: int = 120
) -> tuple[int, int]:
    """Ask an adapter and the evaluator the same questions; return how many it decided and refused.

    What it refuses it has to name; everything else has to be right.
    """
    made = [
        document(f"d{n:03}", "word", metadata=each) for n, each in enumerate(collected(documents))
    ]
    loop, counts = asyncio.get_running_loop(), [0, 0]
    if isinstance(adapter, VectorStore):
        await adapter.open(MODEL, DIMENSION, create=True)
        await adapter.upsert(made)
    else:
        await adapter.apply(Changes(upserted=made))

    async def passing(wanted: Filter) -> list[str]:
        if isinstance(adapter, VectorStore):
            return list(await adapter.select(wanted))
        hits = await adapter.search(adapter.terms("word"), len(made), wanted)
        return sorted(name for name, _ in hits)

    @given(st.one_of(tree, bounds))
    @settings(
        max_examples=examples, database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )  # fmt: skip
    def check(given_tree: dict[str, Any]) -> None:
        wanted = Filter.parse(given_tree)
        assert wanted is not None
        expected = [each.id for each in made if wanted.matches(each.metadata)]
        try:
            found = asyncio.run_coroutine_threadsafe(passing(wanted), loop).result(60)
        except UnsupportedOperationError:
            counts[1] += 1
            return
        counts[0] += 1
        assert found == expected

    await asyncio.to_thread(check)
    return counts[0], counts[1]
