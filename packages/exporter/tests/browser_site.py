"""A site in this process that a browser visits: the application below /x, beside a page."""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from exporter import Document, ExportService

BLANK = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>page</title>
</head><body></body></html>"""
TOKENS = {"anns": "ann", "bobs": "bob"}


def chromium() -> str:
    names = ("chromium", "google-chrome")
    found = os.environ.get("CHROMIUM_PATH") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        reason = "no Chromium: set CHROMIUM_PATH or install chromium"
        if os.environ.get("REQUIRE_SERVICES"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


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


class Site:
    """A server that can be stopped and started again on its port.

    Attributes:
        streams: Whether streams of events get through.
        swallowed: How many answers to a start are lost on their way to the page.
        cut_after: Bytes of a download after which the connection breaks, once for each of them.
        cuts: Released for each break: a browser that has not read yet what came may never do.
        seen: Method, path and some headers of each request.
    """

    def __init__(self, service: ExportService) -> None:
        self.service, self.steps = service, Steps()
        self.streams, self.swallowed = True, 0
        self.cut_after: list[int] = []
        self.cuts = asyncio.Semaphore(0)
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.app: Any = None
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self._server: Any = None
        self._task: asyncio.Task[None] | None = None
        service.source("steps")(self.steps.load)

    def asked(self, path: str, header: str) -> list[str | None]:
        """The values of a header in the requests for paths that end in ``path``."""
        return [heads.get(header) for _, at, heads in self.seen if at.endswith(path)]

    def _application(self) -> Any:
        from starlette.applications import Starlette
        from starlette.responses import HTMLResponse, Response
        from starlette.routing import Mount, Route

        from exporter import ExportJob
        from exporter.asgi import create_app, token_of

        def who(connection: Any) -> str | None:
            return TOKENS.get(token_of(connection) or connection.cookies.get("token", ""))

        def may(user: str, _action: str, record: Any) -> bool:
            return not isinstance(record, ExportJob) or record.user_id == user

        async def blank(request: Any) -> Any:
            made = HTMLResponse(BLANK)
            made.set_cookie("token", request.query_params.get("as", "anns"))
            return made

        async def nothing(_request: Any) -> Any:
            return Response(status_code=204)

        self.app = create_app(self.service, authenticate=who, authorize=may)
        routes = [Route("/", blank), Route("/favicon.ico", nothing), Mount("/x", self._shaky)]
        return Starlette(routes=routes)

    async def _shaky(self, scope: Any, receive: Any, send: Any) -> None:
        from starlette.responses import Response

        heads = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.seen.append((scope["method"], scope["path"], heads))
        if scope["path"].endswith("/events") and not self.streams:
            await Response("a proxy is in the way", 502)(scope, receive, send)
        elif scope["method"] == "POST" and scope["path"].endswith("/exports") and self.swallowed:
            self.swallowed -= 1
            await self.app(scope, receive, _swallow)
            await Response("the answer was lost", 502)(scope, receive, send)
        elif scope["path"].endswith("/file") and self.cut_after:
            await self.app(scope, receive, _cutting(send, self.cut_after.pop(0), self.cuts))
        else:
            await self.app(scope, receive, send)

    async def start(self) -> None:
        import uvicorn

        config = uvicorn.Config(
            self._application(), port=self.port, log_level="critical", lifespan="off",
            timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._server.install_signal_handlers = lambda: None
        self._task = asyncio.create_task(self._server.serve())
        async with asyncio.timeout(10):
            while not self._server.started:
                await asyncio.sleep(0.01)

    async def stop(self) -> None:
        self.app.state.care.close()
        self._server.should_exit = True
        if self._task is not None:
            await self._task


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


async def until(check: Any) -> Any:
    """Wait until ``check()``, which may be a coroutine function, gives something true."""
    async with asyncio.timeout(20):
        while True:
            found = check()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.02)


async def until_in(page: Any, true: str) -> None:
    """Wait until an expression is true in the page."""

    async def look() -> Any:
        return await page.evaluate(true)

    try:
        await until(look)
    except TimeoutError:
        seen = await page.evaluate("JSON.stringify([globalThis.seen, globalThis.troubles])")
        pytest.fail(f"never true in the page: {true}; it saw {seen}")


@asynccontextmanager
async def visiting() -> AsyncIterator[Any]:
    """A browser."""
    library = pytest.importorskip("playwright.async_api")
    async with library.async_playwright() as driver:
        made = await driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield made
        await made.close()
