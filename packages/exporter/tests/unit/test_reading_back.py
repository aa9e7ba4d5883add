"""What was written is read back, by readers that are not ours: same records, hostile text too."""

import csv
import io
import json
import math
import re
import shutil
import subprocess
import unicodedata
import zipfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from exporter import Citation, Document, Row, Section, Segment, Table
from exporter.adapters.formats.tables import guarded
from exporter.registry import FORMATS
from exporter.sources import to_document
from exporter.testing import HOSTILE, documents, render
from exporter.texts import clean

RTL = re.compile("[\u0590-\u08ff\u202a-\u202e\u2066-\u2069]")


def made(format: str, document: Document, **options: Any) -> bytes:
    return render(FORMATS.load(format), document, **options)[0]


def fair(text: str) -> str:
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def squeezed(text: str) -> str:
    return "".join(clean(text).split())


def talk() -> Document:
    return Document(
        "T", "transcript", [Segment(t, n * 1.0, n + 0.5, "Ann") for n, t in enumerate(HOSTILE)]
    )


def test_json() -> None:
    data = json.loads(made("json", talk()))
    expected = [fair(text) for text in HOSTILE]
    assert [each["text"] for each in data["segments"]] == expected
    assert data["metadata"]["title"] == "T"
    lines = [
        json.loads(row)
        for row in made("jsonl", talk()).decode().splitlines(keepends=False)[1:]
        if row
    ]
    assert len(lines) == len(HOSTILE)


def test_jsonl_is_one_object_a_line() -> None:
    rows = made("jsonl", talk()).split(b"\n")
    assert rows.pop() == b""
    assert [json.loads(row)["text"] for row in rows[1:]] == [fair(text) for text in HOSTILE]


def test_json_numbers_and_strange_values() -> None:
    rows = [[math.nan, math.inf, 2**70, 10**5000, True, None, -0.0]]
    names = ["nan", "inf", "big", "huge", "yes", "none", "zero"]
    data = json.loads(made("json", Document(records=[Table(names, rows)])))
    [row] = data["rows"]
    assert (row["nan"], row["inf"], row["yes"], row["none"]) == (None, None, True, None)
    assert int(row["big"]) == 2**70
    assert int(row["huge"], 16) == 10**5000
    strange = {"x": {"deep": [1, {"set": {1}}]}, 5: "key", "nan": math.nan, "bad": "\ud800"}
    data = json.loads(made("json", to_document("custom", strange), include_metadata=False))
    assert data == {"x": {"deep": [1, {"set": [1]}]}, "5": "key", "nan": None, "bad": "\ufffd"}


def test_json_of_the_other_kinds() -> None:
    summary = {
        "title": "S",
        "text": "all",
        "bullets": ["p"],
        "sections": [{"title": "A", "text": "b", "level": 2}],
    }
    data = json.loads(made("json", to_document("summary", summary)))
    assert data["sections"] == [
        {"title": "", "level": 1, "text": "all", "bullets": ["p"]},
        {"title": "A", "level": 2, "text": "b"},
    ]
    rag = {
        "question": "Q?",
        "answer": "A [1]",
        "citations": [{"title": "t", "text": "x", "score": 0.5, "number": 1}],
    }
    data = json.loads(made("json", to_document("rag", rag)))
    assert (data["question"], data["answer"]) == ("Q?", "A [1]")
    assert data["citations"] == [{"number": 1, "title": "t", "score": 0.5, "text": "x"}]
    mixed = Document(
        "M", "custom", [Section("s"), Table(["a"], [[1]], "t"), Citation("c"), Segment("x", 0, 1)]
    )
    kinds = [each.get("type", "row") for each in json.loads(made("json", mixed))["rows"]]
    assert kinds == ["section", "table", "row", "citation", "segment"]


