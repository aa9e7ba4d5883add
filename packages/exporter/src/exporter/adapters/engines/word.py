"""Word documents by docxtpl: a template that people made in Word, with sandboxed Jinja2."""

import io
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..._common.extras import require
from ...ports import TemplateEngine
from ...sandbox import environment
from .folders import inside
from .word_package import check_package

_MAX_TEMPLATE = 1 << 25


class WordEngine(TemplateEngine):
    """Values are escaped, with no way to switch that off.

    Template and result are looked through: no macros, no embedded programs, no fields or
    relationships that would load anything when the document is opened.
    """

    formats = ("docx",)

    def render(self, template: Path, data: Mapping[str, Any]) -> bytes:
        source = inside(template.parent, template, _MAX_TEMPLATE)
        check_package(source)
        library: Any = require("docxtpl", dist="exporter", extra="docxtpl")
        made = library.DocxTemplate(io.BytesIO(source))
        made.render(dict(data), environment(str(template.parent), autoescape=True, strict=True))
        out = io.BytesIO()
        made.save(out)
        check_package(out.getvalue())
        return _dated(out.getvalue(), datetime.fromisoformat(data["now"]))


def _dated(package: bytes, now: datetime) -> bytes:
    """Return a ZIP with the dates of the export: the same input gives the same bytes."""
    moment = max(now.astimezone(UTC).timetuple()[:6], (1980, 1, 1, 0, 0, 0))
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(package)) as old, zipfile.ZipFile(out, "w") as new:
        for entry in old.infolist():
            info = zipfile.ZipInfo(entry.filename, moment)
            info.compress_type, info.create_system = zipfile.ZIP_DEFLATED, 0
            new.writestr(info, old.read(entry))
    return out.getvalue()
