"""What surrounds the body of a Word document: styles, header, footer, properties.

python-docx makes these small parts; the body, which may be huge, is never built by it.
"""

import io
import re
import zipfile
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any
from xml.sax.saxutils import escape

from ..._common.extras import require

FONT = "Calibri"
_INK, _SOFT, _ACCENT = "1C2430", "667085", "1F4E79"
_THEN = datetime(2001, 2, 3, 4, 5, 6)  # noqa: DTZ001  python-docx takes no zone
_SHORT, _TITLE, _AUTHOR = "exporter-short-title", "exporter-title", "exporter-author"
_SUBJECT, _LANGUAGE = "exporter-subject", "exporter-language"
_SIZES = {"A4": (210, 297), "letter": (215.9, 279.4)}


def skeleton(
    *, title: str, author: str, subject: str, language: str, now: datetime, page_size: str
) -> tuple[list[tuple[str, bytes]], bytes, bytes]:
    """Return the parts but the body, and what stands before and after the body.

    Args:
        title: For the header and the properties.
        author: For the properties.
        subject: For the properties.
        language: BCP 47; empty for unknown.
        now: The time in the properties.
        page_size: ``A4`` or ``letter``.
    """
    parts, head, tail = _template(page_size)
    short = title if len(title) < 90 else f"{title[:89]}…"
    told = {_SHORT: short, _TITLE: title, _AUTHOR: author, _SUBJECT: subject, _LANGUAGE: language}
    filled = {mark: escape(text[:255]).encode() for mark, text in told.items()}
    filled[_stamp(_THEN)] = _stamp(now).encode()
    made = [(name, _filled(data, filled) if b"exporter-" in data else data) for name, data in parts]
    return made, head, tail


def _filled(data: bytes, texts: Mapping[str, bytes]) -> bytes:
    # each mark is looked for in what was there before: a title may look like one
    pieces = re.split(b"(" + b"|".join(mark.encode() for mark in texts) + b")", data)
    known = {mark.encode(): text for mark, text in texts.items()}
    return b"".join(known.get(piece, piece) for piece in pieces)


