"""The flow of a PDF's pages, position by position: nothing crashes, nothing is parted badly."""

import io
import re
from datetime import UTC, datetime
from typing import Any

import pytest

pytest.importorskip("reportlab")

from reportlab.lib.styles import ParagraphStyle
from reportlab.platypus import Paragraph

from exporter import Document, Segment, Table
from exporter.adapters.formats.pdf_pages import Pages
from exporter.registry import FORMATS
from exporter.testing import render

STYLE = ParagraphStyle("body", fontName="Helvetica", fontSize=10, leading=14, allowWidows=0)


class Drawn(Paragraph):
    """A paragraph that notes its parts: how many lines, and their foot."""

    notes: list[tuple[int, float]]

    def split(self, width: float, height: float) -> Any:
        parts = super().split(width, height)
        for part in parts:
            part.notes = self.notes
        return parts

    def drawOn(self, canvas: Any, x: float, y: float, _sW: float = 0) -> None:
        self.notes.append((len(self.blPara.lines), y))
        super().drawOn(canvas, x, y, _sW)


def pages(room: float) -> Pages:
    made = Pages(
        io.BytesIO(), size="A4", now=datetime(2026, 1, 1, tzinfo=UTC), font="Helvetica",
        title="T", header=Paragraph("T", STYLE),
    )  # fmt: skip
    made.y = made.bottom + room
    return made


def three_lines(letters: int) -> Drawn:
    made = Drawn(" ".join(["m" * letters] * 3), STYLE)
    made.notes = []
    return made


@pytest.mark.parametrize("room", range(80))
def test_a_paragraph_of_three_lines_moves_down(room: int) -> None:
    page, text = pages(room), three_lines(40)
    begun = page.place(text)
    assert sum(lines for lines, _ in text.notes) == 3
    assert all(foot >= page.bottom for _, foot in text.notes)
    # parted, one line would stand alone
    assert len(text.notes) == 1
    assert begun[0] == (1 if room >= 42 else 2)


@pytest.mark.parametrize("room", range(80))
def test_a_row_of_a_table_moves_down(room: int) -> None:
    page, text, short, headed = pages(room), three_lines(8), Drawn("id", STYLE), []
    short.notes = []
    page.row([short, text], [100, 100], overleaf=lambda: headed.append(page.number))
    assert sum(lines for lines, _ in text.notes) == 3
    assert all(foot >= page.bottom for _, foot in text.notes + short.notes)
    # three lines cannot be parted; both cells of the row stand on one page
    overleaf = room < 3 * 14 + 10
    assert headed == ([2] if overleaf else [])
    assert short.notes[0][1] == pytest.approx(
        (page.top if overleaf else page.bottom + room) - 5 - 14
    )


def test_a_table_head_stands_above_each_row_that_moved() -> None:
    pypdf = pytest.importorskip("pypdf")
    rows = [[f"id{n}", "word " * 30] for n in range(60)]
    data, made, _ = render(
        FORMATS.load("pdf"), Document("T", "custom", [Table(["Key", "Value"], rows)])
    )
    assert made.pages > 2
    texts = [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(data)).pages]
    assert [int(n) for text in texts for n in re.findall(r"\bid(\d+)\b", text)] == list(range(60))
    assert "".join(texts).count("word") == 60 * 30


def test_transcripts_of_three_line_segments() -> None:
    text = "word " * 45
    for lead in (4, 7, 10):
        segments = [*("x" for _ in range(lead)), *(text for _ in range(14))]
        timed = [Segment(each, n, n + 1) for n, each in enumerate(segments)]
        _, made, _ = render(FORMATS.load("pdf"), Document("T", "transcript", timed))
        assert made.pages == 2
