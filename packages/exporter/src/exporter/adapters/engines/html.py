"""PDF by WeasyPrint: HTML by sandboxed Jinja2, with the files of the template's folder only."""

import io
import mimetypes
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

from ..._common.extras import require
from ...errors import TemplateError
from ...ports import TemplateEngine
from ...sandbox import environment
from .folders import inside

_MAX_FILE = 1 << 25


class HtmlEngine(TemplateEngine):
    """Values are escaped, with no way to switch that off; a URL that leads out is an error."""

    formats = ("pdf",)

    def render(self, template: Path, data: Mapping[str, Any]) -> bytes:
        library = _weasyprint()
        folder = environment(str(template.parent), autoescape=True, strict=True)
        text = folder.get_template(template.name).render(data)
        base = template.parent.resolve()
        fetcher = _fetcher(base)
        page = library.HTML(string=text, base_url=f"{base.as_uri()}/", url_fetcher=fetcher)
        try:
            made: bytes = page.write_pdf(pdf_identifier=b"exporter")
        except fetcher.error as exc:
            raise TemplateError(str(exc)) from exc
        if fetcher.refused:
            raise TemplateError(fetcher.refused[0])  # inside of pictures, errors leave only a gap
        return made


def _weasyprint() -> Any:
    try:
        found: ModuleType = require("weasyprint", dist="exporter", extra="weasyprint")
    except OSError as exc:
        raise TemplateError(
            "WeasyPrint finds no Pango; on Debian and Ubuntu run: apt install libpango-1.0-0 "
            f"libpangoft2-1.0-0 libharfbuzz-subset0 ({str(exc)[:120]})"
        ) from exc
    return found


def _fetcher(base: Path) -> Any:
    urls: Any = require("weasyprint.urls", dist="exporter", extra="weasyprint")

    class Refused(urls.FatalURLFetchingError):  # type: ignore[misc]  # the library has no types
        """Ends the rendering; other errors would only leave a gap."""

    class Fetcher(urls.URLFetcher):  # type: ignore[misc]  # the library has no types
        """Gives data URLs, and files below the folder."""

        error = Refused

        def __init__(self) -> None:
            super().__init__()
            self.refused: list[str] = []

        def fetch(self, url: str, headers: Any = None) -> Any:
            parts = urlsplit(url)
            if parts.scheme == "data":
                return super().fetch(url, headers)
            if parts.scheme != "file" or parts.netloc not in {"", "localhost"}:
                raise self._refusal(f"{url[:200]!r} is not a file in the folder of the template")
            try:
                path = Path(unquote(parts.path))
                data = inside(base, path, _MAX_FILE)
            except (TemplateError, OSError, ValueError) as exc:
                raise self._refusal(str(exc)) from exc
            kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            return urls.URLFetcherResponse(url, io.BytesIO(data), {"Content-Type": kind})

        def _refusal(self, why: str) -> Refused:
            self.refused.append(why)
            return Refused(why)

    return Fetcher()
