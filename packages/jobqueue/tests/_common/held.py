"""Answers that are on their way to a page until a test lets them come."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any


class Held:
    """The answer to one request: the server has given it, and the page does not know."""

    def __init__(self, page: Any) -> None:
        self._page, self._lost = page, False
        self._asked, self._free = asyncio.Event(), asyncio.Event()
        self._request: Any = None

    async def _hold(self, route: Any) -> None:
        answer = await route.fetch()  # as it is now
        self._request = route.request
        self._asked.set()
        await self._free.wait()
        if self._request.failure is None:  # the page has not given it up
            await (route.abort() if self._lost else route.fulfill(response=answer))

    async def asked(self) -> None:
        """Wait until there is an answer to hold."""
        async with asyncio.timeout(60):
            await self._asked.wait()

    async def come(self, *, lost: bool = False) -> None:
        """Let it through, or the page hear that it is lost; the page has dealt with it then."""
        self._lost = lost
        event = "requestfailed" if lost else "requestfinished"
        async with self._page.expect_event(event, self._is_it):
            self._free.set()
        await self._page.evaluate("new Promise((go) => setTimeout(go, 50))")

    def _is_it(self, request: Any) -> bool:
        return bool((request.method, request.url) == (self._request.method, self._request.url))


@contextlib.asynccontextmanager
async def holding(page: Any, pattern: str) -> AsyncIterator[Held]:
    """Hold the answer to the next request whose address is like ``pattern``; others pass."""
    held = Held(page)
    await page.route(pattern, held._hold, times=1)
    try:
        yield held
    finally:
        held._free.set()
