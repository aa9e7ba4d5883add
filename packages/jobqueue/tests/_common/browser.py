"""A browser, and servers in this process that it visits."""

import asyncio
import contextlib
import os
import shutil
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from .processes import free_port

BLANK = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>page</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>:root { color-scheme: light dark } body { margin: 12px }</style>
</head><body></body></html>"""


def chromium() -> str:
    """The path of the program; without it the test is skipped, or fails where it must be there."""
    names = ("chromium", "google-chrome")
    found = os.environ.get("CHROMIUM_PATH") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        reason = "no Chromium: set CHROMIUM_PATH or install chromium"
        if os.environ.get("REQUIRE_SERVICES"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@contextlib.asynccontextmanager
async def visiting() -> AsyncIterator[Any]:
    """A browser."""
    library = pytest.importorskip("playwright.async_api")
    async with library.async_playwright() as driver:
        made = await driver.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield made
        await made.close()


@contextlib.asynccontextmanager
async def sound_page(
    browser: Any, *, patience: float = 60.0, keeps_policy: bool = True, **options: Any
) -> AsyncIterator[Any]:
    """A page in a context of its own, of which no script fails and no policy is broken.

    What it says at the end, and further pages of its context, is shown where the test fails.

    Args:
        browser: Of :func:`visiting`.
        patience: Seconds that a step may take: a bound, not a pause.
        keeps_policy: Whether a broken policy fails the test.
        options: Of the context.
    """
    context = await browser.new_context(**options)
    context.set_default_timeout(1000 * patience)
    page = await context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    if keeps_policy:
        about = "Security Policy"
        page.on("console", lambda line: wrong.append(line.text) if about in line.text else None)
    try:
        yield page
    finally:
        for each in context.pages:
            print(each.url, await _seen(each), sep="\n")
        await context.close()
    assert not wrong


async def _seen(page: Any) -> str:
    library = pytest.importorskip("playwright.async_api")
    try:
        return str(await page.inner_text("body", timeout=10_000))
    except library.Error as exc:
        return repr(exc)


class Visited(ABC):
    """A server that can be stopped and started again on its port.

    Attributes:
        app: What it served last, without what stands before it.
        options: Further settings of uvicorn for the next start.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.app: Any = None
        self.options: dict[str, Any] = {}
        self._server: Any = None
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    def application(self) -> Any:
        """The application for the next start; sets ``app``."""

    def end_connections(self) -> None:
        """End what would hold up a server that stops."""

    async def start(self) -> None:
        import uvicorn

        common = {"log_level": "error", "lifespan": "off", "timeout_graceful_shutdown": 1}
        config = uvicorn.Config(self.application(), port=self.port, **(common | self.options))
        self._server = uvicorn.Server(config)
        self._server.capture_signals = contextlib.nullcontext  # they stay with the tests' runner
        self._task = asyncio.create_task(self._server.serve())
        async with asyncio.timeout(60):
            while not self._server.started:
                await asyncio.sleep(0.01)

    async def stop(self) -> None:
        self.end_connections()
        self._server.should_exit = True
        if self._task is not None:
            await self._task


def beside_a_page(app: Any, prefix: str, cookie: str, folder: Path | None = None) -> Any:
    """``app`` below ``prefix``, beside a blank page that sets the cookie ``token``.

    The page sets it to ``?as=…``, by default ``cookie``. ``folder`` is served below ``/files``.
    """
    from starlette.applications import Starlette
    from starlette.responses import HTMLResponse, Response
    from starlette.routing import Mount, Route
    from starlette.staticfiles import StaticFiles

    async def blank(request: Any) -> Any:
        made = HTMLResponse(BLANK)
        made.set_cookie("token", request.query_params.get("as", cookie))
        return made

    async def nothing(_request: Any) -> Any:
        return Response(status_code=204)

    files = [Mount("/files", StaticFiles(directory=folder))] if folder else []
    routes = [Route("/", blank), Route("/favicon.ico", nothing), *files]
    return Starlette(routes=[*routes, Mount(prefix, app)])


async def out_of_order(scope: Any, receive: Any, send: Any) -> None:
    """Answer as a proxy does that is in the way."""
    from starlette.responses import Response

    await Response("a proxy is in the way", 502)(scope, receive, send)


async def until(check: Any) -> Any:
    """Wait until ``check()``, which may be a coroutine function, gives something true."""
    async with asyncio.timeout(60):
        while True:
            found = check()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.02)


async def until_in(page: Any, true: str, told: str = "") -> None:
    """Wait until an expression is true in the page; ``told`` is what the failure shows of it.

    Playwright's own way needs what the policies of some pages forbid.
    """

    async def look() -> Any:
        return await page.evaluate(true)

    try:
        await until(look)
    except TimeoutError:
        seen = f"; it has {await page.evaluate(told)}" if told else ""
        pytest.fail(f"never true in the page: {true}{seen}")
