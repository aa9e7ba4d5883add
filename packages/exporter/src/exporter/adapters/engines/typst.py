"""PDF by Typst: the template reads the data as JSON, never as source."""

import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from ..._common.extras import require
from ...errors import TemplateError
from ...ports import TemplateEngine
from .folders import check_folder

_NOWHERE = "/nonexistent/exporter"


class TypstEngine(TemplateEngine):
    """Templates begin with ``#let data = json(bytes(sys.inputs.data))``.

    Typst reads files below the template's folder only, and no packages.
    """

    formats = ("pdf",)

    def render(self, template: Path, data: Mapping[str, Any]) -> bytes:
        typst: Any = require("typst", dist="exporter", extra="typst")
        check_folder(template.parent)
        moment = int(datetime.fromisoformat(data["now"]).timestamp())
        try:
            made: bytes = typst.compile(
                os.fspath(template),
                root=os.fspath(template.parent),
                format="pdf",
                sys_inputs={"data": msgspec.json.encode(data).decode()},
                package_path=_NOWHERE,
                package_cache_path=_NOWHERE,
                timestamp=max(0, moment),
            )
        except typst.TypstError as exc:
            hints = getattr(exc, "hints", None) or ()
            raise TemplateError("; ".join([str(exc), *hints])) from exc
        return made
