"""Draws the pictures of the documentation's gallery: ``python draw_gallery.py [FOLDER]``.

One talk in every format, shown by the programs that people open it with: LibreOffice (``soffice``),
poppler (``pdftoppm``), Chromium.
"""

import asyncio
import html
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from exporter import Document, ExportService, ExportSource, Segment, Settings, Table

PICTURES = Path(__file__).parents[3] / "docs" / "exporter" / "pictures"
FACTS = {
    "title": "Quarterly review: the new reading room",
    "author": "City Library",
    "description": "Meeting of the building committee, recorded and transcribed.",
    "language": "en",
    "created_at": datetime(2026, 3, 12, 14, 30, tzinfo=UTC),
}
SAID = (
    (
        "Ann Keller",
        "Good afternoon. Let us begin with the reading room, and then talk about money.",
    ),
    (
        "Béla Tóth",
        "The windows came last week. Two of forty-eight were broken & have to be sent back.",
    ),
    (
        "Béla Tóth",
        "That costs us nothing, but it costs us time: about nine days, says the builder.",
    ),
    ("李明", "书架已经到了，我们可以在下个月初开始安装。"),  # noqa: RUF001  Chinese has this comma
    ("Ann Keller", "So the shelves are here before the windows. Can we store them somewhere dry?"),
    ("ليلى حداد", "نعم، القاعة القديمة فارغة حتى نهاية الشهر ويمكننا استخدامها."),
    ("Ann Keller", "Thank you, Leila: the old hall it is. Who writes that down?"),
    (
        "Béla Tóth",
        "I do. And the lamps: €14,200 for all of them, a third less than we had feared.",
    ),
    ("प्रिया नायर", "बच्चों के कोने के लिए हमें और कुर्सियाँ चाहिए।"),
    ("Ann Keller", "Twenty more chairs, then. Is there anything that speaks against it? No? Good."),
)
TERMINAL = """<!doctype html><meta charset="utf-8"><style>
body { margin: 0; background: transparent }
main { display: inline-block; background: #0d1117; color: #c9d1d9; border-radius: 8px;
  padding: 12px 18px 16px; min-width: 640px; max-width: 780px; box-sizing: border-box;
  font: 13.5px/1.5 "DejaVu Sans Mono", "WenQuanYi Micro Hei Mono", monospace }
header { color: #768390; margin-bottom: 8px }
pre { margin: 0; white-space: pre-wrap; font: inherit }
b { color: #58a6ff; font-weight: normal } i { color: #8b949e; font-style: normal }
</style><main><header>%s</header><pre>%s</pre></main>"""


def segments(count: int) -> Iterator[Segment]:
    """Yield what was said, again and again, over as many minutes as it takes."""
    at = 0.0
    for n in range(count):
        who, text = SAID[n % len(SAID)]
        long = 1.2 + len(text.encode()) * 0.06
        yield Segment(text, at, at + long, who)
        at += long + 0.6


def talk(count: int = 10) -> Document:
    """Return the talk; a long one gets a contents page."""
    return Document(kind="transcript", records=segments(count), total=count, **FACTS)


def costs() -> Document:
    """Return a table."""
    rows = [
        ["Windows", 48, 310.5, "2 broken, replaced by the maker"],
        ["Shelves", 36, 195.0, "书架"],
        ["Lamps", 71, 200.0, "a third less than feared"],
        ["Chairs", 20, 84.25, "=SUM(B2:B4) stays text"],
    ]
    return Document(
        kind="custom", records=[Table(["what", "pieces", "each €", "note"], rows, "Costs")], **FACTS
    )


def made(folder: Path, name: str, document: Document) -> Path:
    """Return the document as a file."""
    path = folder / name
    source = ExportSource(document.kind, "1", document)
    ExportService(Settings()).export_to(path, source)
    return path


def run(*command: str | Path) -> None:
    """Run a program in silence."""
    subprocess.run([str(part) for part in command], check=True, capture_output=True)


