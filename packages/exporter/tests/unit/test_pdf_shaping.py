"""Scripts that join, stack or run from right to left: order, breaking, reading back."""

import dataclasses
import hashlib
import io
import random
import re
import shutil
import subprocess
import sys
import textwrap
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("reportlab")
pytest.importorskip("uharfbuzz")

from exporter import Document, Segment, Table, export_service
from exporter.adapters.formats.pdf_bidi import levels_of, mirrored, reordered
from exporter.adapters.formats.pdf_fonts import FontStack
from exporter.adapters.formats.pdf_glyphs import Glyphs, operators
from exporter.adapters.formats.pdf_shaping import Shaper, is_complex
from exporter.documents import Row
from exporter.registry import FORMATS
from exporter.testing import render

HEBREW = "שלום עולם! זה מבחן (עם סוגריים) ו-English באמצע, 123 אחוז 45%."  # noqa: RUF001  Hebrew, on purpose
ARABIC = "مرحبا بالعالم، هذا اختبار للنص العربي مع كلمات English وأرقام 2026 و(أقواس)."
HINDI = "नमस्ते दुनिया, क्षत्रिय श्री प्रार्थना कर्तव्य।"
ALPHABET = [
    *"abcXYZ",
    *"אבגדה",
    *"سلامبر",
    *"0123456789",
    *"٠١٢٣",
    *" .,:;!?+-%$()[]{}<>/&",
    "\u0301",
]


def has_fonts(*texts: str) -> bool:
    missing: list[str] = []
    stack = FontStack((), missing.append)
    for text in texts:
        list(stack.runs(text))
    return not missing


def pdf(tmp_path: Path, document: Document) -> Path:
    path = tmp_path / "x.pdf"
    export_service.export_to(path, document, "pdf")
    return path


def read(path: Path) -> str:
    if not shutil.which("pdftotext"):
        pytest.skip("pdftotext is not installed")
    run = subprocess.run(["pdftotext", "-enc", "UTF-8", path, "-"], capture_output=True, check=True)
    return unicodedata.normalize("NFKC", run.stdout.decode())


def words(text: str) -> set[str]:
    return set(re.findall(r"[^\W\d_]{2,}", unicodedata.normalize("NFKC", text)))


@pytest.mark.parametrize("seed", range(4))
def test_the_order_is_that_of_another_implementation(seed: int) -> None:
    bidi = pytest.importorskip("bidi")
    rng = random.Random(seed)
    for _ in range(1500):
        text = "".join(rng.choices(ALPHABET, k=rng.randint(1, 40)))
        base, levels = levels_of(text)
        ours = "".join(reordered(list(text), levels))
        theirs = bidi.get_display(text, base_dir="R" if base else "L")
        assert ours == theirs, (text, levels)


@pytest.mark.parametrize("seed", range(2))
def test_text_of_one_direction_has_that_order_too(seed: int) -> None:
    """It goes a quicker way."""
    bidi = pytest.importorskip("bidi")
    rng = random.Random(seed)
    neutral = [*" .,:;!?+-%$()[]{}<>/&", "\u0301", "\u202b", "\u202c"]
    for letters in ([*"אבגד", *neutral], [*"سلام", *neutral], [*"abc", *"0123", *neutral], neutral):
        for _ in range(500):
            text = "".join(rng.choices(letters, k=rng.randint(1, 40)))
            base, levels = levels_of(text)
            plain = [char for char in text if char not in "\u202b\u202c"]
            kept = [at for char, at in zip(text, levels, strict=True) if char in plain]
            theirs = bidi.get_display("".join(plain), base_dir="R" if base else "L")
            assert "".join(reordered(plain, kept)) == theirs, text


def test_known_levels() -> None:
    assert levels_of("abc") == (0, [0, 0, 0])
    assert levels_of("אב 12") == (1, [1, 1, 1, 2, 2])
    assert levels_of("a (ב) c") == (0, [0, 0, 0, 1, 0, 0, 0])
    assert levels_of("") == (0, [])
    assert mirrored("a(b]<") == ">[b)a"


