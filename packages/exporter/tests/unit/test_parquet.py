"""Parquet files, read back by pyarrow."""

import csv
import gc
import io
import json
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")

import pyarrow as pa
from pyarrow import parquet

from exporter import (
    Citation,
    Document,
    ExportCancelled,
    ExportError,
    ExportSource,
    ExportTooLarge,
    InvalidSource,
    Row,
    Section,
    Segment,
    Table,
    export_to,
)
from exporter.registry import FORMATS
from exporter.settings import ParquetSettings
from exporter.sink import Control
from exporter.testing import HOSTILE, documents, render


def read(document: Document, **options: Any) -> Any:
    data, _, notes = render(FORMATS.load("parquet"), document, **options)
    return parquet.read_table(io.BytesIO(data)), notes


def test_a_transcript_keeps_its_types() -> None:
    segments = [Segment("one", 0.0, 1.25, "Ann"), Segment("two")]
    document = Document(
        "A talk", "transcript", segments, author="Ann", language="en",
        created_at=datetime(2026, 1, 2, tzinfo=UTC), metadata={"room": 5},
    )  # fmt: skip
    table, _ = read(document)
    assert [(f.name, str(f.type)) for f in table.schema] == [
        ("start", "double"), ("end", "double"), ("speaker", "string"), ("text", "string"),
    ]  # fmt: skip
    assert table.to_pylist() == [
        {"start": 0.0, "end": 1.25, "speaker": "Ann", "text": "one"},
        {"start": None, "end": None, "speaker": None, "text": "two"},
    ]
    facts = table.schema.metadata
    assert facts[b"title"] == b"A talk"
    assert (facts[b"author"], facts[b"language"]) == (b"Ann", b"en")
    assert facts[b"created_at"] == b"2026-01-02T00:00:00+00:00"
    assert json.loads(facts[b"facts"])["Room"] == "5"
    bare, _ = read(document, include_metadata=False)
    assert not bare.schema.metadata


def test_columns_are_those_of_csv() -> None:
    for kind, document in documents().items():
        table, _ = read(document)
        text = render(FORMATS.load("csv"), documents()[kind])[0].decode()
        rows = list(csv.reader(io.StringIO(text, newline="")))
        heads = [row for before, row in pairwise([[], *rows]) if not before]
        assert table.column_names == list(dict.fromkeys(name for row in heads for name in row)), (
            kind
        )


def test_answers_and_citations_share_the_table() -> None:
    table, _ = read(
        Document("A", "rag", [Section("Q", "why?", role="question"), Citation("c", "d", "u", 0.5)])
    )
    assert table.to_pylist() == [
        {"title": "Q", "level": 1, "kind": "question", "text": "why?",
         "number": None, "url": None, "score": None},
        {"title": "c", "level": None, "kind": None, "text": "d",
         "number": 1, "url": "u", "score": 0.5},
    ]  # fmt: skip


def test_rows_keep_their_types_and_text_stays_text() -> None:
    rows = [
        {"n": 1, "x": 1.5, "yes": True, "s": "=1+1", "mixed": 1, "none": None},
        {"n": None, "x": 2, "yes": None, "s": "\ud800\0", "mixed": "a", "none": None},
    ]
    table, notes = read(Document("T", "custom", [Table(tuple(rows[0]), rows)]))
    assert [str(field.type) for field in table.schema] == [
        "int64", "double", "bool", "string", "string", "string",
    ]  # fmt: skip
    assert table.to_pylist() == [
        {"n": 1, "x": 1.5, "yes": True, "s": "=1+1", "mixed": "1", "none": None},
        {"n": None, "x": 2.0, "yes": None, "s": "\ufffd\0", "mixed": "a", "none": None},
    ]
    assert notes == ["columns of several types became text"]


def test_hostile_text_is_kept() -> None:
    table, _ = read(Document("T", "transcript", [Segment(text) for text in HOSTILE]))
    safe = [text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in HOSTILE]
    assert table["text"].to_pylist() == safe


