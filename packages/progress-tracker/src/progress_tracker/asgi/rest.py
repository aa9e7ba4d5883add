"""Reading, listing, waiting and cancelling by plain requests."""

import asyncio
import math
from typing import TYPE_CHECKING, Any

from .._common.web import WebError, answer
from .._common.web_care import Care
from ..errors import ConfigurationError
from ..ports import Position
from ..rules import checks
from ..service import ProgressTracker
from ..wire import to_json
from .feeds import Feeds
from .guarding import Guard, empty
from .limits import Limits

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


class Rest:
    """The handlers."""

    def __init__(
        self, tracker: ProgressTracker, guard: Guard, feeds: Feeds, care: Care[Limits]
    ) -> None:
        """Show ``tracker``."""
        self._tracker, self._guard, self._feeds, self._care = tracker, guard, feeds, care

    async def listing(self, request: "Request", user: str) -> "Response":
        """Return a page of the user's operations, newest first; with ``id=`` that one."""
        query, rights = request.query_params, self._guard.rights
        if "id" in query:
            return await self.one(request, user)
        status: Any = query.getlist("status") or None
        cursor = query.get("cursor")
        try:
            page = await self._tracker.list_progress(
                user_id=user,
                status=status,
                parent_id=query.get("parentId"),
                kind=query.get("kind"),
                limit=int(_number(query.get("limit"), "limit", 50)),
                cursor=cursor,
            )
        except ConfigurationError as exc:
            if cursor is None:
                raise
            raise WebError(400, "not a cursor") from exc
        items = [to_json(each) for each in page if await rights.may(user, "read", each)]
        return answer({"items": items, "nextCursor": page.next_cursor})

    async def one(self, request: "Request", user: str) -> "Response":
        """Return an operation, or wait for a newer state than the one that is known."""
        id, query = named(request), request.query_params
        if (seen := position_of(query.get("since"))) is not None:
            return await self._newer(id, user, seen, _number(query.get("wait"), "wait", 0.0))
        progress = await self._tracker.get(id)
        await self._guard.demand(user, "read", progress)
        return answer(to_json(progress))

    async def _newer(self, id: str, user: str, seen: Position, seconds: float) -> "Response":
        with self._care.room(user), self._feeds.feed(id) as feed:
            frame = await self._feeds.visible(feed, user, "watch")
            if frame.position == seen and not frame.last:
                try:
                    async with asyncio.timeout(min(seconds, self._care.limits.wait)):
                        await feed.after(seen)
                except TimeoutError:
                    return empty()
                frame = await self._feeds.visible(feed, user, "watch")
        return empty() if frame.position == seen else answer(frame.body["progress"])

    async def cancel(self, request: "Request", user: str) -> "Response":
        """Ask the worker to stop."""
        progress = await self._tracker.get(named(request))
        await self._guard.demand(user, "cancel", progress)
        await self._tracker.request_cancel(progress.id)
        return answer(to_json(await self._tracker.get(progress.id)), 202)


def named(request: "Request") -> str:
    """Return the id that a request is about: its path names it, or its query.

    Raises:
        WebError: Neither does, or the query names several.
    """
    ids = [request.path_params["id"]] if "id" in request.path_params else None
    ids = ids or request.query_params.getlist("id")
    if len(ids) != 1:
        raise WebError(400, "give one id=")
    return str(ids[0])


def position_of(text: str | None) -> Position | None:
    """Return the position that ``1:2`` or ``1.2`` names; None for nothing.

    Raises:
        InvalidProgress: It is neither.
    """
    return checks.position(text.replace(".", ":", 1)) if text else None


def _number(text: str | None, name: str, default: float) -> float:
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise WebError(400, f"{name} must be a number, not {checks.shown(text)}")
    return value