def test_what_is_complex() -> None:
    assert is_complex("שלום")
    assert is_complex("q\u0303")
    assert not is_complex("Grüße, 今天, Ελλάδα")


def test_lines_hold_every_character_once() -> None:
    shaper = Shaper(FontStack((), lambda _: None))
    texts = (HEBREW * 3, ARABIC * 3, HINDI * 4, "ש" * 500, HEBREW.replace(" ", ""))
    for text in filter(has_fonts, texts):
        lines = shaper.lines(text, 10, 200, bold=False)
        assert all(line.width <= 200 for line in lines), text
        kept = "".join(sorted("".join(piece.text for line in lines for piece in line.pieces)))
        assert kept.replace(" ", "") == "".join(sorted(text)).replace(" ", "")
    assert [line.rtl for line in shaper.lines(f"{HEBREW}\nabc", 10, 900, bold=False)] == [
        True,
        False,
    ]


@pytest.mark.parametrize("text", [HEBREW, ARABIC])
def test_right_to_left_text_reads_back_word_by_word(tmp_path: Path, text: str) -> None:
    if not has_fonts(text):
        pytest.skip("no font of this system has the script")
    found = words(read(pdf(tmp_path, Document("T", "transcript", [Segment(text * 4, 1, 2)]))))
    assert words(text) <= found


POINTED = ["בְּרֵאשִׁית בָּרָא אֱלֹהִים", "שָׁלוֹם עוֹלָם", "مُحَمَّدٌ رَسُولُ اللَّهِ", "بِسْمِ"]


@pytest.mark.parametrize("text", POINTED)
def test_words_with_points_and_vowels_read_back(tmp_path: Path, text: str) -> None:
    """Marks above and below their letter are no words of their own."""
    if not has_fonts(text):
        pytest.skip("no font of this system has the script")
    found = read(pdf(tmp_path, Document("T", "transcript", [Segment(text, 1, 2)])))
    read_words = re.sub("[\u200f\u202a-\u202e]", "", found).split()
    for word in unicodedata.normalize("NFKC", text).split():
        assert word in read_words


def test_marks_do_not_move_what_follows_them() -> None:
    canvases = pytest.importorskip("reportlab.pdfgen.canvas")
    metrics = pytest.importorskip("reportlab.pdfbase.pdfmetrics")
    face = FontStack((), lambda _: None).regular
    canvas = canvases.Canvas(io.BytesIO())
    glyphs = Glyphs("abc", ((0, 0), (-80, 250), (500, 0)), (500, 0, 520), 1020.0, (0, 0, 2))
    code = operators(glyphs, metrics.getFont(face.name), canvas, 10)
    # the pen stands at 500 after the first, which is where the third belongs
    pattern = (
        r"\S+ 10 Tf \((.+?)\) Tj 2\.500 Ts \[580 \((.+?)\)\] TJ 0\.000 Ts \[-580 \((.+?)\)\] TJ"
    )
    assert re.fullmatch(pattern, code), code
    raised = operators(dataclasses.replace(glyphs, spots=((0, 0), (500, 0), (500, -90))),
                       metrics.getFont(face.name), canvas, 10)  # fmt: skip
    assert raised.endswith(" 0 Ts")


def test_known_characters_find_the_same_fonts() -> None:
    """What is known of the characters of a text is a quicker way to the same fonts."""
    texts = [HINDI, ARABIC, *POINTED, "สวัสดี ก็ กี้", "e\u0323\u0302 q\u0303 \u0301x",
             "क\u0301 a\u094d", "\u4e00\u0301 \ud55c", "a\u200d\u0915\u094d\u200d\u0937",
             "\u0301", "\n\u0301a"]  # fmt: skip
    warm = FontStack((), lambda _: None)
    for text in texts * 2:
        list(warm.runs(text))
    for text in [*texts, " ".join(texts)]:
        fresh = FontStack((), lambda _: None)
        assert list(warm.runs(text)) == list(fresh.runs(text)), text


