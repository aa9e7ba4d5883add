"""What users hand in with the wrong type or name: the error says where, and what was there."""

import io
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter import (
    Citation,
    ConfigurationError,
    Document,
    ExportSource,
    InvalidSource,
    Row,
    Section,
    Segment,
    Table,
    Word,
    export_to,
)
from exporter.sources import Flow
from exporter.sources.values import segment_of

TALK = [Segment("x", 0.0, 1.0)]


def talk(**fields: Any) -> Document:
    return Document(**{"title": "T", "kind": "transcript", "records": TALK, **fields})


def one(*records: Any, kind: Any = "transcript") -> Document:
    return Document("T", kind, list(records))


def table(*rows: Any) -> Document:
    return one(Table(["a", "b"], rows), kind="custom")


WRONG = [
    (talk(title=None), "Document.title must be text, not None"),
    (talk(author=6), "Document.author must be text, not 6"),
    (talk(language=["en"]), r"Document.language must be text, not \['en'\]"),
    (talk(kind="talk"), "Document.kind must be one of transcript, .* not 'talk'"),
    (talk(created_at="2020-01-01"), "Document.created_at must be a datetime .* not '2020-01-01'"),
    (talk(metadata=None), "Document.metadata must be a mapping, not None"),
    (talk(metadata={5: "x"}), "a key of Document.metadata must be text, not 5"),
    (talk(data=[1]), r"Document.data must be a mapping, not \[1\]"),
    (talk(records="abc"), "Document.records must be a list .* not 'abc'"),
    (talk(records=None), "Document.records must be a list .* not None"),
    (talk(total="5"), "Document.total must be a number or None, not '5'"),
    (talk(total=-1), "Document.total must be a number or None, not -1"),
    (one(5), "record 1 is 5; give Segment"),
    (one(("x", 0, 1)), r"record 1 is \('x', 0, 1\); give Segment"),
    (one(*TALK, Segment(None, 0.0, 1.0)), r"segments\[1\].text must be text, not None"),
    (one(Segment("x", 0.0, 1.0, 5)), r"segments\[0\].speaker must be text, not 5"),
    (one(Segment("x", "soon", 1.0)), r"segments\[0\].start must be a number, not 'soon'"),
    (one(Segment("x", 0.0, True)), r"segments\[0\].end must be a number, not True"),
    (one(Segment("x", 10**400, 1.0)), r"segments\[0\].start must be a number, not 1000"),
    (one(Segment("x", 0.0, 1.0, "a", [1])), r"segments\[0\].words must be a list of Word, not 1"),
    (one(Segment("x", 0.0, 1.0, "a", "bc")), r"segments\[0\].words must be a list, not 'bc'"),
    (one(Segment("x", 0.0, 1.0, "a", [Word(1, 0, 1)])), r"words.text must be text, not 1"),
    (one({"txt": "a", "begin": 0}), r"segments\[0\] has no 'text'; it has 'txt', 'begin'"),
    (one(Section("x", level=99), kind="summary"), r"sections\[0\].level must be 1 to 6, not 99"),
    (one(Section("x", level="1"), kind="summary"), r"sections\[0\].level must be 1 to 6, not '1'"),
    (one(Section("x", "y", "abc"), kind="summary"), r"sections\[0\].bullets must be a list"),
    (one(Section("x", "y", [1]), kind="summary"), r"sections\[0\].bullets must be text, not 1"),
    (one(Section("x", role="boss"), kind="rag"), r"sections\[0\].role must be .* not 'boss'"),
    (one({"name": "x"}, kind="summary"), r"sections\[0\] has none of title.*; it has 'name'"),
    (one(Citation("x", score="high"), kind="rag"), r"citations\[0\].score .* not 'high'"),
    (one(Citation("x", url=5), kind="rag"), r"citations\[0\].url must be text, not 5"),
    (one(Citation("x", number="i"), kind="rag"), r"citations\[0\].number .* not 'i'"),
    (one({"link": "x"}, kind="rag"), r"citations\[0\] has none of .*; it has 'link'"),
    (table([1, 2], [1]), r"rows\[1\] has 1 cells for 2 columns"),
    (table("xy"), r"rows\[0\] must be a list or mapping, not 'xy'"),
    (table([1, 2], {"c": 1}), r"rows\[1\] has the key 'c', which is no column"),
    (one(Table("ab", [[1, 2]]), kind="custom"), "Table.columns must be a list, not 'ab'"),
    (one(Table(["a"], None), kind="custom"), "Table.rows must be a list, not None"),
    (one(Table(["a"], title=1), kind="custom"), "Table.title must be text, not 1"),
    (one(Table((), [5]), kind="custom"), r"rows\[0\] must be a list or mapping, not 5"),
]


