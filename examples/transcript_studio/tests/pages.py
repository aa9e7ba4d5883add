"""Pages of a browser for the tests of the studio."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

from _common.browser import visiting

__all__ = ["PATIENCE", "fresh_page", "visiting"]
PATIENCE = 180_000  # milliseconds: a bound, not a pause


@contextlib.asynccontextmanager
async def fresh_page(browser: Any) -> AsyncIterator[Any]:
    """Give a page with cookies of its own; a failing script or a broken policy fails the test."""
    errors: list[str] = []
    context = await browser.new_context()
    context.set_default_timeout(PATIENCE)  # also of further pages
    page = await context.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if _is_refused(line) else None)
    yield page
    await context.close()
    assert not errors


def _is_refused(line: Any) -> bool:
    return "Content Security Policy" in line.text