ODD = [
    "\t",
    "\u200d",
    "\u0301",
    "\u094d",
    "\ufe0f",
    "か\u3099",
    "नमस्ते",
    "שלום",
    "한국",
    "漢字",
    "👍",
]
CHARACTERS = st.one_of(
    st.sampled_from([*"ab é\n", *ODD]),
    st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs", "Cc"]),
)


@given(st.lists(st.lists(CHARACTERS, max_size=8).map("".join), min_size=1, max_size=6))
def test_one_font_is_what_the_runs_would_be(texts: list[str]) -> None:
    stack = FontStack((), lambda _: None)
    for text in texts * 2:
        runs = list(FontStack((), lambda _: None).runs(text))
        alone = runs[0][0] if len(runs) == 1 and runs[0][1] == text else None
        assert stack.one(text) is (alone or (stack.regular if not text else None)), (text, runs)


def test_other_shaped_text_reads_back_exactly(tmp_path: Path) -> None:
    texts = [text for text in (HINDI, "q\u0303 x\u0323\u0302", "สวัสดี ก็ กี้") if has_fonts(text)]
    if not texts:
        pytest.skip("no font of this system has the scripts")
    segments = [Segment(text, n * 1.0, n + 1.0, text[:6]) for n, text in enumerate(texts)]
    found = "".join(read(pdf(tmp_path, Document("T", "transcript", segments))).split())
    for text in texts:
        assert "".join(unicodedata.normalize("NFKC", text).split()) in found


def test_long_text_goes_over_pages(tmp_path: Path) -> None:
    numbered = " ".join(f"{ARABIC} {number}" for number in range(1000, 1200))
    table = Table(["אחת", "b"], [])
    records = [Segment(numbered, 1, 2, "أحمد"), table, Row([numbered[:9000], "x"])]
    path = pdf(tmp_path, Document(HEBREW, "custom", records))
    found = read(path)
    assert all(str(number) in found for number in range(1000, 1200))
    pypdf = pytest.importorskip("pypdf")
    assert len(pypdf.PdfReader(path).pages) > 4
    if shutil.which("qpdf"):
        assert subprocess.run(["qpdf", "--check", path], check=False).returncode == 0


def digest(*texts: str) -> str:
    segments = [Segment(text, 1, 2) for text in texts]
    data, _, _ = render(FORMATS.load("pdf"), Document("T", "transcript", segments))
    return hashlib.sha256(data).hexdigest()


def test_the_same_bytes_whatever_was_made_before() -> None:
    """ReportLab numbers glyphs without a character in the order in which a process meets them."""
    alone = """
        import hashlib, sys
        from exporter import Document, Segment
        from exporter.registry import FORMATS
        from exporter.testing import render
        segments = [Segment(text, 1, 2) for text in sys.argv[1:]]
        data = render(FORMATS.load("pdf"), Document("T", "transcript", segments))[0]
        print(hashlib.sha256(data).hexdigest())
    """
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(alone), ARABIC, HINDI],
        capture_output=True, check=True, text=True,
    )  # fmt: skip
    digest("क्ष्म द्ध न्त्र स्क ट्ठ", "قلعة لؤلؤ ١٢٣")
    assert digest(ARABIC, HINDI) == run.stdout.strip()


def test_a_private_character_is_not_taken_for_a_glyph() -> None:
    missing: list[str] = []
    stack = FontStack((), missing.append)
    shaper = Shaper(stack)
    shaper.lines(HINDI + ARABIC, 10, 500, bold=False)
    assert "".join(run for _, run in stack.runs("\ue000")) == "[U+E000]"
    assert len(missing) == 1 if has_fonts(HINDI, ARABIC) else missing