def opened_by_office(folder: Path, path: Path) -> Path:
    """Return what LibreOffice shows of a file, as a PDF."""
    profile = f"-env:UserInstallation=file://{folder}/profile"
    run(
        "soffice", profile, "--headless", "--convert-to", "pdf", "--outdir", folder / "office", path
    )
    return folder / "office" / path.with_suffix(".pdf").name


def page(path: Path, number: int, target: Path, *, dots: int = 84, high: int = 0) -> None:
    """Draw one page of a PDF, or its upper ``high`` dots."""
    stem = target.with_suffix("")
    part = ["-x", "0", "-y", "0", "-W", "9999", "-H", str(high)] if high else []
    run(
        "pdftoppm", "-png", "-singlefile", "-r", str(dots), "-f", str(number), "-l", str(number),
        *part, path, stem,
    )  # fmt: skip


async def screens(folder: Path, target: Path) -> None:
    """Draw what browsers and terminals show."""
    from playwright.async_api import async_playwright

    looks = {
        "md": TERMINAL % ("talk.md", _coloured(made(folder, "talk.md", talk(6)), "#")),
        "srt": TERMINAL % ("talk.srt", _coloured(made(folder, "talk.srt", talk(4)), "-->")),
        "vtt": TERMINAL % ("talk.vtt", _coloured(made(folder, "talk.vtt", talk(3)), "-->")),
        "txt": TERMINAL % ("talk.txt", _coloured(made(folder, "talk.txt", talk(5)), "[")),
        "json": TERMINAL % ("talk.json", _coloured(made(folder, "talk.json", talk(1)), '":')),
        "jsonl": TERMINAL
        % ("talk.jsonl", _coloured(made(folder, "talk.jsonl", talk(3)), "speaker")),
        "csv": TERMINAL % ("costs.csv", _coloured(made(folder, "costs.csv", costs()), "what")),
        "tsv": TERMINAL % ("costs.tsv", _coloured(made(folder, "costs.tsv", costs()), "what")),
        "parquet": TERMINAL % ("costs.parquet, read by pyarrow", _columns(folder)),
    }
    async with async_playwright() as driver:
        browser = await driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        for name, look in looks.items():
            tab = await browser.new_page(device_scale_factor=1.5)
            await tab.set_content(look)
            await tab.locator("main").screenshot(path=target / f"{name}.png", omit_background=True)
        tab = await browser.new_page(viewport={"width": 820, "height": 620})
        await tab.goto(made(folder, "talk.html", talk()).as_uri())
        await tab.screenshot(path=target / "html.png")
        await browser.close()


def _coloured(path: Path, mark: str) -> str:
    rows = [html.escape(row) for row in path.read_text("utf-8").rstrip().split("\n")]
    sign = html.escape(mark)
    return "\n".join(f"<b>{row}</b>" if sign in row[:40] else row for row in rows)


def _columns(folder: Path) -> str:
    """Return the columns of a Parquet file, their types, and what is in them."""
    from pyarrow.parquet import read_table

    table = read_table(made(folder, "costs.parquet", costs()))
    wide = max(len(name) for name in table.column_names)
    rows = (
        f"<b>{name:{wide}}</b>  <i>{table.schema.field(name).type!s:8}</i>  "
        + html.escape(", ".join(map(str, table.column(name).to_pylist())))
        for name in table.column_names
    )
    return "\n".join(rows)


def main(target: Path) -> None:
    """Draw everything."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        asyncio.run(screens(folder, target))
        pdf = made(folder, "talk.pdf", talk(320))
        page(pdf, 1, target / "pdf-contents.png")
        page(pdf, 2, target / "pdf.png")
        word = opened_by_office(folder, made(folder, "talk.docx", talk(320)))
        page(word, 1, target / "docx-contents.png")
        page(word, 2, target / "docx.png")
        if (book := opened_by_office(folder, made(folder, "costs.xlsx", costs()))).exists():
            page(book, 1, target / "xlsx.png", high=300)  # needs LibreOffice's Calc
        table = made(folder, "costs.pdf", costs())
        page(table, 1, target / "pdf-table.png", high=440)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PICTURES)
