"""Excel workbooks by XlsxWriter, row by row: no formula, no link, constant memory."""

import contextlib
import math
import tempfile
from collections.abc import Sequence
from typing import Any

from ..._common.extras import require
from ...documents import Document
from ...ports import ByteSink, RenderContext
from ...presentation import title_of
from ...texts import clean, line, shown
from .tables import RowsRenderer

_ROWS = 1_048_576
_CELL = 32_767
_EXACT = 10**15  # what Excel keeps of a whole number


class XlsxRenderer(RowsRenderer):
    """Sheets of at most 1,048,576 rows; text is text, whatever it looks like.

    Rows wait in a temporary file; the workbook itself is put together at the end.
    """

    format = "xlsx"
    content_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

    def __init__(self, sink: ByteSink, context: RenderContext) -> None:
        super().__init__(sink, context)
        self._library = require("xlsxwriter", dist="exporter", extra="xlsx")
        self._folder: Any = None
        self._sheets = 0

    def begin(self, document: Document) -> None:
        super().begin(document)
        self._folder = tempfile.TemporaryDirectory(prefix="exporter-")
        options = {
            "constant_memory": True,
            "strings_to_formulas": False,
            "strings_to_urls": False,
            "strings_to_numbers": False,
            "tmpdir": self._folder.name,
        }
        self._book: Any = self._library.Workbook(_Out(self.sink), options)
        self._bold = self._book.add_format({"bold": True, "bottom": 1, "bg_color": "#F2F4F7"})
        self._wrapped = self._book.add_format({"text_wrap": True, "valign": "top"})
        self._book.set_properties(
            {
                "title": title_of(document)[:255],
                "author": line(document.author or "")[:255],
                "comments": line(document.description or "")[:255],
                "created": self.context.now.replace(tzinfo=None),
            }
        )
        self._turn()

    def _turn(self) -> None:
        self._sheets += 1
        self._sheet = self._book.add_worksheet(f"Sheet{self._sheets}")
        self._sheet.set_column(0, 2, 14)
        self._sheet.set_column(3, 8, 40)
        # on paper: as wide as the page, under its header
        self._sheet.set_landscape()
        self._sheet.fit_to_pages(1, 0)
        self._at = 0

    def row(self, cells: Sequence[Any], *, header: bool = False) -> None:
        if self._at == _ROWS:
            self.context.report(f"rows over {_ROWS} went to another sheet")
            columns = self._columns
            self._turn()
            if columns is not None and self.context.include_metadata:
                self.row(columns, header=True)
        if header and self._at == 0:
            self._sheet.freeze_panes(1, 0)
            self._sheet.repeat_rows(0)
        for number, cell in enumerate(cells):
            self._cell(number, cell, self._bold if header else None)
        self._at += 1

    def gap(self) -> None:
        self._at = min(self._at + 1, _ROWS)

    def _cell(self, column: int, value: Any, look: Any) -> None:
        sheet, row = self._sheet, self._at
        if value is None:
            return
        if isinstance(value, bool):
            sheet.write_boolean(row, column, value, look)
        elif (isinstance(value, int) and abs(value) < _EXACT) or (
            isinstance(value, float) and math.isfinite(value)
        ):
            sheet.write_number(row, column, value, look)
        elif text := clean(shown(value)):
            if len(text) > _CELL:
                self.context.report(f"cells of over {_CELL} characters were cut")
                text = text[:_CELL]
            sheet.write_string(row, column, text, look or (self._wrapped if "\n" in text else None))

    def end(self) -> None:
        self._book.close()

    def close(self) -> None:
        if self._folder is not None:
            for sheet in self._book.worksheets():
                # the rows so far, if nothing came of them; there is no public way
                with contextlib.suppress(AttributeError, OSError):
                    sheet.row_data_fh.close()
            self._folder.cleanup()


class _Out:
    """A file that cannot seek; once a write has failed, it takes no more."""

    def __init__(self, sink: ByteSink) -> None:
        self._sink, self._failed = sink, False

    def write(self, data: bytes) -> int:
        if not self._failed:
            self._failed = True
            self._sink.write(bytes(data))
            self._failed = False
        return len(data)

    def flush(self) -> None:
        """Do nothing: the sink passes on whole blocks."""
