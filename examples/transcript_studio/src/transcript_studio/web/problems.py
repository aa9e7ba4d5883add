"""What cannot be done is said kindly: as JSON to scripts, as a page to whoever followed a link."""

import html
import logging
from importlib.resources import files
from typing import Final

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import HTTPExceptionHandler

from ..errors import EditConflict, FileError, StudioError
from ..library import MAX_UPLOAD
from ..outages import OUTAGES
from .requests import answer

logger = logging.getLogger(__name__)
_TOLD: Final = {
    401: "The studio does not know this browser yet. Open its first page, with cookies allowed.",
    404: "This is not there, or not any more.",
    405: "This cannot be done here.",
    413: f"This is too large: a file may have {MAX_UPLOAD >> 20} MB.",
}
_OUTAGE: Final = "A server that the studio needs does not answer. Try again in a moment."
_UNFORESEEN: Final = "Something went wrong in the studio, and is in its log. Try again."


def handlers() -> dict[type[Exception], HTTPExceptionHandler]:
    """Return what Starlette calls by the kind of an exception."""
    return {
        HTTPException: _refused,
        StudioError: _wrong,
        EditConflict: _conflict,
        FileError: _not_made,
        msgspec.DecodeError: _wrong,
        **dict.fromkeys(OUTAGES, _unavailable),
        Exception: _unforeseen,
    }


async def _refused(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    return _told(request, _TOLD.get(exc.status_code, exc.detail), exc.status_code)


async def _wrong(request: Request, exc: Exception) -> Response:
    return _told(request, str(exc), 400)


async def _conflict(request: Request, exc: Exception) -> Response:
    return _told(request, str(exc), 409)


async def _not_made(request: Request, exc: Exception) -> Response:
    return _told(request, str(exc), 503)


async def _unavailable(request: Request, exc: Exception) -> Response:
    logger.warning("studio.unavailable", exc_info=exc)
    return _told(request, _OUTAGE, 503)


async def _unforeseen(request: Request, _: Exception) -> Response:
    return _told(request, _UNFORESEEN, 500)  # whoever serves the application logs the exception


def _told(request: Request, message: str, status: int) -> Response:
    if "text/html" not in request.headers.get("accept", ""):
        return answer({"error": message}, status)
    page = (files("transcript_studio") / "static" / "problem.html").read_text(encoding="utf-8")
    return HTMLResponse(page.replace("{{problem}}", html.escape(message)), status)
