"""The browser's side, as files: no build step, a few names, known beforehand."""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from .._common.extras import require
from .._common.web import refusal

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_KINDS = {
    ".js": "text/javascript; charset=utf-8",
    ".ts": "text/plain; charset=utf-8",
}
_YEAR = "public, max-age=31536000, immutable"


def client_path(name: str) -> str:
    """Return the path, below the application's own, of a file for browsers.

    It holds the hash of all of them: browsers keep it for a year, and a release changes it. Files
    import each other relatively. ``client/latest/{name}`` is for trying out: it is asked for anew
    each time.

    Args:
        name: ``client.js`` or ``client.d.ts``.

    Raises:
        ValueError: There is no such file.
    """
    if name not in _contents():
        raise ValueError(f"no such file: {name!r}; there are {', '.join(sorted(_contents()))}")
    return f"client/{_version()}/{name}"


class Files:
    """Answers with the files, to anybody: they hold nothing of any export."""

    async def serve(self, request: "Request") -> "Response":
        """Return a file."""
        found = _contents().get(request.path_params["name"])
        if found is None:
            return refusal(404, "no such file")
        responses = require("starlette.responses", dist="exporter", extra="asgi")
        data, tag, kind = found
        # another version was asked for by a page of another release: it gets ours, but never keeps
        # it under that name
        lasting = request.path_params["version"] == _version()
        headers = {
            "cache-control": _YEAR if lasting else "no-cache",
            "etag": tag,
            "x-content-type-options": "nosniff",
            "access-control-allow-origin": "*",
            "cross-origin-resource-policy": "cross-origin",
        }
        made: Response
        if request.headers.get("if-none-match") == tag:
            made = responses.Response(status_code=304, headers=headers)
        else:
            made = responses.Response(data, headers=headers | {"content-type": kind})
        return made


@cache
def _contents() -> Mapping[str, tuple[bytes, str, str]]:
    """Return the files by name, with their entity tags and types."""
    found: dict[str, tuple[bytes, str, str]] = {}
    for each in files("exporter.asgi").joinpath("static").iterdir():
        kind = _KINDS.get(each.name[each.name.rfind(".") :])
        if kind is not None:
            data = each.read_bytes()
            found[each.name] = data, f'"{hashlib.sha256(data).hexdigest()[:32]}"', kind
    return found


@cache
def _version() -> str:
    tags = "".join(tag for _, (_, tag, _) in sorted(_contents().items()))
    return hashlib.sha256(tags.encode()).hexdigest()[:16]
