"""Facts as words: they sort, begin and hold each other as what they stand for does."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semsearch import InvalidDocument
from semsearch.adapters.facts import coded
from semsearch.adapters.tokens import (
    TokenConditions,
    aligned,
    evaluates,
    hexadecimal,
    moment_key,
    number_key,
    pushed,
    tokens_of,
)
from semsearch.errors import UnsupportedOperationError
from semsearch.filters import Filter

texts = st.text(st.characters(codec=None), max_size=6)
numbers = st.one_of(
    st.integers(-(10**30), 10**30),
    st.integers(2**53 - 3, 2**53 + 9),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([10**300 + 1, -(10**300) - 1, 0, -0.0, 5e-324, 2.0**53]),
)


@given(texts, texts)
def test_texts(one: str, other: str) -> None:
    first, second = aligned(coded(one)), aligned(coded(other))
    assert hexadecimal(first) == coded(one)
    assert (first < second) == (one < other)
    assert second.startswith(first) == other.startswith(one)
    assert (first in second) == (one in other)


def test_a_part_is_not_found_across_bytes() -> None:
    assert b"#".hex() in b"\x124".hex()
    assert aligned(coded("#")) not in aligned(coded("\x124"))


@given(numbers, numbers)
def test_numbers(one: Any, other: Any) -> None:
    assert (number_key(one) < number_key(other)) == (one < other)
    assert (number_key(one) == number_key(other)) == (one == other)


@given(st.integers(-(2**60), 2**60), st.integers(-(2**60), 2**60))
def test_moments(one: int, other: int) -> None:
    assert (moment_key(one) < moment_key(other)) == (one < other)


orders = st.sampled_from(["$gt", "$gte", "$lt", "$lte"])
bounds = st.one_of(numbers, st.sampled_from([math.inf, -math.inf, math.nan, 10**400, -(10**400)]))


@given(numbers, orders, bounds, st.booleans(), st.booleans())
def test_ranges_by_steps(value: Any, operator: str, bound: Any, steps: bool, negate: bool) -> None:
    """A document passes as the evaluator says, or the bound is refused: no float is equal to it."""
    wanted = Filter.parse(
        {"$not": {"n": {operator: bound}}} if negate else {"n": {operator: bound}}
    )
    assert wanted is not None
    try:
        node = TokenConditions("here", steps=steps).only(wanted)
    except UnsupportedOperationError:
        assert steps
        assert isinstance(bound, int)
        assert int(float(bound)) != bound
        return
    fields = {"facts": tokens_of({"n": value}, steps=steps)}
    if steps:
        assert _any_or_none(pushed(node), fields) is wanted.matches({"n": value})
        assert len(fields["facts"]) < 60
    else:
        assert _within(node, fields["facts"]) is wanted.matches({"n": value})


def _any_or_none(node: dict[str, Any], fields: dict[str, Any]) -> bool:
    match = node.get("match", {})
    if "none" in match:
        return not evaluates({"key": node["key"], "match": {"any": match["none"]}}, fields)
    for name, join in (("must", all), ("should", any)):
        if name in node:
            return join(_any_or_none(part, fields) for part in node[name])
    return evaluates(node, fields)


def _within(node: dict[str, Any], tokens: list[str]) -> bool:
    if "must_not" in node:
        return not _within(node["must_not"][0], tokens)
    if "should" in node:
        return any(_within(part, tokens) for part in node["should"])
    if "match" in node:
        return any(each in node["match"]["any"] for each in tokens)
    tests = {"gt": str.__gt__, "gte": str.__ge__, "lt": str.__lt__, "lte": str.__le__}
    ends = node["range"].items()
    return any(all(tests[sign](each, end) for sign, end in ends) for each in tokens)


@pytest.mark.parametrize("value", ["x" * 8001, 10**400, -(10**400)])
def test_what_cannot_be_a_token(value: Any) -> None:
    with pytest.raises(InvalidDocument):
        tokens_of({"k": value}, steps=False)
