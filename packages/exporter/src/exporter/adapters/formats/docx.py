"""Word documents: a skeleton by python-docx, the body streamed into the ZIP as XML."""

import io
import zipfile
from types import SimpleNamespace
from typing import IO, Any

from ...documents import Citation, Document, Record, Row, Section, Segment, Table
from ...errors import ExportTooLarge
from ...ports import ByteSink, RenderContext, Renderer
from ...presentation import Chapters, Speakers, facts_of, paragraphs, span, title_of
from ...settings import DocxSettings
from ...texts import clean, is_rtl, line, markup, shown, stamp
from .docx_skeleton import skeleton

# How much of the body is held back, so that the contents can be written before it.
_HELD = 1 << 22
_SHORT = 15_000  # about two pages need no contents
_MAX_COLUMNS = 63  # Word refuses more
_TABLE = (
    '<w:tbl><w:tblPr><w:tblW w:w="5000" w:type="pct"/><w:tblBorders>'
    '<w:top w:val="single" w:sz="4" w:color="98A2B3"/>'
    '<w:bottom w:val="single" w:sz="4" w:color="98A2B3"/>'
    '<w:insideH w:val="single" w:sz="4" w:color="E4E7EC"/></w:tblBorders>'
    '<w:tblCellMar><w:left w:w="70" w:type="dxa"/><w:right w:w="70" w:type="dxa"/></w:tblCellMar>'
    "</w:tblPr><w:tblGrid>"
)


