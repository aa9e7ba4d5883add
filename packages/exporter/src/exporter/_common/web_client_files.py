"""The browser's side of a package, as files: no build step, a few names, known beforehand."""

from typing import TYPE_CHECKING

from .web import refusal
from .web_files import WebFiles

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_YEAR = "public, max-age=31536000, immutable"
# for pages to try things out with; scripts and types do not care
_POLICY = "default-src 'self'; connect-src 'self' ws: wss:; frame-ancestors 'none'; base-uri 'none'"


class ClientFiles(WebFiles):
    """What pages of other applications import: ``client/{version}/{name}``.

    Browsers keep a file for a year under the version that it has, and ask anew for any other.
    """

    def __init__(self, package: str, unknown: str = "no such file") -> None:
        """Take the files of ``package``; ``unknown`` is said where there is none."""
        super().__init__(package)
        self._unknown = unknown

    def path(self, name: str) -> str:
        """Return the path of a file, below that of the application.

        Raises:
            ValueError: There is no such file.
        """
        if name not in self.by_name:
            raise ValueError(f"no such file: {name!r}; there are {', '.join(sorted(self.by_name))}")
        return f"client/{self.version}/{name}"

    async def serve(self, request: "Request") -> "Response":
        """Return a file, to anybody: they hold nothing of any user."""
        found = self.by_name.get(request.path_params["name"])
        if found is None:
            return refusal(404, self._unknown)
        # another version was asked for by a page of another release: it gets ours, but never keeps
        # it under that name
        lasting = request.path_params["version"] == self.version
        headers = {
            "cache-control": _YEAR if lasting else "no-cache",
            "x-content-type-options": "nosniff",
            "access-control-allow-origin": "*",
            "cross-origin-resource-policy": "cross-origin",
        }
        made = found.answer(request, headers)
        if "html" in found.kind and made.status_code != 304:
            made.headers["content-security-policy"] = _POLICY
        return made
