"""Plain paragraphs are ReportLab's paragraphs, operator for operator."""

import io
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("reportlab")

from reportlab.pdfgen.canvas import Canvas

from exporter.adapters.formats.pdf_fonts import FontStack
from exporter.adapters.formats.pdf_plain import Plain
from exporter.adapters.formats.pdf_styles import Styles

STYLES = Styles(FontStack((), print))
# narrow and wide letters, escapes, other subsets of the font
WORDS = st.text("iiilllWWMm.,()\\-'éßЖж", min_size=1, max_size=14)
# of another font, and of so many characters that a word changes subsets
KOREAN = st.text(st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3), min_size=1, max_size=9)
TEXTS = st.one_of(
    st.lists(WORDS, min_size=1, max_size=60).map(" ".join),
    st.lists(KOREAN, min_size=1, max_size=60).map(" ".join),
    st.lists(st.sampled_from(["the", "of", "a", "(in)", "is", "W"]), min_size=1, max_size=90).map(
        "  ".join
    ),
)


def drawn(flowable: Any, width: float) -> tuple[list[str], tuple[float, float]]:
    canvas = Canvas(io.BytesIO(), pageCompression=0, invariant=1)
    size = flowable.wrapOn(canvas, width, 800)
    flowable.drawOn(canvas, 68.031, 512.25)
    return canvas._code, size


def parted(flowable: Any, width: float, height: float) -> list[list[str]]:
    canvas = Canvas(io.BytesIO(), pageCompression=0, invariant=1)
    flowable.wrapOn(canvas, width, 800)
    return [drawn(part, width)[0] for part in flowable.splitOn(canvas, width, height)]


def pair(name: str, text: str, moment: str) -> tuple[Plain, Any]:
    plain = STYLES.timed(moment, text) if moment else STYLES.paragraph(name, text)
    assert isinstance(plain, Plain)
    return plain, plain._look.ordinary(text, moment)


@given(
    TEXTS,
    st.sampled_from(["body", "speaker", "bullet", "cell"]),
    st.sampled_from(["", "00:01:02"]),
    st.one_of(st.just(393.0), st.floats(20, 500)),
)
def test_the_same_operators(text: str, name: str, moment: str, width: float) -> None:
    plain, ordinary = pair(name, text, moment)
    assert drawn(plain, width) == drawn(ordinary, width)


@given(TEXTS, st.sampled_from(["", "00:01:02"]), st.floats(60, 500))
def test_the_same_parts(text: str, moment: str, width: float) -> None:
    lines = round(drawn(pair("body", text, moment)[0], width)[1][1] / 14.5)
    for count in {1, 2, 3, lines // 2, *range(max(0, lines - 2), lines + 2)}:
        for height in (count * 14.5, count * 14.5 - 0.1):
            plain, ordinary = pair("body", text, moment)
            assert parted(plain, width, height) == parted(ordinary, width, height)


@pytest.mark.parametrize(
    "text",
    ["a & b", "<b>", "two\nlines", "no\u00a0break", "soft\u00adhyphen", "zero\u200bwidth",
     "a\u2003b", "a \uc7a5", "", " ", "\u05d0", "e\u0301\u0323", "a \U0001f600"],
)  # fmt: skip
def test_what_is_not_plain_is_left_to_others(text: str) -> None:
    assert not isinstance(STYLES.paragraph("body", text), Plain)
    assert not isinstance(STYLES.timed("00:00:01", text), Plain)


def test_shaped_lines_stand_where_plain_ones_do() -> None:
    def foot(text: str) -> float:
        code, _ = drawn(STYLES.paragraph("body", text), 393.0)
        return float(re.findall(r"1 0 0 1 \S+ (\S+) Tm", " ".join(code))[-1])

    pytest.importorskip("uharfbuzz")
    assert foot("\u05e9\u05dc\u05d5\u05dd") == foot("peace") == 4.5


def test_spaces_shrink_for_the_last_word() -> None:
    """Else the property above could hold without it."""
    found = [
        code
        for width in range(60, 400)
        for code in drawn(STYLES.paragraph("body", "the lazy dog sleeps " * 5), width)[0]
        if "Tw" in code
    ]
    assert found


def test_measures_of_words_are_kept_within_bounds() -> None:
    ink = STYLES.paragraph("fact", "x")._look.ink
    for n in range(45_000):
        ink.width(f"w{n}")
        ink.width(f"{'w' * 60}{n}")
    assert 0 < len(ink._words) <= 20_000
    assert max(map(len, ink._words)) < 40


@pytest.mark.parametrize(
    "text", ["peace", "a & b", "\u5e73\u548c", "\ud3c9\ud654", "\u05e9\u05dc\u05d5\u05dd"]
)
def test_times_stand_on_the_line_of_the_text(text: str) -> None:
    pytest.importorskip("uharfbuzz")
    code, (_, high) = drawn(STYLES.timed("00:01:02", text), 393.0)
    feet = [float(foot) for foot in re.findall(r"1 0 0 1 \S+ (\S+) Tm", " ".join(code))]
    assert {foot for foot in feet if foot} == {high - 10.0}