class DocxRenderer(Renderer):
    """Office Open XML (ECMA-376): real styles and headings, contents, page i of n."""

    format = "docx"
    content_type = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

    def __init__(self, sink: ByteSink, context: RenderContext) -> None:
        super().__init__(sink, context)
        self._speakers, self._chapters = Speakers(), Chapters()
        self._headings: list[tuple[int, str]] = []
        self._held: list[str] | None = []
        self._size = self._citations = 0
        self._columns: tuple[str, ...] | None = None
        # what zipfile takes for an unseekable file: it asks for no more than these two
        self._out: Any = SimpleNamespace(write=sink.write, flush=sink.flush)
        self._zip: zipfile.ZipFile | None = None
        self._body: IO[bytes] = io.BytesIO()

    def begin(self, document: Document) -> None:
        settings, now = self.context.settings, self.context.now
        page = settings.page_size if isinstance(settings, DocxSettings) else "A4"
        parts, head, self._tail = skeleton(
            title=title_of(document),
            author=line(document.author or ""),
            subject=line(document.description or ""),
            language=line(document.language or ""),
            now=now,
            page_size=page,
        )
        self._zip = zipfile.ZipFile(self._out, "w", zipfile.ZIP_DEFLATED)
        for name, data in parts:
            self._zip.writestr(self._entry(name), data)
        self._body = self._zip.open(self._entry("word/document.xml"), "w")
        self._body.write(head + self._title(document).encode())

    def _entry(self, name: str) -> zipfile.ZipInfo:
        moment = self.context.now.timetuple()[:6]
        info = zipfile.ZipInfo(name, max(moment, (1980, 1, 1, 0, 0, 0)))
        info.compress_type, info.create_system = zipfile.ZIP_DEFLATED, 0
        return info

    def _title(self, document: Document) -> str:
        if not self.context.include_metadata:
            return ""
        found = _paragraph("Title", _run(title_of(document)), title_of(document))
        if document.description:
            found += _paragraph("Description", _run(document.description), document.description)
        for label, value in facts_of(document, self.context):
            found += _paragraph(
                "Fact", f"{_run(label)}<w:r><w:tab/></w:r>{_run(value, _DARK)}", label
            )
        return found + _RULE

    def write(self, record: Record) -> None:
        if self._columns is not None and not isinstance(record, Row):
            self._put("</w:tbl><w:p/>" if self._in_grid else "")
            self._columns = None
        for chapter in self._chapters.before(record):
            self._section(chapter)
        if isinstance(record, Segment):
            self._segment(record)
        elif isinstance(record, Section):
            self._section(record)
        elif isinstance(record, Citation):
            self._citation(record)
        elif isinstance(record, Table):
            self._table(record)
        else:
            self._row(record)

    def _segment(self, record: Segment) -> None:
        if name := self._speakers.change(record):
            colour = f'<w:color w:val="{self._speakers.colour(name)}"/>'
            self._put(_paragraph("Speaker", _run(name, colour), name))
        time = _run(stamp(record.start), '<w:rStyle w:val="Time"/>') + "<w:r><w:tab/></w:r>"
        self._put(_paragraph("Segment", time + _run(record.text), record.text))

    def _section(self, record: Section) -> None:
        self._speakers.forget()
        if title := line(record.title):
            self._heading(record.level, title)
        for part in paragraphs(record.text):
            self._put(_paragraph("Normal", _run(part), part))
        for point in record.bullets:
            self._put(_paragraph("ListBullet", _run(line(point)), point))

    def _heading(self, level: int, title: str) -> None:
        self._headings.append((level, title))
        self._put(_heading(level, len(self._headings), title))

    def _citation(self, record: Citation) -> None:
        self._citations += 1
        number = self._citations if record.number is None else record.number
        if self._citations == 1:
            self._heading(1, "Sources")
        score = "" if record.score is None else f"  ({record.score:.2f})"
        head = _run(f"[{number}] {line(record.title)}", "<w:b/>") + _run(score, _SOFT)
        self._put(_paragraph("Normal", head, record.title))
        if record.url:
            self._put(_paragraph("Source", _run(line(record.url)), ""))
        if record.text.strip():
            self._put(_paragraph("Source", _run(record.text.strip(), "<w:i/>"), record.text))

    def _table(self, record: Table) -> None:
        if title := line(record.title):
            self._heading(1, title)
        self._columns = tuple(line(name) for name in record.columns)
        self._in_grid = 0 < len(self._columns) <= _MAX_COLUMNS
        if not self._in_grid:
            self.context.report(f"tables of over {_MAX_COLUMNS} columns became lists")
            return
        grid = "<w:gridCol/>" * len(self._columns)
        heads = "".join(_cell(name, "<w:b/>") for name in self._columns)
        self._put(f"{_TABLE}{grid}</w:tblGrid><w:tr><w:trPr><w:tblHeader/></w:trPr>{heads}</w:tr>")

    def _row(self, record: Row) -> None:
        cells = [shown(cell) for cell in record.cells]
        if self._columns is not None and self._in_grid:
            self._put(f"<w:tr><w:trPr><w:cantSplit/></w:trPr>{''.join(map(_cell, cells))}</w:tr>")
            return
        for name, cell in zip(self._columns or (), cells, strict=False):
            self._put(
                _paragraph("Fact", f"{_run(name)}<w:r><w:tab/></w:r>{_run(cell, _DARK)}", cell)
            )
        self._put("<w:p/>")

    def _put(self, xml: str) -> None:
        self._size += len(xml)
        if self._held is not None:
            self._held.append(xml)
            if self._size > _HELD:
                self._release()
        else:
            self._written(xml)

    def _written(self, xml: str) -> None:
        try:
            self._body.write(xml.encode())
        except (
            RuntimeError
        ) as exc:  # what zipfile raises at 2 GiB without ZIP64, which Word refuses
            raise ExportTooLarge("the body of a Word document is limited to 2 GiB") from exc

    def _release(self) -> None:
        """Write the contents, as far as they are known, and stop holding the body back."""
        held, self._held = self._held or [], None
        if len(self._headings) > 2 and self._size > _SHORT and self.context.include_metadata:
            opening = ""
            if self._chapters.used and not self._chapters.own:
                # now it is long enough for chapters: the beginning is the first of them
                self._headings.insert(0, (1, span(0.0)))
                opening = _heading(1, 0, span(0.0))
            first = 0 if opening else 1
            self._written(_contents(self._headings, first) + opening)
        for xml in held:
            self._written(xml)

    def end(self) -> None:
        if self._columns is not None:
            self._put("</w:tbl><w:p/>" if self._in_grid else "")
        if self._held is not None:
            self._release()
        assert self._zip is not None
        self._body.write(self._tail)
        self._body.close()
        self._zip.close()
        self._zip = None

    def close(self) -> None:
        if self._zip is not None:
            # zipfile finishes what it has begun, at the latest when it is collected: into nothing
            self._out.write = len
            self._body.close()
            self._zip.close()
            self._zip = None


