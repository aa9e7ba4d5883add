"""JSON in pieces is JSON at once."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.adapters.formats.json_pieces import json_pieces, to_json

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=4),
    st.sampled_from(["\u2028", "\x85", "\ud800", '"', "\n"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.lists(st.integers(), min_size=60, max_size=140),
        st.dictionaries(st.one_of(st.text(max_size=3), st.integers()), inner, max_size=5),
        st.tuples(inner, inner),
    ),
    max_leaves=40,
)


@given(values, st.integers(0, 2))
def test_pieces_add_up(value: Any, depth: int) -> None:
    whole = to_json(value)
    compact = b"".join(json_pieces(value, pretty=False))
    # numbers may be spelled otherwise where one piece was encoded another way: 1e16, 1e+16
    assert repr(json.loads(compact)) == repr(json.loads(whole))
    pretty = b"".join(json_pieces(value, pretty=True, depth=depth))
    styled = msgspec.json.format(compact, indent=2).replace(b"\n", b"\n" + b"  " * depth)
    assert pretty == styled


@pytest.mark.parametrize("pretty", [True, False])
def test_no_piece_is_long(pretty: bool) -> None:
    value = {
        "rows": [{"id": n, "tags": ["a"] * 8} for n in range(20_000)],
        "one": {"two": {"three": list(range(50_000))}},
        **{f"k{n}": n for n in range(10_000)},
    }
    pieces = list(json_pieces(value, pretty=pretty))
    assert json.loads(b"".join(pieces)) == value
    assert max(map(len, pieces)) < 20_000
