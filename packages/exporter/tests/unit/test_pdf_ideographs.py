"""Chinese and Japanese on paper: every character once, no line too wide, none broken badly."""

import io
import re
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("reportlab")

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfgen.canvas import Canvas

from exporter.adapters.formats.pdf_fonts import FontStack
from exporter.adapters.formats.pdf_ideographs import Ideographs
from exporter.adapters.formats.pdf_plain import Plain
from exporter.adapters.formats.pdf_styles import Styles

STYLES = Styles(FontStack((), print))
# what begins no line, what ends none: JIS X 4051, as word processors have it
NO_START = "、。，．）」』】〉》！？：；ーっゃゅょァィッャュョ々"  # noqa: RUF001  full-width, as meant
NO_END = "（「『【〈《"  # noqa: RUF001  as above
TEXTS = st.lists(
    st.one_of(
        st.text("会議記録的中文字を始める", min_size=1, max_size=30),
        st.text(NO_START, min_size=1, max_size=3),
        st.text(NO_END, min_size=1, max_size=3),
        st.sampled_from([" ", "\u3000", "\n", "Python", "3.14", "a & b <i>", "회의", "Ж", "“x”"]),
    ),
    min_size=1,
    max_size=30,
).map(lambda parts: f"字{''.join(parts)}字")


def look() -> Ideographs:
    found = STYLES.paragraph("body", "字")._look
    assert isinstance(found, Ideographs)
    return found


def lines(text: str, width: float) -> list[str]:
    return ["".join(run for _, run in line.runs) for line in look().lines(text, width)]


def wide(text: str) -> float:
    return sum(sum(ink.widths([*map(ord, run)])) for ink, run in look().lines(text, 1e9)[0].runs)


def squeezed(text: str) -> str:
    return re.sub("[ \u3000\n]", "", text)


def may_part(before: str, after: str) -> bool:
    """Whether a line may end between two characters, by the few rules that all texts here obey."""
    return before not in NO_END and after not in NO_START and max(before, after) >= "\u3040"


@given(TEXTS, st.one_of(st.just(393.0), st.floats(120, 500)))
def test_lines_hold_every_character_once_and_are_broken_well(text: str, width: float) -> None:
    for part in text.split("\n"):
        found = lines(part, width)
        assert squeezed("".join(found)) == squeezed(part)
        assert all(wide(line) <= width + 0.01 for line in found)
        for line, after in pairwise(found):
            if after[0] in NO_START or line[-1] in NO_END:
                row = line + after[0]
                assert not any(may_part(*pair) for pair in pairwise(row)), found


@pytest.mark.parametrize("mark", NO_START)
def test_no_line_begins_with_what_ends_a_phrase(mark: str) -> None:
    for before in range(5, 60):
        found = lines(f"{'字' * before}{mark}{'字' * 20}", 200.0)
        assert not any(line.startswith(mark) for line in found)


@pytest.mark.parametrize("mark", NO_END)
def test_no_line_ends_with_what_begins_a_phrase(mark: str) -> None:
    for before in range(5, 60):
        found = lines(f"{'字' * before}{mark}{'字' * 20}", 200.0)
        assert not any(line.endswith(mark) for line in found)


def test_lines_are_filled() -> None:
    found = lines("字" * 100, 393.0)
    assert [len(line) for line in found] == [39, 39, 22]


def test_words_of_latin_letters_stay_whole_where_a_line_holds_them() -> None:
    found = lines("我们使用Python语言编写程序" * 12, 200.0)
    assert "".join(found).count("Python") == sum(line.count("Python") for line in found) == 12


def test_a_word_wider_than_a_line_is_parted() -> None:
    found = lines(f"字{'x' * 200}字", 200.0)
    assert "".join(found) == f"字{'x' * 200}字"
    assert all(wide(line) <= 200.01 for line in found)


def test_an_indent_of_ideographic_spaces_stays_and_others_count_once() -> None:
    assert lines("\u3000\u3000第一", 393.0) == ["\u3000\u3000第一"]
    assert lines("  第   一  ", 393.0) == ["第 一"]
    assert lines("一\n\n二", 393.0) == ["一", "", "二"]


def test_a_huge_text_of_many_runs() -> None:
    """Lines find their runs: to look through all for each would take many seconds."""
    found = lines("字a" * 20_000, 120.0)
    assert "".join(found) == "字a" * 20_000
    assert len(found) == pytest.approx(20_000 / len(found[0]) * 2, rel=0.01)


def test_no_width_at_all_still_ends() -> None:
    assert lines("字」」一", 1.0) == ["字", "」", "」", "一"]


def operators(flowable: Any, doc: Any = None) -> tuple[str, Any]:
    canvas = Canvas(io.BytesIO(), pageCompression=0, invariant=1)
    flowable.wrapOn(canvas, 393.0, 800)
    flowable.drawOn(canvas, 68.0, 512.0)
    return " ".join(canvas._code), canvas._doc


@given(st.text("会議記録的中文字漢", min_size=40, max_size=120), st.sampled_from(["", "00:01:02"]))
def test_unpunctuated_text_has_the_operators_of_reportlab(text: str, moment: str) -> None:
    """Its way is to part a word that is wider than a line wherever it has to."""
    ours = STYLES.timed(moment, text) if moment else STYLES.paragraph("body", text)
    assert isinstance(ours, Plain)
    markup = STYLES._fonts.markup(text)
    assert markup != text
    assert operators(ours)[0] == operators(STYLES._ordinary(markup, ours.style, moment))[0]


def test_runs_of_two_fonts_stand_behind_each_other() -> None:
    code, _ = operators(STYLES.paragraph("body", "用Python写"))
    assert len(re.findall(r"/F\d+\+\d+ 10 Tf", code)) == 3
    assert code.count("T*") == 1
    assert "(Python) Tj" in code
    assert len(pdfmetrics.getRegisteredFontNames()) > 1


def test_points_of_a_list_obey_the_same_rules() -> None:
    text = "字" * 37 + "。" + "字" * 37
    for bullet in ("•", ""):
        made = STYLES.paragraph("bullet", text, bullet=bullet)
        assert isinstance(made, Plain)
        code, _ = operators(made)
        assert len(re.findall(r"BT 1 0 0 1 14 33.5 Tm", code)) == 1
        # the bullet stands on the first line, before the text
        assert len(re.findall(r"BT 1 0 0 1 3 33.5 Tm", code)) == (1 if bullet else 0)
    first, last = made.splitOn(None, 393.0, 14.6) or (None, None)
    assert first is last is None  # two lines stand together
    made = STYLES.paragraph("bullet", text * 3, bullet="•")
    made.wrapOn(None, 393.0, 800.0)
    parts = made.splitOn(None, 393.0, 50.0)
    assert ["BT 1 0 0 1 3 " in operators(part)[0] for part in parts] == [True, False]
