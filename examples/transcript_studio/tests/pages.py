"""Pages of a browser for the tests of the studio."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from studio_process import PATIENCE, Studio, api

from _common.browser import sound_page, visiting

__all__ = ["ended_once", "fresh_page", "listed", "ready", "sound", "visiting"]


@contextlib.asynccontextmanager
async def fresh_page(browser: Any) -> AsyncIterator[Any]:
    """Give a page with cookies of its own; a failing script or a broken policy fails the test."""
    async with sound_page(browser, patience=PATIENCE) as page:
        yield page


def sound(name: str) -> dict[str, Any]:
    """Return a file for the gated recogniser."""
    return {"name": name, "mimeType": "audio/wav", "buffer": b"the gated workers hear"}


async def listed(page: Any, url: str) -> list[dict[str, Any]]:
    """Return the newest uploads of a page's user."""
    answer = await api(page, f"{url}api/transcripts")
    items: list[dict[str, Any]] = answer["items"]
    return items


async def ready(page: Any, *paths: str) -> list[str]:
    """Upload files and return their ids, newest first, when they are ready."""
    await page.set_input_files("#file", list(paths))
    await page.wait_for_selector(f"#transcripts .state:text-is('Ready') >> nth={len(paths) - 1}")
    lines = await page.locator("#transcripts > li").all()
    return [(await each.get_attribute("id")).removeprefix("t-") for each in lines]


async def ended_once(studio: Studio, page: Any, id: str) -> None:
    """Check that what the page calls ready is so in every record, and was said once."""
    await studio.ended(id)  # the notification comes after what the page shows
    told = await api(page, f"{studio.url}inbox/notifications")
    about = [each for each in told["items"] if each["actionUrl"] == f"/#{id}"]
    assert [each["title"] for each in about] == ["Transcript ready"]
    found = await api(page, f"{studio.url}api/search?q=lighthouse+keeper")
    assert len([each for each in found["hits"] if each["transcript"] == id]) == 1
