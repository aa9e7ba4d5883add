"""TSV and Excel workbooks: read back by readers that are not ours."""

import csv
import io
import math
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from exporter import Citation, Document, Row, Section, Segment, Table
from exporter.adapters.formats import xlsx
from exporter.errors import ExportTooLarge
from exporter.registry import FORMATS
from exporter.testing import HOSTILE, render
from exporter.texts import clean

FORMULAS = ["=1+1", "+1", "-cmd", "@SUM(A1)", "\t=1", '=HYPERLINK("http://x")', "http://x/", "12"]


def sheet(document: Document, **options: Any) -> tuple[Any, list[str]]:
    pytest.importorskip("xlsxwriter")
    openpyxl = pytest.importorskip("openpyxl")
    data, _, notes = render(FORMATS.load("xlsx"), document, **options)
    return openpyxl.load_workbook(io.BytesIO(data)), notes


def test_tsv_reads_back() -> None:
    texts = [*HOSTILE, "a\tb", 'say "x"', "two\nlines"]
    segments = [Segment(text, n * 1.0, n + 0.5, "Ann") for n, text in enumerate(texts)]
    data, _, _ = render(FORMATS.load("tsv"), Document("T", "transcript", segments))
    rows = list(csv.reader(io.StringIO(data.decode(), newline=""), delimiter="\t"))
    assert rows[0] == ["start", "end", "speaker", "text"]
    assert len(rows) == len(texts) + 1
    assert [row[3] for row in rows[-3:]] == texts[-3:]
    assert {len(row) for row in rows} == {4}


def test_text_of_a_workbook_is_text() -> None:
    texts = [*HOSTILE, *FORMULAS]
    segments = [Segment(text, n * 1.0, n + 0.5, "Ann") for n, text in enumerate(texts)]
    book, notes = sheet(Document("Ti", "transcript", segments, author="Ann"))
    rows = list(book.active.iter_rows())
    assert [cell.value for cell in rows[0]] == ["start", "end", "speaker", "text"]
    assert len(rows) == len(texts) + 1
    for row, text in zip(rows[1:], texts, strict=True):
        assert row[3].value == (clean(text)[:32_767] or None)
        assert row[3].data_type in {"s", "inlineStr", "n" if not clean(text) else "s"}
        assert row[3].hyperlink is None
        assert isinstance(row[0].value, int | float)
    assert any("were cut" in note for note in notes) == any(len(t) > 32_767 for t in texts)
    assert (book.properties.title, book.properties.creator) == ("Ti", "Ann")


def test_values_of_a_workbook() -> None:
    cells = [1, 2.5, True, None, 10**15, -7, math.nan, math.inf, 10**5000, "x"]
    names = [str(n) for n in range(len(cells))]
    book, _ = sheet(Document("T", "custom", [Table(names, [cells])]))
    found = [cell.value for cell in list(book.active.iter_rows())[1]]
    assert found[:6] == [1, 2.5, True, None, str(10**15), -7]
    assert found[6:8] == [None, None]
    assert found[8].startswith("0x")
    assert found[9] == "x"


def test_kinds_of_records_follow_each_other() -> None:
    records = [Section("A", "text", ["b"]), Citation("S", "t", "http://x", 0.5), Segment("s", 1, 2)]
    book, _ = sheet(Document("T", "custom", records))
    rows = [[cell.value for cell in row] for row in book.active.iter_rows()]
    assert [row[0] for row in rows] == [
        "title", "A", "A", None, "number", 1, None, "start", 1,
    ]  # fmt: skip
    book, _ = sheet(Document("T", "custom", records[:1]), include_metadata=False)
    assert next(book.active.iter_rows())[0].value == "A"


def test_more_rows_than_a_sheet_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx, "_ROWS", 10)
    rows = [Row([n]) for n in range(25)]
    book, notes = sheet(Document("T", "custom", [Table(["n"], []), *rows]))
    columns = [[row[0].value for row in each.iter_rows()] for each in book]
    assert columns == [["n", *range(9)], ["n", *range(9, 18)], ["n", *range(18, 25)]]
    assert notes == ["rows over 10 went to another sheet (2 times)"] or len(notes) == 2


def test_the_same_workbook_has_the_same_bytes() -> None:
    pytest.importorskip("xlsxwriter")
    document = Document("T", "custom", [Table(["a"], [[1], ["x"]])])
    first, second = (render(FORMATS.load("xlsx"), document)[0] for _ in range(2))
    assert first == second
    assert zipfile.ZipFile(io.BytesIO(first)).testzip() is None


def test_a_workbook_that_breaks_off_leaves_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("xlsxwriter")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rows = [[f"{n} some text"] for n in range(2000)]
    document = Document("T", "custom", [Table(["a"], rows)])
    with pytest.raises(ExportTooLarge):
        render(FORMATS.load("xlsx"), document, max_size=5000)
    assert list(tmp_path.iterdir()) == []