@pytest.mark.parametrize(("document", "message"), WRONG)
@pytest.mark.parametrize("format", ["txt", "json", "html"])
def test_the_error_says_where_and_what(document: Document, message: str, format: str) -> None:
    with pytest.raises(InvalidSource, match=message):
        export_to(io.BytesIO(), document, format)


@pytest.mark.parametrize(
    ("kind", "data", "message"),
    [
        ("transcript", {"segmnts": [{"text": "a"}]}, "'segments' or 'text'; .* has 'segmnts'"),
        ("transcript", {"title": "T", "lines": []}, "this data has 'title', 'lines'"),
        ("summary", {"parts": []}, "a summary has 'sections' or .*; this data has 'parts'"),
        ("rag", {"query": "?"}, "a rag has 'question' or .*; this data has 'query'"),
        ("transcript", {str(n): n for n in range(20)}, "'11', and 8 more"),
    ],
)
def test_data_with_other_names_is_no_empty_document(kind: str, data: Any, message: str) -> None:
    with pytest.raises(InvalidSource, match=message):
        export_to(io.BytesIO(), ExportSource(kind, "1", data), "txt")


@pytest.mark.parametrize("data", [{}, {"title": "T", "duration": 5, "metadata": {}}])
def test_data_without_content_is_an_empty_document(data: Any) -> None:
    assert export_to(io.BytesIO(), ExportSource("transcript", "1", data), "txt").records == 0


def test_numbers_of_other_kinds_are_numbers() -> None:
    out = io.BytesIO()
    segments = [Segment("a", Decimal("1.5"), "2.5"), Segment("b", 3, 4), Segment("c", 5.0, None)]
    made = export_to(out, one(*segments), "csv", include_metadata=False)
    assert out.getvalue() == b"1.500,2.500,,a\r\n3.000,4.000,,b\r\n5.000,,,c\r\n"
    assert made.warnings == ()


@pytest.mark.parametrize("format", ["srt", "vtt", "json"])
def test_words_without_a_time_are_left_out(format: str) -> None:
    words = [Word("one", 0.0, 1.0), Word("two", math.nan, 2.0)]
    made = export_to(io.BytesIO(), one(Segment("one two " * 40, 0.0, 9.0, "Ann", words)), format)
    assert made.warnings == ("times of words that are no numbers were left out",)


def test_a_score_that_is_no_number_is_none() -> None:
    out = io.BytesIO()
    export_to(out, one(Citation("x", score=math.nan), kind="rag"), "txt", include_metadata=False)
    assert out.getvalue() == b"\nSources\n-------\n[1] x\n"


def needs(format: str) -> None:
    """Skip where the library of ``format`` is not installed."""
    if (name := {"docx": "docx", "pdf": "reportlab", "xlsx": "xlsxwriter"}.get(format)) is not None:
        pytest.importorskip(name)


@pytest.mark.parametrize("format", ["txt", "json", "csv", "html", "md", "docx", "pdf", "xlsx"])
@pytest.mark.parametrize("rows", [[], [[]], [[], []]])
def test_tables_without_columns_are_empty(format: str, rows: Any) -> None:
    needs(format)
    made = export_to(io.BytesIO(), one(Table([], rows), kind="custom"), format)
    assert made.records >= len(rows)


@pytest.mark.parametrize("format", ["txt", "csv", "html", "md", "docx", "pdf", "xlsx"])
def test_rows_without_a_table_begin_one(format: str) -> None:
    needs(format)
    out = io.BytesIO()
    export_to(out, one(Row([1, "two"]), Row([3, "four"]), kind="custom"), format)
    if format == "csv":
        assert out.getvalue() == b"column 1,column 2\r\n1,two\r\n3,four\r\n"


@pytest.mark.parametrize("target", [5, None, io.StringIO(), object()])
def test_what_is_written_to_takes_bytes(target: Any) -> None:
    with pytest.raises(ConfigurationError, match="write to a path or to a file open for bytes"):
        export_to(target, talk(), "txt")


@given(
    st.fixed_dictionaries(
        {
            "text": st.one_of(st.text(" \t\nab\u00a0"), st.just(5)),
            "start": st.one_of(st.floats(0, 9), st.floats(), st.just("1.5")),
        },
        optional={
            "end": st.one_of(st.floats(0, 9), st.floats(), st.integers(0, 9), st.none()),
            "speaker": st.one_of(st.text(), st.integers(), st.none()),
            "words": st.sampled_from([None, [], [{"word": "a", "start": 0.0, "end": 1.0}]]),
            "id": st.integers(),
        },
    )
)
def test_the_short_way_of_a_mapping_gives_the_segment_of_the_long_one(item: Any) -> None:
    found = Flow("transcript", lambda _: None).plain(item)
    assert found is None or found == segment_of(item, "segments[0]")
