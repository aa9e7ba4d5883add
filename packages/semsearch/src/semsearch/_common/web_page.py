"""A page that a package brings, with what it loads from beside it and what its answers say."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from .web import answer, refusal
from .web_files import WebFiles

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PAGE = "index.html"
SAFE = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}
"""What every answer says to the browser."""


class PageFiles(WebFiles):
    """Answers with files of a package; they hold nothing of any user."""

    def __init__(self, package: str, apart: Collection[str] = ()) -> None:
        """Take the files of ``package``; those of ``apart`` are not the page's."""
        super().__init__(package)
        self._apart = {PAGE, *apart}

    async def page(self, request: "Request", _user: object) -> "Response":
        """Return the page itself, to whoever may come in."""
        return self.file(request, PAGE)

    async def static(self, request: "Request") -> "Response":
        """Return a style sheet, script or picture, to anybody."""
        name = request.path_params["name"]
        if name in self._apart or name not in self.by_name:
            return refusal(404, "no such file")
        return self.file(request, name)

    def file(self, request: "Request", name: str) -> "Response":
        """Return the file of that name."""
        # asked for again each time: a page must not run the scripts of the release before
        headers = {**SAFE, "cache-control": "no-cache"}
        headers["cross-origin-resource-policy"] = "same-origin"
        return self.by_name[name].answer(request, headers)


def preflight(cors: Mapping[str, str], methods: str, headers: str) -> "Response":
    """Answer what a browser asks before a request of another origin; ``cors`` is empty of most."""
    if not cors:
        return refusal(403, "this origin is not allowed")
    more = {"access-control-allow-methods": methods, "access-control-allow-headers": headers}
    return answer({}, headers={**cors, **more})
