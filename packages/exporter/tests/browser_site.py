"""A site in this process that a browser visits: the application below /x, beside a page."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from _common import browser
from _common.browser import Visited, beside_a_page, out_of_order
from exporter import Document, ExportService

TOKENS = {"anns": "ann", "bobs": "bob"}


class Steps:
    """A loader of 100 steps of 100 rows each: as many as go to the renderer at once."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(0)

    def let(self, steps: int) -> None:
        for _ in range(steps):
            self._free.release()

    async def load(self, _id: str) -> Document:
        async def rows() -> AsyncIterator[dict[str, Any]]:
            for n in range(10_000):
                if n % 100 == 0:
                    await self._free.acquire()
                yield {"n": n}

        return Document(kind="custom", records=rows(), total=10_000)


class Site(Visited):
    """The server.

    Attributes:
        streams: Whether streams of events get through.
        swallowed: How many answers to a start are lost on their way to the page.
        cut_after: Bytes of a download after which the connection breaks, once for each of them.
        cuts: Released for each break: a browser that has not read yet what came may never do.
        seen: Method, path and some headers of each request.
    """

    def __init__(self, service: ExportService) -> None:
        super().__init__()
        self.service, self.steps = service, Steps()
        self.streams, self.swallowed = True, 0
        self.cut_after: list[int] = []
        self.cuts = asyncio.Semaphore(0)
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.options["log_level"] = "critical"  # connections break on purpose
        service.source("steps")(self.steps.load)

    def asked(self, path: str, header: str) -> list[str | None]:
        """The values of a header in the requests for paths that end in ``path``."""
        return [heads.get(header) for _, at, heads in self.seen if at.endswith(path)]

    def application(self) -> Any:
        from exporter import ExportJob
        from exporter.asgi import create_app, token_of

        def who(connection: Any) -> str | None:
            return TOKENS.get(token_of(connection) or connection.cookies.get("token", ""))

        def may(user: str, _action: str, record: Any) -> bool:
            return not isinstance(record, ExportJob) or record.user_id == user

        self.app = create_app(self.service, authenticate=who, authorize=may)
        return beside_a_page(self._shaky, "/x", "anns")

    async def _shaky(self, scope: Any, receive: Any, send: Any) -> None:
        from starlette.responses import Response

        heads = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.seen.append((scope["method"], scope["path"], heads))
        if scope["path"].endswith("/events") and not self.streams:
            await out_of_order(scope, receive, send)
        elif scope["method"] == "POST" and scope["path"].endswith("/exports") and self.swallowed:
            self.swallowed -= 1
            await self.app(scope, receive, _swallow)
            await Response("the answer was lost", 502)(scope, receive, send)
        elif scope["path"].endswith("/file") and self.cut_after:
            await self.app(scope, receive, _cutting(send, self.cut_after.pop(0), self.cuts))
        else:
            await self.app(scope, receive, send)

    def end_connections(self) -> None:
        self.app.state.care.close()


async def _swallow(_message: Any) -> None:
    pass


class Cut(Exception):
    """The connection breaks here."""


def _cutting(send: Any, left: int, cuts: asyncio.Semaphore) -> Any:
    async def cut(message: Any) -> None:
        nonlocal left
        if message["type"] == "http.response.body":
            await send({**message, "body": message["body"][:left], "more_body": True})
            left -= len(message["body"])
            if left <= 0:
                await cuts.acquire()
                raise Cut
        else:
            await send(message)

    return cut


async def until_in(page: Any, true: str) -> None:
    """Wait until an expression is true in the page."""
    await browser.until_in(page, true, "JSON.stringify([globalThis.seen, globalThis.troubles])")
