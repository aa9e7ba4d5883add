"""Uploads and transcripts: listed, sent, read, edited, tried again."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from progress_tracker import ProgressNotFound

from ..editing import Edit
from ..library import MAX_UPLOAD, Library
from ..outages import OUTAGES
from ..services import Services
from ..steps import tracking, working
from .requests import answer, body, chunks, own_entry, required_user

_LISTED: Final = 50
_MOST_LISTED: Final = 200


def routes(services: Services) -> list[Route]:
    """Return the routes of uploads and transcripts."""
    web = _Transcripts(services)
    return [
        Route("/api/transcripts", web.listing, methods=["GET"]),
        Route("/api/transcripts", web.upload, methods=["POST"]),
        Route("/api/transcripts/{id}", web.read, methods=["GET"]),
        Route("/api/transcripts/{id}", web.edit, methods=["PATCH"]),
        Route("/api/jobs/{id}/retry", web.retry, methods=["POST"]),
    ]


@dataclass(frozen=True, slots=True)
class _Transcripts:
    services: Services

    async def listing(self, request: Request) -> Response:
        """Return uploads, newest first, and the ``cursor`` of those after them."""
        user, query = required_user(request), request.query_params
        limit = query.get("limit", str(_LISTED))
        if not (limit.isascii() and limit.isdigit() and 0 < int(limit[:9]) <= _MOST_LISTED):
            raise HTTPException(400, f"limit must be 1 to {_MOST_LISTED}, not {limit[:20]!r}")
        library, cursor = self.services.library, query.get("cursor")
        return answer(await asyncio.to_thread(_listed, library, user, int(limit), cursor))

    async def upload(self, request: Request) -> Response:
        """Take a file as the body of the request; ``x-file-name`` is its name, percent-encoded."""
        user = required_user(request)
        if int(request.headers.get("content-length", "0")) > MAX_UPLOAD:
            raise HTTPException(413)
        name = unquote(request.headers.get("x-file-name", ""), errors="replace")
        entry = await self.services.library.add(user, name, chunks(request))
        try:
            await working.enqueue(self.services.queue, entry)
        except OUTAGES:
            # nobody would ever work on it, and its sender is told to send it again
            await asyncio.to_thread(self.services.library.discard, entry)
            raise
        await tracking.announce(self.services.tracker, entry)
        return answer({"id": entry.id, "title": entry.title}, 201)

    async def read(self, request: Request) -> Response:
        entry = await own_entry(self.services.library, request)
        found = await self.services.reader.read(entry.id)
        if found is None:
            raise HTTPException(404)
        return answer(found)

    async def edit(self, request: Request) -> Response:
        """Change title, texts or names of speakers; see :class:`Edit` for the body."""
        entry = await own_entry(self.services.library, request)
        change = msgspec.json.decode(await body(request), type=Edit)
        # first of all, so that no edit is stored that nobody would index, whatever fails after it
        await working.enqueue_reindex(self.services.queue, entry, delay=working.EDITING)
        if await asyncio.to_thread(self.services.library.edit, entry.id, change) is None:
            raise HTTPException(404)
        with contextlib.suppress(*OUTAGES):
            await self.services.reader.changed(entry.id)
            await working.enqueue_reindex(self.services.queue, entry)  # now, not by and by
        return answer(await self.services.reader.read(entry.id))

    async def retry(self, request: Request) -> Response:
        """Take up a failed or cancelled job again."""
        user = required_user(request)
        try:
            begun = await working.retry(self.services, request.path_params["id"], user)
        except ProgressNotFound:
            raise HTTPException(404) from None
        if not begun:
            return answer({"error": "this job has not ended: it goes on by itself"}, 409)
        return answer({"retried": True}, 202)


def _listed(library: Library, user_id: str, limit: int, cursor: str | None) -> dict[str, Any]:
    """Return what the page shows of a user's uploads.

    Whether one is ready is in the library: its progress is kept for a day.
    """
    entries, following = library.page(user_id, limit, cursor)
    items = [
        {"id": each.id, "title": each.title, "ready": library.is_finished(each.id)}
        for each in entries
    ]
    return {"items": items, "nextCursor": following}
