"""Filters never raise on any metadata, and stores and index agree with the evaluator."""

import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from semsearch.adapters.bm25 import BM25Index
from semsearch.adapters.columns import Columns
from semsearch.adapters.facets import facet_of
from semsearch.adapters.memory import MemoryStore
from semsearch.errors import InvalidFilter
from semsearch.filters import OPERATORS, Filter, moment
from semsearch.ports import Changes
from semsearch.testing import DIMENSION, MODEL, document

hostile = st.sampled_from(
    [
        "a",
        "b'c",
        'd"e',
        "$gt",
        "f.g",
        "h\x00i",
        "' OR 1=1 --",
        "ünï",
        "2026-01-01",
        "2026-01-01T12:00:00+02:00",
    ]
)
scalar = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(allow_nan=False, allow_infinity=False),
    hostile,
)
names = st.sampled_from(["k", "name", "x.y", "a b"])
metadata = st.dictionaries(names, st.one_of(scalar, st.lists(scalar, max_size=3)), max_size=3)
ordered = st.one_of(st.integers(-5, 5), st.floats(allow_nan=False), hostile)
operation = st.one_of(
    st.builds(lambda o, v: {o: v}, st.sampled_from(["$eq", "$ne"]), scalar),
    st.builds(lambda o, v: {o: v}, st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), ordered),
    st.builds(lambda o, v: {o: v}, st.sampled_from(["$in", "$nin"]), st.lists(scalar, max_size=3)),
    st.builds(lambda o, v: {o: v}, st.sampled_from(["$contains", "$prefix"]), hostile),
    st.builds(lambda v: {"$exists": v}, st.booleans()),
    scalar,
    st.lists(scalar, max_size=3),
)
leaf = st.dictionaries(names, operation, min_size=1, max_size=2)
tree = st.recursive(
    leaf,
    lambda inner: st.one_of(
        st.builds(lambda parts: {"$and": parts}, st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda parts: {"$or": parts}, st.lists(inner, min_size=1, max_size=2)),
        st.builds(lambda part: {"$not": part}, inner),
    ),
    max_leaves=5,
)


@given(tree, metadata)
@settings(max_examples=300)
def test_every_filter_decides_every_document(
    given_tree: dict[str, Any], given_metadata: dict[str, Any]
) -> None:
    wanted = Filter.parse(given_tree)
    assert wanted is not None
    passes = wanted.matches(given_metadata)
    assert Filter("$not", (wanted,)).matches(given_metadata) is not passes
    # what came through JSON decides the same
    assert wanted.matches(json.loads(json.dumps(given_metadata))) is passes


@given(tree, st.lists(metadata, max_size=8))
@settings(max_examples=100)
def test_both_sides_pass_what_the_evaluator_passes(
    given_tree: dict[str, Any], all_metadata: list[dict[str, Any]]
) -> None:
    wanted = Filter.parse(given_tree)
    assert wanted is not None

    async def work() -> None:
        store, index = MemoryStore(), BM25Index()
        await store.open(MODEL, DIMENSION, create=True)
        made = [document(f"d{n}", "word", each) for n, each in enumerate(all_metadata)]
        await store.upsert(made)
        await index.apply(Changes(upserted=made))
        expected = {d.id for d in made if wanted.matches(d.metadata)}
        assert set(await store.select(wanted)) == expected
        assert {n for n, _ in await store.search(document("q").vector, 50, wanted)} == expected
        assert {n for n, _ in await index.search({"word": 1.0}, 50, wanted)} == expected
        assert await store.count(wanted) == len(expected)

    asyncio.run(work())


@given(
    st.recursive(
        st.one_of(scalar, st.text(max_size=5)),
        lambda x: st.one_of(
            st.lists(x, max_size=3),
            st.dictionaries(
                st.one_of(st.sampled_from(sorted(OPERATORS)), st.text(max_size=4)), x, max_size=3
            ),
        ),
        max_leaves=10,
    )
)
@settings(max_examples=300)
def test_anything_else_is_refused_with_our_error(value: Any) -> None:
    try:
        parsed = Filter.parse(value)
    except InvalidFilter:
        return
    assert parsed is None or parsed.matches({}) in {True, False}


def test_dates_are_moments() -> None:
    late = {"at": "2026-03-01T12:00:00+02:00"}
    assert Filter.parse({"at": {"$gt": "2026-03-01T09:59:00Z"}}).matches(late)  # type: ignore[union-attr]
    assert not Filter.parse({"at": {"$gt": "2026-03-01T10:00:00Z"}}).matches(late)  # type: ignore[union-attr]
    assert Filter.parse({"at": "2026-03-01T10:00:00+00:00"}).matches(late)  # type: ignore[union-attr]
    assert moment("20260301") is not None
    assert moment("2026-13-01") is None


@given(names, st.lists(scalar, max_size=4), metadata)
@settings(max_examples=300)
def test_a_list_is_one_or_the_other(
    name: str, values: list[Any], given_metadata: dict[str, Any]
) -> None:
    """``$in`` is ``$or`` of ``$eq``, where nothing is under the name as well: that equals null."""
    listed = Filter.parse({name: values})
    assert listed is not None
    expected = any(Filter("$eq", name=name, value=each).matches(given_metadata) for each in values)
    assert listed.matches(given_metadata) is expected
    by_hand = Filter("$nin", name=name, value=values)
    assert by_hand.matches(given_metadata) is not expected


def test_depth_and_size_are_bounded() -> None:
    deep: dict[str, Any] = {"a": 1}
    for _ in range(50):
        deep = {"$not": deep}
    wide = {"$or": [{"a": n} for n in range(2000)]}
    for bad in (deep, wide):
        try:
            Filter.parse(bad)
        except InvalidFilter:
            continue
        raise AssertionError("not refused")


changes = st.lists(st.tuples(st.integers(0, 4), st.one_of(st.none(), metadata)), max_size=14)


@given(changes, tree)
@settings(max_examples=300)
def test_columns_after_any_changes(
    made: list[tuple[int, dict[str, Any] | None]], given_tree: dict[str, Any]
) -> None:
    """Rows come, change and go: what passes and what is counted is as if each was looked at."""
    wanted = Filter.parse(given_tree)
    assert wanted is not None
    columns, there = Columns(), dict[int, dict[str, Any]]()
    for row, each in made:
        if row in there:
            columns.remove(row, there.pop(row))
        if each is not None:
            columns.add(row, each)
            there[row] = each
    passing = {row for row, each in there.items() if wanted.matches(each)}
    assert columns.passing(wanted) == passing
    assert columns.passing(None) == set(there)
    for chosen, rows in ((wanted, passing), (None, set(there))):
        expected = facet_of("k", [(there[row].get("k"), 1) for row in rows])
        assert columns.facets(["k"], chosen)["k"] == expected