def test_later_rows_must_fit_the_first() -> None:
    small = ParquetSettings(row_group=2)
    late = Table(("a",), [[1], [2], ["three"]])
    with pytest.raises(InvalidSource, match=r"'a' holds integer.*str.*formats.parquet.types"):
        read(Document("T", "custom", [late]), settings=small)
    named = ParquetSettings(row_group=2, types={"a": "text", "unused": "number"})
    table, _ = read(Document("T", "custom", [late]), settings=named)
    assert table["a"].to_pylist() == ["1", "2", "three"]
    huge = Table(("a",), [[1.5], [2], [2**60 + 1]])
    with pytest.raises(InvalidSource, match="too large"):
        read(Document("T", "custom", [huge]), settings=small)
    chapter = [Segment("a"), Segment("b"), Section("late")]
    with pytest.raises(InvalidSource, match="'title' came after the first 2 rows"):
        read(Document("T", "transcript", chapter), settings=small)
    table, _ = read(Document("T", "transcript", [*chapter[2:], *chapter[:2]]), settings=small)
    assert table["title"].to_pylist() == ["late", None, None]


def test_odd_tables() -> None:
    table, notes = read(Document("T", "custom", [Table(("a", "a", ""), [[1, 2, 3]])]))
    assert table.column_names == ["a", "a (2)", ""]
    assert notes == ["columns of the same name were numbered"]
    again = [Table(("a",), [[1]]), Table(("a", "b"), [[2, 3]])]
    table, _ = read(Document("T", "custom", again))
    assert table.to_pylist() == [{"a": 1, "b": None}, {"a": 2, "b": 3}]
    table, _ = read(Document("T", "custom", [Row([1, "x"])]))
    assert table.to_pylist() == [{"column 1": 1, "column 2": "x"}]
    with pytest.raises(InvalidSource, match="3 cells for 2 columns"):
        read(Document("T", "custom", [Row([1, "x"]), Row([1, 2, 3])]))
    empty, _ = read(Document("T", "custom", []))
    assert (empty.num_rows, empty.column_names) == (0, [])
    empty, _ = read(Document("T", "summary", []))
    assert empty.column_names == ["title", "level", "kind", "text"]


def test_row_groups(tmp_path: Path) -> None:
    rows = ({"n": n} for n in range(25_000))
    path = tmp_path / "n.parquet"
    made = export_to(path, ExportSource("custom", "1", {"columns": ["n"], "rows": rows}))
    info = parquet.ParquetFile(path).metadata
    assert [info.row_group(n).num_rows for n in range(info.num_row_groups)] == [10_000] * 2 + [5000]
    assert made.records == 25_001
    assert parquet.read_table(path)["n"].to_pylist() == list(range(25_000))


def test_stops_inside() -> None:
    control = Control()

    def stream(error: ExportError | None, timeout: float | None) -> Iterator[Segment]:
        for number in range(100_000):
            if number == 30_000:
                control.limit(timeout)
                if error is not None:
                    control.stop(error)
            yield Segment(f"some words {number}", number * 1.0)

    empty, renderer = Document("T", "transcript"), FORMATS.load("parquet")
    with pytest.raises(ExportError, match="longer than -1 seconds"):
        render(renderer, empty, items=stream(None, -1.0), control=control)
    control = Control()
    with pytest.raises(ExportCancelled):
        render(renderer, empty, items=stream(ExportCancelled("stop"), None), control=control)
    control = Control()
    with pytest.raises(ExportTooLarge):
        render(renderer, empty, items=stream(None, None), max_size=50_000, control=control)


def test_memory_is_that_of_a_row_group() -> None:
    def peak(count: int) -> int:
        items = (Segment(f"segment {n} of many", n * 1.0, n + 0.9, "Ann") for n in range(count))
        gc.collect()  # what other tests left in cycles would be freed in between
        before = pa.total_allocated_bytes()
        tracemalloc.start()
        render(
            FORMATS.load("parquet"), Document("T", "transcript"), items=items,
            settings=ParquetSettings(row_group=1000),
        )  # fmt: skip
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert pa.total_allocated_bytes() == before
        return found

    # the file itself, which the test collects, is under half a MB
    assert peak(20_000) - peak(2000) < 700_000