def _stamp(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


@lru_cache(maxsize=2)
def _template(page_size: str) -> tuple[list[tuple[str, bytes]], bytes, bytes]:
    """Return the same with marks in place of texts.

    Made once: it takes python-docx over 30 milliseconds, and half a megabyte that is free only when
    the garbage of a whole process is collected.
    """
    docx = require("docx", dist="exporter", extra="docx")
    made = docx.Document()
    _page(made, docx, page_size)
    _styles(made, docx)
    _header_and_footer(made, docx)
    _properties(made)
    _drop_thumbnail(made)
    buffer = io.BytesIO()
    made.save(buffer)
    parts: list[tuple[str, bytes]] = []
    body = b""
    with zipfile.ZipFile(buffer) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            if name == "word/document.xml":
                body = data
            else:
                parts.append((name, data))
    head, _, rest = body.partition(b"<w:body>")
    tail = rest[rest.index(b"<w:sectPr") :]
    return parts, head + b"<w:body>", tail


def _page(made: Any, docx: Any, page_size: str) -> None:
    section, mm = made.sections[0], docx.shared.Mm
    wide, high = _SIZES[page_size]
    section.page_width, section.page_height = mm(wide), mm(high)
    section.left_margin = section.right_margin = mm(24)
    section.top_margin, section.bottom_margin = mm(24), mm(22)
    section.header_distance = section.footer_distance = mm(11)
    section.different_first_page_header_footer = True


def _styles(made: Any, docx: Any) -> None:
    pt, styles = docx.shared.Pt, made.styles
    _font(styles["Normal"], docx, 10.5, _INK)
    _space(styles["Normal"], pt, 0, 6, 1.15)
    _font(styles["Title"], docx, 24, _INK, bold=True)
    _space(styles["Title"], pt, 0, 4, 1.0)
    border = styles["Title"].element.pPr.find(docx.oxml.ns.qn("w:pBdr"))
    if border is not None:
        styles["Title"].element.pPr.remove(border)
    for level, size in ((1, 15), (2, 12.5), (3, 11.5), (4, 11), (5, 10.5), (6, 10.5)):
        _font(styles[f"Heading {level}"], docx, size, _ACCENT, bold=True)
        _space(styles[f"Heading {level}"], pt, 16 if level == 1 else 12, 5, 1.0)
    _space(styles["List Bullet"], pt, 0, 3, 1.15)
    _own_styles(made, docx)


def _own_styles(made: Any, docx: Any) -> None:
    kinds, pt, mm = docx.enum.style.WD_STYLE_TYPE, docx.shared.Pt, docx.shared.Mm
    styles = made.styles
    for name, size, colour in (
        ("Description", 11.5, _SOFT),
        ("Fact", 9.5, _SOFT),
        ("Speaker", 10.5, _INK),
        ("Segment", 10.5, _INK),
        ("Cell", 9.5, _INK),
        ("Contents", 10.5, _INK),
        ("Source", 10, _SOFT),
    ):
        style = styles.add_style(name, kinds.PARAGRAPH)
        style.base_style = styles["Normal"]
        _font(style, docx, size, colour, bold=name == "Speaker")
    _space(styles["Fact"], pt, 0, 1, 1.1)
    styles["Fact"].paragraph_format.tab_stops.add_tab_stop(mm(28))
    styles["Fact"].paragraph_format.left_indent = mm(28)
    styles["Fact"].paragraph_format.first_line_indent = mm(-28)
    _space(styles["Speaker"], pt, 9, 1, 1.0)
    styles["Speaker"].paragraph_format.keep_with_next = True
    styles["Speaker"].paragraph_format.left_indent = mm(19)
    _space(styles["Segment"], pt, 0, 3, 1.15)
    styles["Segment"].paragraph_format.left_indent = mm(19)
    styles["Segment"].paragraph_format.first_line_indent = mm(-19)
    styles["Segment"].paragraph_format.tab_stops.add_tab_stop(mm(19))
    _space(styles["Cell"], pt, 2, 2, 1.05)
    _space(styles["Contents"], pt, 0, 2, 1.1)
    heading = styles.add_style("ContentsTitle", kinds.PARAGRAPH)
    heading.base_style = styles["Normal"]
    _font(heading, docx, 13, _ACCENT, bold=True)
    _space(heading, pt, 4, 4, 1.0)
    styles["Source"].paragraph_format.left_indent = mm(8)
    time = styles.add_style("Time", kinds.CHARACTER)
    _font(time, docx, 8.5, _SOFT)


def _font(style: Any, docx: Any, size: float, colour: str, *, bold: bool = False) -> None:
    style.font.name, style.font.size = FONT, docx.shared.Pt(size)
    style.font.color.rgb, style.font.bold = docx.shared.RGBColor.from_string(colour), bold
    # right-to-left text has a size and a weight of its own
    style.font.cs_bold = bold
    qn = docx.oxml.ns.qn
    if (own := style.element.rPr.find(qn("w:szCs"))) is None:
        own = docx.oxml.OxmlElement("w:szCs")
        style.element.rPr.find(qn("w:sz")).addnext(own)
    own.set(qn("w:val"), str(int(size * 2)))
    fonts = style.element.rPr.find(qn("w:rFonts"))
    # the theme's fonts would win over the name
    for key in [key for key in fonts.attrib if key.endswith("Theme")]:
        del fonts.attrib[key]
    fonts.set(qn("w:cs"), FONT)
    if (spacing := style.element.rPr.find(qn("w:spacing"))) is not None:
        style.element.rPr.remove(spacing)


def _space(style: Any, pt: Any, before: float, after: float, lines: float) -> None:
    style.paragraph_format.space_before, style.paragraph_format.space_after = pt(before), pt(after)
    style.paragraph_format.line_spacing = lines


def _header_and_footer(made: Any, docx: Any) -> None:
    section, align = made.sections[0], docx.enum.text.WD_ALIGN_PARAGRAPH
    head = section.header.paragraphs[0]
    _small(head.add_run(_SHORT), docx)
    for footer in (section.footer, section.first_page_footer):
        foot = footer.paragraphs[0]
        foot.alignment = align.CENTER
        _small(foot.add_run("Page "), docx)
        _field(foot, docx, "PAGE")
        _small(foot.add_run(" of "), docx)
        _field(foot, docx, "NUMPAGES")


def _small(run: Any, docx: Any) -> Any:
    run.font.size, run.font.color.rgb = docx.shared.Pt(8.5), docx.shared.RGBColor.from_string(_SOFT)
    return run


def _field(paragraph: Any, docx: Any, name: str) -> None:
    for kind in ("begin", "", "separate", "1", "end"):
        run = _small(paragraph.add_run(), docx)
        if kind == "1":
            run.text = "1"
        elif kind:
            mark = docx.oxml.OxmlElement("w:fldChar")
            mark.set(docx.oxml.ns.qn("w:fldCharType"), kind)
            run._r.append(mark)  # noqa: SLF001  python-docx has no public way to add a field
        else:
            text = docx.oxml.OxmlElement("w:instrText")
            text.set(docx.oxml.ns.qn("xml:space"), "preserve")
            text.text = f" {name} "
            run._r.append(text)  # noqa: SLF001  the same


def _properties(made: Any) -> None:
    facts = made.core_properties
    facts.title, facts.author, facts.subject = _TITLE, _AUTHOR, _SUBJECT
    facts.comments, facts.keywords, facts.last_modified_by = "", "", _AUTHOR
    facts.language, facts.revision = _LANGUAGE, 1
    facts.created = facts.modified = _THEN


def _drop_thumbnail(made: Any) -> None:
    relations = made.part.package.rels
    for key in [key for key, item in relations.items() if item.reltype.endswith("/thumbnail")]:
        del relations[key]