def test_csv() -> None:
    text = made("csv", talk()).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    dropped = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
    for row, original in zip(rows, HOSTILE, strict=True):
        read = row["text"].removeprefix("'")
        assert read == fair(dropped.sub("", original))
        assert float(row["start"]) >= 0
    assert rows[0]["speaker"] == "Ann"


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+x",
        "-x",
        "@x",
        "\tx",
        "\rx",
        "\nx",
        " =x",
        "'=x",
        '"=x',
        "\ufeff=x",
        "\uff1dx",
        "\uff0bx",
        "\uff0dx",
        "\uff20x",
        "\u200b=x",
        "-1+2",
        "+1-2",
        "--1",
        "=\u0661",
        "\xad=x",
        "\u202e=x",
        "\u2066 \ufe0f@x",
        "\u3000=x",
    ],
)
def test_formulas_are_guarded(text: str) -> None:
    assert guarded(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-1", "+1.5", "-1e-5", "1", "x=1", "a-b", "", "'", ".5"])
def test_numbers_and_plain_text_are_not(text: str) -> None:
    assert guarded(text) == text


def test_csv_of_mixed_records() -> None:
    document = Document(
        "M",
        "custom",
        [Table(["a", "b"], [[1, None], [1.5, True]]), Section("s", "t", ["p"]), Citation("c", "x")],
    )
    rows = made("csv", document).decode().split("\r\n")
    assert rows == [
        "a,b",
        "1,",
        "1.5,True",
        "",
        "title,level,kind,text",
        "s,1,text,t",
        "s,1,bullet,p",
        "",
        "number,title,url,score,text",
        "1,c,,,x",
        "",
    ]


def test_txt() -> None:
    text = made("txt", talk()).decode()
    assert squeezed("".join(HOSTILE)) in squeezed(re.sub(r"\[\d\d:\d\d:\d\d\] (Ann: )?", "", text))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)


