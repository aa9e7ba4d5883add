"""A site in this process that a browser visits: the application below /notify, beside a page."""

import asyncio
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from notify import NotificationService

BLANK = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>page</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>:root { color-scheme: light dark } body { margin: 12px }</style>
</head><body></body></html>"""
TOKENS = {"annas": "anna", "bens": "ben"}


def chromium() -> str:
    names = ("chromium", "google-chrome")
    found = os.environ.get("CHROMIUM_PATH") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        reason = "no Chromium: set CHROMIUM_PATH or install chromium"
        if os.environ.get("REQUIRE_SERVICES"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


class Site:
    """A server that can be stopped and started again on its port."""

    def __init__(self, service: NotificationService, folder: Path | None = None) -> None:
        self.service, self.folder = service, folder
        self.sockets, self.streams = True, True
        self.authorize: Any = None
        self.app: Any = None
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        self._server: Any = None
        self._task: asyncio.Task[None] | None = None

    def _application(self) -> Any:
        from starlette.applications import Starlette
        from starlette.responses import HTMLResponse, Response
        from starlette.routing import Mount, Route
        from starlette.staticfiles import StaticFiles

        from notify.asgi import create_app, token_of

        def who(connection: Any) -> str | None:
            token = token_of(connection) or connection.cookies.get("token", "")
            return TOKENS.get(token)

        async def blank(request: Any) -> Any:
            made = HTMLResponse(BLANK)
            made.set_cookie("token", request.query_params.get("as", "annas"))
            return made

        async def nothing(request: Any) -> Any:
            return Response(status_code=204)

        self.app = create_app(self.service, authenticate=who, authorize=self.authorize)
        inner = self.app

        async def shaky(scope: Any, receive: Any, send: Any) -> None:
            if scope["path"].endswith("/events") and not self.streams:
                await Response("a proxy is in the way", 502)(scope, receive, send)
            else:
                await inner(scope, receive, send)

        files = [Mount("/files", StaticFiles(directory=self.folder))] if self.folder else []
        routes = [Route("/", blank), Route("/favicon.ico", nothing), *files]
        return Starlette(routes=[*routes, Mount("/notify", shaky)])

    async def start(self) -> None:
        import uvicorn

        config = uvicorn.Config(
            self._application(), port=self.port, log_level="error", lifespan="off",
            ws="auto" if self.sockets else "none", timeout_graceful_shutdown=1,
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

    @property
    def connections(self) -> int:
        return int(self.app.state.care.connections)


async def until(check: Any, what: str = "") -> Any:
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
        pytest.fail(f"never true in the page: {true}")


@asynccontextmanager
async def visiting() -> AsyncIterator[Any]:
    """A browser."""
    library = pytest.importorskip("playwright.async_api")
    async with library.async_playwright() as driver:
        made = await driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield made
        await made.close()
