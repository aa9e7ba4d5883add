"""Where the socket is: the server tells the page, and a page behind a proxy may know better."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio

pytest.importorskip("playwright.async_api")
pytest.importorskip("uvicorn")
pytest.importorskip("websockets")
pytest.importorskip("starlette")

from _common.browser import until_in, visiting
from browser_site import Site
from notify import Notification, NotificationService

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]  # one browser

WATCH = """async (options) => {
  const { NotifyClient } = await import("/notify/client/latest/client.js");
  window.client = new NotifyClient("/notify/", { retryMin: 50, ...options });
  window.seen = [];
  client.watch({ onEvent: ({ notification }) => seen.push(notification.title) });
}"""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Any]:
    async with visiting() as made:
        yield made


@pytest.mark.parametrize(
    ("settings", "options", "transport", "path"),
    [
        ({"path": "/live/inbox"}, {}, "websocket", "/notify/live/inbox"),
        ({"path": "/hidden"}, {"socketPath": "/notify/hidden"}, "websocket", "/notify/hidden"),
        ({"enabled": False}, {}, "sse", None),
    ],
)
async def test_a_page_finds_the_socket(
    browser: Any, settings: Any, options: Any, transport: str, path: str | None
) -> None:
    service = NotificationService()
    service.configure({"storage": {"type": "memory"}, "websocket": settings})
    page = await browser.new_page()
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    async with service:
        site = Site(service)
        await site.start()
        try:
            await page.goto(site.url)
            await page.evaluate(WATCH, options)
            await until_in(page, "client.connection === 'live'")
            await service.send(Notification(title="one", user_id="anna"))
            await until_in(page, "seen.length === 1")
            assert await page.evaluate("client.transport") == transport
        finally:
            await page.close()
            await site.stop()
    assert {urlsplit(each).path for each in sockets} == ({path} if path else set())