class _Html(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") or name in {"src", "href"} for name, _ in attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("kind", ["transcript", "summary", "rag", "custom"])
def test_html_has_no_markup_of_users(kind: str) -> None:
    page = _Html()
    page.feed(made("html", documents()[kind]).decode())
    assert page.tags <= {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "p",
        "dl",
        "dt",
        "dd",
        "div",
        "time",
        "b",
        "ul",
        "li",
        "blockquote",
        "small",
        "br",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    assert "<script>alert(1)</script>" in page.text
    for text in HOSTILE:
        assert squeezed(text) in squeezed(page.text)


def test_markdown_has_no_markup_of_users() -> None:
    document = Document("T", "transcript", [Segment(text) for text in HOSTILE])
    text = made("md", document, include_metadata=False).decode()
    bare = text.replace("\\", "")
    for original in HOSTILE:
        assert squeezed(original).replace("\\", "") in "".join(bare.split())
    for row in text.split("\n"):
        assert not re.match(r"#|- |\d+\. |> |\||    |```|<", row)
    assert not re.search(r"(?<!\\)[<`*_\[\]|]", text)


MARKDOWN = {"h1", "h2", "h3", "h4", "h5", "h6", "p", "ul", "li", "strong", "code", "br",
            "blockquote", "table", "thead", "tbody", "tr", "th", "td"}  # fmt: skip


def test_markdown_by_another_reader() -> None:
    """A CommonMark parser with tables finds our few tags, and the text as it was."""
    parser = (
        pytest.importorskip("markdown_it")
        .MarkdownIt("commonmark")
        .enable(["table", "strikethrough"])
    )
    more = (
        "a  \nb",
        "a\\\nb",
        "---",
        "===",
        "~~~",
        "[a]: http://b",
        "<http://x>",
        "&copy;",
        "1) a",
    )
    for document in (*documents().values(), Document("# T", "transcript", [*map(Segment, more)])):
        page = _Html()
        page.feed(parser.render(made("md", document).decode()))
        assert page.tags <= MARKDOWN
        text = squeezed(page.text)
        for original in HOSTILE if document.title != "# T" else more:
            assert squeezed(original) in text, original


def test_docx_by_python_docx(tmp_path: Path) -> None:
    docx = pytest.importorskip("docx")
    for kind, document in documents().items():
        file = io.BytesIO(made("docx", document))
        with zipfile.ZipFile(file) as archive:
            assert archive.testzip() is None
        read = docx.Document(file)
        cells = [c.text for t in read.tables for row in t.rows for c in row.cells]
        text = squeezed("".join([p.text for p in read.paragraphs] + cells))
        for original in HOSTILE:
            assert squeezed(original) in text, (kind, original)
        assert read.core_properties.title in {"Talk & <title>", "Summary", "Answer", "Rows"}
        assert "python-docx" not in (read.core_properties.author + read.core_properties.comments)


def test_docx_structure() -> None:
    docx = pytest.importorskip("docx")
    records = [Section(f"Part {n}", "text " * 300, ["a", "b"], 1 + n % 2) for n in range(12)]
    file = io.BytesIO(made("docx", Document("S", "summary", records)))
    read = docx.Document(file)
    styles = [p.style.name for p in read.paragraphs]
    assert styles.count("Heading 1") == 6
    assert styles.count("Heading 2") == 6
    assert styles.count("List Bullet") == 24
    assert styles.count("Contents") == 12
    xml = zipfile.ZipFile(file).read("word/document.xml").decode()
    assert xml.count("PAGEREF") == 12
    footer = b"".join(
        zipfile.ZipFile(file).read(n) for n in zipfile.ZipFile(file).namelist() if "footer" in n
    )
    assert b"PAGE" in footer
    assert b"NUMPAGES" in footer


TITLES = [
    "One",
    "A & B <c> \"d\" 'e'",
    "exporter-title of exporter-author",
    "x" * 300,
    "\u65e5\u672c",
]


@pytest.mark.parametrize("title", TITLES)
def test_docx_has_its_own_facts(title: str) -> None:
    """What surrounds the body is made once; each document's facts are put in its copy."""
    docx = pytest.importorskip("docx")
    document = Document(title, "transcript", [Segment("a", 0, 1)], author=title, language="de")
    found = docx.Document(io.BytesIO(made("docx", document)))
    facts = found.core_properties
    assert (facts.title, facts.author, facts.last_modified_by) == (title[:255],) * 3
    assert facts.language == "de"
    assert facts.created == facts.modified
    assert facts.created.year >= 2020
    [head] = found.sections[0].header.paragraphs
    assert head.text == (title if len(title) < 90 else f"{title[:89]}\u2026")


def test_wide_tables_become_lists() -> None:
    pytest.importorskip("docx")
    pytest.importorskip("reportlab")
    table = Table([f"c{n}" for n in range(70)], [[f"v{n}" for n in range(70)]])
    for format in ("docx", "pdf"):
        _, _, notes = render(FORMATS.load(format), Document(records=[table]))
        assert "became lists" in notes[0]


def pdf_text(data: bytes, path: Path) -> str:
    if shutil.which("pdftotext"):
        (path / "x.pdf").write_bytes(data)
        run = subprocess.run(
            ["pdftotext", "-enc", "UTF-8", path / "x.pdf", "-"], capture_output=True, check=True
        )
        return run.stdout.decode()
    pypdf = pytest.importorskip("pypdf")
    return "\n".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(data)).pages)


def test_pdf_reads_back(tmp_path: Path) -> None:
    pytest.importorskip("reportlab")
    from exporter.adapters.formats.pdf_fonts import FontStack

    segments = [Segment(text, n * 1.0, n + 0.5) for n, text in enumerate(HOSTILE)]
    missing: list[str] = []
    stack = FontStack((), missing.append)
    data = made("pdf", Document("~", "transcript", segments))
    whole = unicodedata.normalize("NFKC", pdf_text(data, tmp_path))
    words, read = set(re.findall(r"[^\W\d_]{2,}", whole)), "".join(whole.split())
    stamps = re.compile(r"\d\d:\d\d:\d\d")
    read = re.sub(r"Page\d+of\d+~?", "", stamps.sub("", read))
    for text in HOSTILE:
        shown = "".join(run for _, run in stack.runs(clean(text)))
        if RTL.search(text):
            if "[U+" in shown:
                continue  # no font of this system has the script
            # readers give lines in the order of paper, with words in theirs
            ours = re.findall(r"[^\W\d_]{2,}", unicodedata.normalize("NFKC", clean(text)))
            assert words.issuperset(ours), text
            continue
        expected = stamps.sub("", "".join(unicodedata.normalize("NFKC", shown).split()))
        assert expected in read, text


