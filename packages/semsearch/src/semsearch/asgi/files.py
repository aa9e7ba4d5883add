"""The page's own files, and the client for pages of others: a few names, known beforehand."""

from typing import TYPE_CHECKING

from .._common.web_page import PageFiles

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

_CLIENT = ("client.js", "client.d.ts")


class Files(PageFiles):
    """Answers with files of the package; they hold nothing of any index."""

    def __init__(self) -> None:
        """Take the files beside this module."""
        super().__init__("semsearch.asgi", apart=_CLIENT)

    async def client(self, request: "Request") -> "Response":
        """Return the client, for pages of this origin and of others."""
        made = self.file(request, request.url.path.rpartition("/")[2])
        # it holds no secret, and a module of another origin needs it said
        made.headers["access-control-allow-origin"] = "*"
        made.headers["cross-origin-resource-policy"] = "cross-origin"
        return made
