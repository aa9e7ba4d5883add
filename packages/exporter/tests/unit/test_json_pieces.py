"""JSON in pieces is JSON at once."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import Document, Segment
from exporter.adapters.formats.json_pieces import json_pieces, to_json, to_json_lines
from exporter.registry import FORMATS
from exporter.settings import JsonSettings
from exporter.testing import render
from exporter.texts import utf8

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


@given(st.lists(values, max_size=5))
def test_lines_add_up(rows: list[Any]) -> None:
    assert to_json_lines(rows) == b"".join(to_json(row) + b"\n" for row in rows)


class Seconds(float):
    """As the numbers of other libraries are."""


segments = st.builds(
    Segment,
    st.one_of(st.text(), st.sampled_from(["\ud800", "\u2028", "x" * 5000])),
    st.one_of(st.none(), st.floats(0, 1e6), st.integers(0, 9), st.just(Seconds(1.5))),
    st.one_of(st.none(), st.floats(allow_nan=False), st.just(Seconds(2.5))),
    st.one_of(st.none(), st.text(max_size=3), st.just("\udfff")),
)


@given(st.lists(segments, max_size=150))
def test_segments_are_encoded_as_mappings_would_be(given: list[Segment]) -> None:
    expected = [
        {
            "start": each.start,
            "end": None if each.end in {float("inf"), float("-inf")} else each.end,
            **({} if each.speaker is None else {"speaker": utf8(each.speaker).decode()}),
            "text": utf8(each.text).decode(),
        }
        for each in given
    ]
    talk = Document("T", "transcript", given)
    pretty = render(FORMATS.load("json"), talk, include_metadata=False)[0]
    compact = render(
        FORMATS.load("json"), talk, include_metadata=False, settings=JsonSettings(pretty=False)
    )[0]
    lines = render(FORMATS.load("jsonl"), talk, include_metadata=False)[0].split(b"\n")[:-1]
    assert json.loads(pretty)["segments"] == expected
    assert [json.loads(each) for each in lines] == expected
    # styled as the encoder styles the whole, whatever way a part of it went
    assert pretty == msgspec.json.format(compact, indent=2) + b"\n"


def test_compact_has_no_spaces_whatever_the_text_holds() -> None:
    talk = Document("T", "transcript", [Segment("a\ud800", 0.0, 1.0), Segment("b", 1.0, 2.0, "A")])
    made = render(
        FORMATS.load("json"), talk, include_metadata=False, settings=JsonSettings(pretty=False)
    )[0].decode()
    assert made == (
        '{"segments":[{"start":0.0,"end":1.0,"text":"a\ufffd"},'
        '{"start":1.0,"end":2.0,"speaker":"A","text":"b"}]}\n'
    )


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
