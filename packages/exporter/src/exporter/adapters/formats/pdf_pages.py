"""Pages of a PDF: paragraphs flow down, headers and footers stand still, numbers come last."""

import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

from ..._common.extras import require
from ...errors import ExportTooLarge
from ...ports import ByteSink

INK, SOFT, RULE, ACCENT = "#1C2430", "#667085", "#E4E7EC", "#1F4E79"
_MM = 72 / 25.4
_SIZES = {"A4": (210 * _MM, 297 * _MM), "letter": (612.0, 792.0)}


class _Time:
    """The time that ReportLab writes into the file, in place of the machine's."""

    tzname, dhh, dmm = "UTC", 0, 0

    def __init__(self, now: datetime) -> None:
        moment = now.astimezone(UTC)
        self.t, self.lt = moment.timestamp(), moment.timetuple()
        self.YMDhms = tuple(self.lt)[:6]
        self.datetime, self.asctime = moment, moment.ctime()


class Pages:
    """A canvas with a cursor. The same calls give the same bytes."""

    def __init__(
        self,
        sink: ByteSink,
        *,
        size: str,
        now: datetime,
        font: str,
        title: str,
        header: Any,
        check_size: Callable[[float], None] = lambda _: None,
    ) -> None:
        """Begin with page 1.

        Args:
            sink: Gets the file at ``finish``.
            size: ``A4`` or ``letter``.
            now: The time in the file.
            font: The registered font of headers and footers.
            title: Of the document, for its properties.
            header: A paragraph that stands above each page that is ``headed``: all but the first.
            check_size: Is told after each page how many bytes the file has at least.
        """
        canvases = require("reportlab.pdfgen.canvas", dist="exporter", extra="pdf")
        self._sink = sink
        self.wide, self.high = _SIZES[size]
        self.left, self.top, self.bottom = 24 * _MM, self.high - 24 * _MM, 24 * _MM
        self.width = self.wide - 2 * self.left
        self.canvas: Any = canvases.Canvas(
            _Out(sink), pagesize=(self.wide, self.high), pageCompression=1, invariant=1
        )
        self.canvas._doc._timeStamp = _Time(now)  # noqa: SLF001  there is no public way
        self.canvas.setTitle(title)
        self._font, self._header = font, header
        # as objects: ReportLab reads a colour's text anew at each use
        colours = require("reportlab.lib.colors", dist="exporter", extra="pdf")
        self._soft, self._rule = colours.HexColor(SOFT), colours.HexColor(RULE)
        self.number, self.y = 1, self.top
        self.headed = False
        self._level = -1
        self._check_size, self._packed, self._size = check_size, _packed_class(), 0

    @property
    def room(self) -> float:
        """Points left on the page."""
        return self.y - self.bottom

    @property
    def fresh(self) -> bool:
        """Whether nothing stands on the page yet."""
        return self.y >= self.top

    def turn(self) -> None:
        """End the page and begin the next."""
        self._show()
        self._check_size(self._size)
        self.number += 1
        self.y, self.headed = self.top, True

    def _show(self) -> None:
        """End the page; ReportLab would keep what draws it as it is until the end."""
        self._furniture()
        self.canvas.showPage()
        page = self.canvas._doc.Pages.pages[-1]  # noqa: SLF001  there is no public way
        page.Contents, page.stream = self._packed(page.stream), None
        self._size += len(page.Contents.data)

    def _furniture(self) -> None:
        canvas = self.canvas
        # the total and, behind contents, the number itself are known only at the end
        canvas.doForm(f"foot{self.number}")
        if self.headed:
            canvas.saveState()
            canvas.setStrokeColor(self._rule)
            canvas.setLineWidth(0.5)
            above = self.top + 6 * _MM
            canvas.line(self.left, above, self.left + self.width, above)
            canvas.restoreState()
            self.draw(self._header, above + 3, self.left)

    def draw(self, flowable: Any, y: float, x: float) -> None:
        """Draw a flowable of one line with its foot at ``y``."""
        flowable.wrapOn(self.canvas, self.width, 100)
        flowable.drawOn(self.canvas, x, y)

    def place(
        self, flowable: Any, *, before: float = 0.0, indent: float = 0.0, keep: float = 0.0
    ) -> tuple[int, float]:
        """Put a paragraph below what is there, over as many pages as it takes.

        Args:
            flowable: A ReportLab ``Paragraph``.
            before: Points above it, unless it begins a page.
            indent: Points that it stands further right.
            keep: Points that must be left below it, else it begins a page.

        Returns:
            The page and the height at which it begins.
        """
        width = self.width - indent
        height = flowable.wrapOn(self.canvas, width, self.high)[1]
        if not self.fresh:
            self.y -= before
            least = min(height, flowable.style.leading * 2.1) + keep
            if (keep and self.room < height + keep) or self.room < least:
                self.turn()
        begun = self.number, self.y
        parts, tall = [flowable], height
        while parts:
            part = parts.pop(0)
            if part is not flowable:
                tall = part.wrapOn(self.canvas, width, self.high)[1]
            if tall > self.room:
                split = part.splitOn(self.canvas, width, self.room)
                if len(split) > 1:
                    part, *rest = split
                    parts = [*rest, *parts]
                    tall = part.wrapOn(self.canvas, width, self.high)[1]
                else:
                    # a refused split forgets the lines that were laid out
                    tall = part.wrapOn(self.canvas, width, self.high)[1]
                    if not self.fresh:
                        self.turn()
                        if part is flowable:
                            begun = self.number, self.y
                        parts.insert(0, part)
                        continue
            part.drawOn(self.canvas, self.left + indent, self.y - tall)
            self.y -= tall
            if parts:
                self.turn()
        return begun

    def row(
        self,
        cells: Sequence[Any],
        widths: Sequence[float],
        gap: float = 5.0,
        *,
        overleaf: Callable[[], object] | None = None,
    ) -> None:
        """Put paragraphs side by side as a row of a table, with a line below it.

        A row that is higher than the rest of the page goes on overleaf, or begins there if one of
        its cells cannot be parted here; ``overleaf`` then draws what stands above it.
        """
        inner, parts, begun = [width - 2 * gap for width in widths], list(cells), False
        while True:
            sizes = self._heights(parts, inner)
            rest: list[Any] = [None] * len(parts)
            if max(sizes) > (room := self.room - 2 * gap):
                shown, rest = self._parted(parts, sizes, inner, room)
                refused = any(rest[n] is part for n, part in enumerate(parts) if part is not None)
                if refused and not begun and not self.fresh:
                    self.turn()
                    begun = True
                    if overleaf is not None:
                        overleaf()
                    continue
                parts, sizes = shown, self._heights(shown, inner)
                if self.fresh and not any(sizes):
                    raise ExportTooLarge("a cell of a table cannot be set on a page")
            self._cells(parts, sizes, widths, gap)
            if all(part is None for part in rest):
                return
            parts, begun = rest, True
            self.turn()

    def _heights(self, parts: Sequence[Any], widths: Sequence[float]) -> list[float]:
        return [
            0.0 if part is None else part.wrapOn(self.canvas, width, self.high)[1]
            for part, width in zip(parts, widths, strict=True)
        ]

    def _parted(
        self, parts: Sequence[Any], sizes: Sequence[float], widths: Sequence[float], room: float
    ) -> tuple[list[Any], list[Any]]:
        """Return what of each cell fits into ``room``, and what is left of it; None is nothing."""
        shown, rest = list[Any](parts), list[Any]([None] * len(parts))
        for n, part in enumerate(parts):
            if part is not None and sizes[n] > room:
                split = part.splitOn(self.canvas, widths[n], room)
                shown[n], rest[n] = split if len(split) > 1 else (None, part)
        return shown, rest

    def _cells(
        self, parts: Sequence[Any], sizes: Sequence[float], widths: Sequence[float], gap: float
    ) -> None:
        x, tall = self.left, max(sizes) + 2 * gap
        for part, size, width in zip(parts, sizes, widths, strict=True):
            if part is not None:
                part.drawOn(self.canvas, x + gap, self.y - gap - size)
            x += width
        self.y -= tall
        self.line()

    def line(self) -> None:
        """Draw a thin line over the width of the text at the cursor."""
        self.canvas.saveState()
        self.canvas.setStrokeColor(self._rule)
        self.canvas.setLineWidth(0.5)
        self.canvas.line(self.left, self.y, self.left + self.width, self.y)
        self.canvas.restoreState()

    def bookmark(self, key: str, title: str, level: int, y: float) -> None:
        """Add an entry to the outline that leads to ``y`` on the current page."""
        # a level may be one deeper than the one before, not more
        self._level = min(level, self._level + 1)
        self.canvas.bookmarkHorizontal(key, 0, min(self.high, y + 6))
        self.canvas.addOutlineEntry(title or "…", key, self._level, closed=self._level > 0)

    def finish(self, *, moved: int = 0) -> int:
        """End the last page, number all and write the file; return the number of pages.

        Args:
            moved: How many of the last pages belong in front.
        """
        self._show()
        total, kept = self.number, self.number - moved
        order = [*range(kept + 1, total + 1), *range(1, kept + 1)]
        for place, page in enumerate(order, 1):
            self._foot(page, f"Page {place} of {total}")
        if moved:
            pages = self.canvas._doc.Pages.pages  # noqa: SLF001  ReportLab appends pages only
            pages[:] = [pages[page - 1] for page in order]
        if self._level >= 0:
            self.canvas.showOutline()
        self.canvas.save()
        return total

    def _foot(self, page: int, text: str) -> None:
        canvas = self.canvas
        canvas.beginForm(f"foot{page}", 0, 0, self.wide, self.bottom)
        canvas.setFont(self._font, 8)
        canvas.setFillColor(self._soft)
        canvas.drawCentredString(self.wide / 2, 11 * _MM, text)
        canvas.endForm()


@cache
def _packed_class() -> Any:
    """Return the object of a PDF that is compressed already; its base is imported lazily."""
    base: Any = require("reportlab.pdfbase.pdfdoc", dist="exporter", extra="pdf").PDFObject

    class Packed(base):  # type: ignore[misc]  # its module is imported lazily
        """A stream."""

        def __init__(self, code: str) -> None:
            self.data = zlib.compress(code.encode("latin-1"))

        def format(self, _document: Any) -> bytes:
            head = f"<< /Filter /FlateDecode /Length {len(self.data)} >>\nstream\n"
            return head.encode() + self.data + b"\nendstream\n"

    return Packed


class _Out:
    """A file object without a name, so that none gets into the document."""

    def __init__(self, sink: ByteSink) -> None:
        self.name = "export.pdf"
        self._sink = sink

    def write(self, data: bytes) -> int:
        view, size = memoryview(data), 1 << 20
        for start in range(0, len(view), size):
            self._sink.write(bytes(view[start : start + size]))
        return len(data)
