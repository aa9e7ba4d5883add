"""The inbox by plain requests."""

import asyncio
import contextlib
from contextlib import aclosing
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from .. import wire
from .._common.web import WebError, answer, body_of
from .._common.web_care import Care
from ..models import NotificationFilters
from ..service import NotificationService
from .limits import Limits


class Rest:
    """The handlers."""

    def __init__(self, service: NotificationService, care: Care[Limits]) -> None:
        """Answer from ``service``."""
        self._service, self._care = service, care
        live = service.settings.websocket
        self._socket = live.path.lstrip("/") if live.enabled else None

    async def listing(self, request: Request, user: str) -> Response:
        """List the inbox; ``seq`` is a place that the list is not older than."""
        query = request.query_params
        filters = NotificationFilters(
            unread_only=_flag(query.get("unreadOnly"), "unreadOnly") or False,
            type=query.get("type"),
            category=query.get("category"),
            since=_moment(query.get("since"), "since"),
            before=_moment(query.get("before"), "before"),
            archived=_flag(query.get("archived", "false"), "archived"),
        )
        limit = number(query.get("limit", "50"), "limit")
        now = await self._service.get_changes(user)
        page = await self._service.get_user_notifications(
            user, limit=limit, filters=filters, cursor=query.get("cursor")
        )
        items = [wire.notification(each) for each in page]
        more = {"nextCursor": page.next_cursor, "unread": now.unread, "seq": now.seq}
        return answer({"items": items, **more})

    async def changes(self, request: Request, user: str) -> Response:
        """Return what happened after ``since``; with ``wait`` it waits for the first news."""
        query = request.query_params
        since = number(query["since"], "since") if "since" in query else None
        limit = number(query.get("limit", "200"), "limit")
        wait = min(number(query.get("wait", "0"), "wait"), self._care.limits.wait)
        found = await self._service.read_changes(user, since, limit)
        if wait and since is not None and not found.events and not found.is_reset:
            with self._care.room(user):
                await self._news(user, since, wait)
            found = await self._service.read_changes(user, since, limit)
        return answer(wire.changes(found, user, self._socket))

    async def _news(self, user: str, since: int, seconds: float) -> None:
        async with aclosing(self._service.watch(user, since)) as feed:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await anext(feed, None)

    async def unread(self, _: Request, user: str) -> Response:
        """Count what is neither read nor archived."""
        return answer({"unread": await self._service.unread_count(user)})

    async def one(self, request: Request, user: str) -> Response:
        """Read a notification; this does not mark it."""
        return answer(wire.notification(await self._service.get(request.path_params["id"], user)))

    async def read(self, request: Request, user: str) -> Response:
        """Mark a notification read."""
        await self._service.mark_as_read(request.path_params["id"], user)
        return await self.unread(request, user)

    async def read_all(self, request: Request, user: str) -> Response:
        """Mark all read, older than ``before`` and of ``category`` where these are given."""
        body = await body_of(request)
        if not isinstance(body, dict) or not body.keys() <= {"before", "category"}:
            raise WebError(400, "expected an object with before and category, or an empty one")
        category = body.get("category")
        if not isinstance(category, str | None):
            raise WebError(400, "category must be a text")
        before = _moment(body.get("before"), "before")
        count = await self._service.mark_all_as_read(user, before, category)
        return answer({"marked": count, "unread": await self._service.unread_count(user)})

    async def archive(self, request: Request, user: str) -> Response:
        """Put a notification away."""
        await self._service.archive(request.path_params["id"], user)
        return await self.unread(request, user)

    async def delete(self, request: Request, user: str) -> Response:
        """Remove a notification."""
        await self._service.delete(request.path_params["id"], user)
        return await self.unread(request, user)

    async def get_preferences(self, _: Request, user: str) -> Response:
        """Return the user's preferences."""
        return answer(wire.preferences(await self._service.get_preferences(user)))

    async def put_preferences(self, request: Request, user: str) -> Response:
        """Replace the user's preferences."""
        await self._service.set_preferences(user, wire.read_preferences(await body_of(request)))
        return await self.get_preferences(request, user)


def number(text: str, name: str) -> int:
    """Return a whole number from 0.

    Raises:
        WebError: 400, it is none.
    """
    if not (text.isascii() and text.isdecimal()) or len(text) > 18:
        raise WebError(400, f"{name} must be a whole number")
    return int(text)


def _flag(text: str | None, name: str) -> bool | None:
    known = {None: None, "true": True, "false": False, "any": None}
    if text not in known:
        raise WebError(400, f"{name} must be true or false")
    return known[text]


def _moment(text: Any, name: str) -> datetime | None:
    if text is None:
        return None
    try:
        made = datetime.fromisoformat(text)
        made.timestamp()
    except (TypeError, ValueError, OverflowError, OSError):
        raise WebError(400, f"{name} must be a date in ISO 8601") from None
    if made.tzinfo is None:
        raise WebError(400, f"{name} must have a time zone")
    return made
