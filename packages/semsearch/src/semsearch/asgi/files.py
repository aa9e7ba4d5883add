"""The page's own files: a few names, known beforehand."""

import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from .._common.extras import require
from .._common.web import refusal
from .guarding import SAFE

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_PAGE = "index.html"
_CLIENT = frozenset({"client.js", "client.d.ts"})
_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".ts": "text/plain; charset=utf-8",
}


class Files:
    """Answers with files of the package; they hold nothing of any index."""

    async def page(self, request: "Request", _bound: object) -> "Response":
        """Return the page itself, to whoever may search."""
        return _file(request, _PAGE)

    async def client(self, request: "Request") -> "Response":
        """Return the client, for pages of this origin and of others."""
        made = _file(request, request.url.path.rpartition("/")[2])
        # it holds no secret, and a module of another origin needs it said
        made.headers["access-control-allow-origin"] = "*"
        made.headers["cross-origin-resource-policy"] = "cross-origin"
        return made

    async def static(self, request: "Request") -> "Response":
        """Return a style sheet, script or picture, to anybody."""
        name = request.path_params["name"]
        if name == _PAGE or name in _CLIENT or name not in _contents():
            return refusal(404, "no such file")
        return _file(request, name)


@cache
def _contents() -> dict[str, tuple[bytes, str]]:
    """Return the files by name, with their entity tags."""
    found: dict[str, tuple[bytes, str]] = {}
    for each in files("semsearch.asgi").joinpath("static").iterdir():
        if each.name[each.name.rfind(".") :] in _KINDS:
            data = each.read_bytes()
            found[each.name] = data, f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    return found


def _file(request: "Request", name: str) -> "Response":
    responses = require("starlette.responses", dist="semsearch", extra="asgi")
    data, tag = _contents()[name]
    # asked for again each time: a page must not run the scripts of the release before
    headers = {**SAFE, "cache-control": "no-cache", "etag": tag}
    headers["cross-origin-resource-policy"] = "same-origin"
    if request.headers.get("if-none-match") == tag:
        unchanged: Response = responses.Response(status_code=304, headers=headers)
        return unchanged
    headers["content-type"] = _KINDS[name[name.rfind(".") :]]
    made: Response = responses.Response(data, headers=headers)
    return made
