"""Files for browsers that a package brings: a few names, known beforehand."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING

from .web import respond

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_KINDS = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".ts": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class WebFile:
    """One of them.

    Attributes:
        data: What is in it.
        tag: Its entity tag.
        kind: Its type, for the header ``Content-Type``.
    """

    data: bytes
    tag: str
    kind: str

    def answer(self, request: "Request", headers: Mapping[str, str]) -> "Response":
        """Return the file with ``headers`` and its tag; 304 if the browser has it."""
        tagged = {**headers, "etag": self.tag}
        if request.headers.get("if-none-match") == self.tag:
            return respond(b"", 304, tagged)
        return respond(self.data, 200, {**tagged, "content-type": self.kind})


class WebFiles:
    """The folder ``static`` of a package, read when a file is first asked for."""

    def __init__(self, package: str) -> None:
        """Take the files of ``package``, like ``x.asgi``."""
        self._package = package

    @cached_property
    def by_name(self) -> Mapping[str, WebFile]:
        """All files."""
        found: dict[str, WebFile] = {}
        for each in files(self._package).joinpath("static").iterdir():
            kind = _KINDS.get(each.name[each.name.rfind(".") :])
            if kind is not None:
                data = each.read_bytes()
                found[each.name] = WebFile(data, f'"{_hash(data)[:32]}"', kind)
        return found

    @cached_property
    def version(self) -> str:
        """A hash of all of them."""
        tags = "".join(self.by_name[name].tag for name in sorted(self.by_name))
        return _hash(tags.encode())[:16]


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