def test_pdf_structure(tmp_path: Path) -> None:
    pytest.importorskip("reportlab")
    pypdf = pytest.importorskip("pypdf")
    segments = [
        Segment(f"Segment number {n} says something.", n * 4.0, n * 4.0 + 3, f"S{n // 7 % 3}")
        for n in range(700)
    ]
    data = made("pdf", Document("A long talk", "transcript", segments, author="Ann", language="en"))
    read = pypdf.PdfReader(io.BytesIO(data))
    total = len(read.pages)
    assert total > 10
    for number, page in enumerate(read.pages, 1):
        assert f"Page {number} of {total}" in page.extract_text()
    titles = [entry.title for entry in read.outline if not isinstance(entry, list)]
    assert titles[0] == "00:00:00 \u2013 00:10:00"
    assert len(titles) == 5
    first = read.pages[0].extract_text()
    assert "Contents" in first
    for entry in read.outline:
        page = read.get_destination_page_number(entry) + 1
        assert re.search(rf"{re.escape(entry.title)}\s*{page}\b", first), (entry.title, page, first)
    assert (read.metadata.title, read.metadata.author) == ("A long talk", "Ann")
    assert read.metadata.creation_date_raw == "D:20261123120000+00'00'"
    assert "Segment number 699" in read.pages[-1].extract_text()
    if shutil.which("qpdf"):
        (tmp_path / "x.pdf").write_bytes(data)
        assert (
            subprocess.run(
                ["qpdf", "--check", tmp_path / "x.pdf"], capture_output=True, check=False
            ).returncode
            == 0
        )


@pytest.mark.parametrize("text", ["Zoë\nÄnne", "漢字\n日本", "a 漢\nb", "Zoë\tÄnne", "é\n\nå"])
@pytest.mark.parametrize("kind", ["transcript", "custom"])
def test_pdf_keeps_line_breaks_of_every_script(tmp_path: Path, text: str, kind: str) -> None:
    pytest.importorskip("reportlab")
    record: Any = Segment(text, 0, 1) if kind == "transcript" else Table(["a"], [[text]])
    path = tmp_path / "x.pdf"
    path.write_bytes(made("pdf", Document("T", kind, [record])))
    found = subprocess.run(["pdftotext", path, "-"], capture_output=True, check=True)
    read = found.stdout.decode()
    assert text.split(maxsplit=1)[0] in read
    assert "".join(text.split()) not in read


def test_pdf_makes_missing_glyphs_visible() -> None:
    pytest.importorskip("reportlab")
    _, _, notes = render(
        FORMATS.load("pdf"), Document("T", "transcript", [Segment("a \ue123 b \ue123")])
    )
    assert notes == ["no font has the character (U+E123)"] or "U+E123" in notes[0]


def test_pdf_of_huge_paragraphs_and_cells() -> None:
    pytest.importorskip("reportlab")
    long = "word " * 8000
    _, made_, _ = render(
        FORMATS.load("pdf"), Document("T", "summary", [Section("H" * 3000, long, [long])])
    )
    assert made_.pages > 15
    table = Table(["a", "b", "c"], [[long[:20_000], "x" * 5000, "short"]])
    _, made_, _ = render(FORMATS.load("pdf"), Document("T", "custom", [table, Row([1, 2, 3])]))
    assert made_.pages > 3


@pytest.mark.slow
def test_docx_by_libreoffice(tmp_path: Path) -> None:
    pytest.importorskip("docx")
    if not (soffice := shutil.which("soffice")):
        pytest.skip("soffice is not installed")
    (tmp_path / "x.docx").write_bytes(made("docx", talk()))
    subprocess.run(
        [
            soffice,
            f"-env:UserInstallation=file://{tmp_path}/profile",
            "--headless",
            "--convert-to",
            "txt:Text (encoded):UTF8",
            "--outdir",
            tmp_path,
            tmp_path / "x.docx",
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    text = squeezed((tmp_path / "x.txt").read_text("utf-8-sig"))
    for original in HOSTILE:
        assert squeezed(original) in text, original
