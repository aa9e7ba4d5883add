"""The others, with the settings that their documentation recommends."""

import csv
import json
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from .transcripts import rows

Write = Callable[[int, Path], None]


def contenders() -> dict[str, Write]:
    """Return what writes that many segments to a path, by ``format/name``."""
    return {
        "docx/python-docx": _docx_naive,
        "docx/python-docx tuned": _docx_tuned,
        "docx/docxtpl": _docx_template,
        "pdf/fpdf2": _pdf_fpdf2,
        "pdf/WeasyPrint": _pdf_weasyprint,
        "pdf/Typst": _pdf_typst,
        "pdf/platypus": _pdf_platypus,
        "csv/csv module": _csv_module,
        "csv/pandas": _csv_pandas,
        "csv/tablib": _csv_tablib,
        "json/json.dump": _json_dump,
        "srt/pysubs2": _srt_pysubs2,
        "xlsx/openpyxl": _xlsx_openpyxl,
        "xlsx/openpyxl write-only": _xlsx_write_only,
    }


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}"


def _docx_naive(count: int, path: Path) -> None:
    import docx

    document = docx.Document()
    document.add_heading("Talk", 0)
    for row in rows(count):
        paragraph = document.add_paragraph(style="Body Text")
        paragraph.add_run(f"[{_clock(row['start'])}] {row['speaker']}: ").bold = True
        paragraph.add_run(row["text"])
    document.save(str(path))


def _docx_tuned(count: int, path: Path) -> None:
    """Its two slow spots gone round: the search for the section's end, and for styles by name."""
    import docx
    from docx.oxml import OxmlElement
    from docx.text.paragraph import Paragraph

    document = docx.Document()
    document.add_heading("Talk", 0)
    body = document.element.body
    last = body.sectPr
    body.remove(last)
    style = document.styles["Body Text"].style_id
    for row in rows(count):
        element = OxmlElement("w:p")
        body.append(element)
        element.style = style
        paragraph = Paragraph(element, document._body)
        paragraph.add_run(f"[{_clock(row['start'])}] {row['speaker']}: ").bold = True
        paragraph.add_run(row["text"])
    body.append(last)
    document.save(str(path))


def _docx_template(count: int, path: Path) -> None:
    import docx
    from docxtpl import DocxTemplate

    template = path.with_suffix(".template.docx")
    made = docx.Document()
    for text in (
        "{{ title }}",
        "{%p for row in rows %}",
        "[{{ row.clock }}] {{ row.speaker }}: {{ row.text }}",
        "{%p endfor %}",
    ):
        made.add_paragraph(text)
    made.save(str(template))
    document = DocxTemplate(str(template))
    given = [{**row, "clock": _clock(row["start"])} for row in rows(count)]
    document.render({"title": "Talk", "rows": given}, autoescape=True)
    document.save(str(path))


def _font() -> str:
    from exporter.adapters.formats.pdf_fonts import FontStack

    return FontStack((), print).regular.path


def _pdf_fpdf2(count: int, path: Path) -> None:
    from fpdf import FPDF

    made = FPDF(format="A4")
    made.add_font("text", fname=_font())
    made.set_font("text", size=10)
    made.add_page()
    for row in rows(count):
        text = f"[{_clock(row['start'])}] {row['speaker']}: {row['text']}"
        made.multi_cell(0, 5, text, new_x="LMARGIN", new_y="NEXT")
    made.output(str(path))


def _pdf_weasyprint(count: int, path: Path) -> None:
    import weasyprint

    body = "".join(
        f"<p><b>[{_clock(row['start'])}] {escape(row['speaker'])}:</b> {escape(row['text'])}</p>"
        for row in rows(count)
    )
    style = "@page { size: A4 } body { font: 10pt sans-serif } p { margin: 3pt 0 }"
    page = f"<html><head><style>{style}</style></head><body><h1>Talk</h1>{body}</body></html>"
    weasyprint.HTML(string=page).write_pdf(str(path))


def _pdf_typst(count: int, path: Path) -> None:
    import typst

    data = path.with_suffix(".json")
    data.write_text(
        json.dumps([{**row, "clock": _clock(row["start"])} for row in rows(count)]), "utf-8"
    )
    source = path.with_suffix(".typ")
    source.write_text(
        f'#set page("a4", numbering: "1 / 1")\n#set text(10pt)\n= Talk\n'
        f'#for row in json("{data.name}") [\n'
        "  *\\[#row.clock\\] #row.speaker:* #row.text\n\n]\n",
        "utf-8",
    )
    typst.compile(str(source), output=str(path))


def _pdf_platypus(count: int, path: Path) -> None:
    """ReportLab as its guide has it: a list of paragraphs, built at the end."""
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.pdfbase import pdfmetrics, ttfonts
    from reportlab.platypus import Paragraph, SimpleDocTemplate

    pdfmetrics.registerFont(ttfonts.TTFont("text", _font()))
    style = getSampleStyleSheet()["BodyText"].clone("talk", fontName="text")
    story = [
        Paragraph(
            f"[{_clock(row['start'])}] {escape(row['speaker'])}: {escape(row['text'])}", style
        )
        for row in rows(count)
    ]
    SimpleDocTemplate(str(path)).build(story)


def _csv_module(count: int, path: Path) -> None:
    """No contender but the floor: rows as they come, no guard against formulas."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["start", "end", "speaker", "text"])
        writer.writeheader()
        writer.writerows(rows(count))


def _csv_pandas(count: int, path: Path) -> None:
    import pandas as pd

    pd.DataFrame(list(rows(count))).to_csv(path, index=False)


def _csv_tablib(count: int, path: Path) -> None:
    import tablib

    data = tablib.Dataset(headers=["start", "end", "speaker", "text"])
    for row in rows(count):
        data.append(list(row.values()))
    path.write_text(data.export("csv"), "utf-8", newline="")


def _json_dump(count: int, path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump({"segments": list(rows(count))}, file, indent=2)


def _srt_pysubs2(count: int, path: Path) -> None:
    import pysubs2

    made = pysubs2.SSAFile()
    for row in rows(count):
        made.append(
            pysubs2.SSAEvent(
                start=int(row["start"] * 1000), end=int(row["end"] * 1000), text=row["text"]
            )
        )
    made.save(str(path))


def _xlsx_openpyxl(count: int, path: Path) -> None:
    _workbook(count, path, write_only=False)


def _xlsx_write_only(count: int, path: Path) -> None:
    _workbook(count, path, write_only=True)


def _workbook(count: int, path: Path, *, write_only: bool) -> None:
    import openpyxl

    book: Any = openpyxl.Workbook(write_only=write_only)
    sheet = book.create_sheet("Talk")
    sheet.append(["start", "end", "speaker", "text"])
    for row in rows(count):
        sheet.append(list(row.values()))
    book.save(path)