_DARK = '<w:color w:val="1C2430"/>'
_SOFT = '<w:color w:val="667085"/>'
_RULE = (
    '<w:p><w:pPr><w:pBdr><w:bottom w:val="single" w:sz="4" w:space="1" w:color="D0D5DD"/></w:pBdr>'
    '<w:spacing w:before="60" w:after="160" w:line="120" w:lineRule="exact"/></w:pPr></w:p>'
)


def _paragraph(style: str, runs: str, text: str) -> str:
    bidi = "<w:bidi/>" if is_rtl(text) else ""
    return f'<w:p><w:pPr><w:pStyle w:val="{style}"/>{bidi}</w:pPr>{runs}</w:p>'


def _run(text: str, properties: str = "") -> str:
    if not text:
        return ""
    if is_rtl(text):
        properties += "<w:rtl/>"
    head = f"<w:rPr>{properties}</w:rPr>" if properties else ""
    safe = markup(text)
    if "\n" in safe or "\t" in safe:
        safe = safe.replace("\n", '</w:t><w:br/><w:t xml:space="preserve">')
        safe = safe.replace("\t", '</w:t><w:tab/><w:t xml:space="preserve">')
    return f'<w:r>{head}<w:t xml:space="preserve">{safe}</w:t></w:r>'


def _cell(text: str, properties: str = "") -> str:
    return f"<w:tc>{_paragraph('Cell', _run(text, properties), clean(text))}</w:tc>"


def _heading(level: int, number: int, title: str) -> str:
    mark = f'<w:bookmarkStart w:id="{number}" w:name="_Toc{number}"/>'
    body = f'{mark}{_run(title)}<w:bookmarkEnd w:id="{number}"/>'
    return _paragraph(f"Heading{level}", body, title)


def _contents(headings: list[tuple[int, str]], first: int) -> str:
    """Return the contents: links, and page numbers as fields that readers compute.

    Each line is a field of its own: LibreOffice computes none inside a TOC field.
    """
    found = _paragraph("ContentsTitle", _run("Contents"), "")
    for number, (level, title) in enumerate(headings, first):
        if level > 3:
            continue
        page = _PAGE_OF.format(number=number)
        link = (
            f'<w:hyperlink w:anchor="_Toc{number}" w:history="1">{_run(title[:300])}'
            f"<w:r><w:tab/></w:r>{page}</w:hyperlink>"
        )
        found += f"<w:p><w:pPr>{_ENTRY.format(left=(level - 1) * 280)}</w:pPr>{link}</w:p>"
    return found + _RULE


_ENTRY = (
    '<w:pStyle w:val="Contents"/>'
    '<w:tabs><w:tab w:val="right" w:leader="dot" w:pos="9180"/></w:tabs>'
    '<w:ind w:left="{left}"/>'
)
# "dirty" asks Word to compute it on opening
_PAGE_OF = (
    '<w:r><w:fldChar w:fldCharType="begin" w:dirty="true"/></w:r>'
    '<w:r><w:instrText xml:space="preserve"> PAGEREF _Toc{number} \\h </w:instrText></w:r>'
    '<w:r><w:fldChar w:fldCharType="separate"/></w:r><w:r><w:t>1</w:t></w:r>'
    '<w:r><w:fldChar w:fldCharType="end"/></w:r>'
)
