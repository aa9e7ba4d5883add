"""What the page asks for."""

import logging
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from .._common.web import WebError, answer, body_of, sse_event, sse_response
from ..checks import check_name
from ..errors import ConfigurationError
from ..filters import check_filters
from ..models import Job, JobFilters
from ..models.wire import brief, to_json
from ..service import JobQueue
from .guarding import Guard, Handler
from .live import Live
from .sending import impatient

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

logger = logging.getLogger(__name__)
_MAX_BODY = 4096
_MAX_LIMIT = 100
_CHECK_EVERY = 30.0
_UNKNOWN = "no such job"
_CURSOR = re.compile(r"[0-9]{1,18}")


class Api:
    """The handlers behind the page."""

    job_actions = ("retry", "cancel", "remove")

    def __init__(self, queue: JobQueue, guard: Guard, live: Live) -> None:
        """Show and steer ``queue`` as far as ``guard`` allows."""
        self._queue, self._guard, self._live = queue, guard, live

    async def session(self, _request: "Request", user: str) -> "Response":
        """Say who is signed in."""
        return answer({"user": user})

    async def overview(self, _request: "Request", user: str) -> "Response":
        """Return the queues, and how they did lately."""
        await self._guard.demand(user, "overview", None)
        async with self._live.watched(user):
            message = await self._live.first()
        return answer(await self._allowed(user, message))

    async def events(self, request: "Request", user: str) -> "Response":
        """Stream the overview, then what has changed."""
        await self._guard.demand(user, "overview", None)
        self._live.check_room(user)
        since = request.headers.get("last-event-id") or request.query_params.get("since")
        return impatient(sse_response(self._events(request, user, since)))

    async def _events(
        self, request: "Request", user: str, since: str | None
    ) -> AsyncGenerator[bytes, None]:
        clock = self._queue.clock
        checked = clock.monotonic()
        async with self._live.watched(user):
            async for name, message, mark in self._live.messages(since):
                if clock.monotonic() - checked > _CHECK_EVERY:
                    if not await self._is_still_allowed(request, user):
                        return
                    checked = clock.monotonic()
                yield sse_event(await self._allowed(user, message), event=name, id=mark)

    async def _is_still_allowed(self, request: "Request", user: str) -> bool:
        try:
            now = await self._guard.user(request)
        except WebError:
            return False
        return now == user and await self._guard.may(user, "overview", None)

    async def _allowed(self, user: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Return the message with what this user may do to each queue."""
        if "queues" not in message:
            return dict(message)
        queues = [
            {**each, "actions": await self._queue_actions(user, each["name"], each["paused"])}
            for each in message["queues"]
        ]
        retry = await self._guard.may(user, "retry_failed", None)
        return {**message, "queues": queues, "actions": ["retry_failed"] if retry else []}

    async def _queue_actions(self, user: str, name: str, paused: bool) -> list[str]:  # noqa: FBT001  a field of the message
        wanted = ("resume" if paused else "pause", "retry_failed")
        return [each for each in wanted if await self._guard.may(user, each, name)]

    async def jobs(self, request: "Request", user: str) -> "Response":
        """Return a page of jobs, newest first."""
        await self._guard.demand(user, "overview", None)
        query = request.query_params
        full = query.get("errors") == "full"
        if job_id := query.get("id"):
            found = await self._queue.get_job(_name(job_id, "id"))
            page: Sequence[Job] = [] if found is None else [found]
            cursor = None
        else:
            filters, limit, after = self._asked(query)
            listed = await self._queue.get_jobs(filters, limit, after)
            page, cursor = listed, listed.next_cursor
        items = [
            await self._shown(
                user, each, {**brief(each), **({"error": each.error} if full else {})}
            )
            for each in page
            if await self._guard.may(user, "read", each)
        ]
        return answer({"items": items, "nextCursor": cursor})

    def _asked(self, query: Any) -> tuple[JobFilters, int, str | None]:
        limit, cursor = query.get("limit", "25"), query.get("cursor")
        if not (limit.isascii() and limit.isdecimal()) or not 1 <= int(limit[:6]) <= _MAX_LIMIT:
            raise WebError(400, f"limit must be a number from 1 to {_MAX_LIMIT}")
        if cursor is not None and not _CURSOR.fullmatch(cursor):
            raise WebError(400, "not a cursor")
        filters = JobFilters(
            name=query.get("name") or None,
            queue=query.get("queue") or None,
            status=[each for each in query.getlist("status") if each] or None,
            created_after=_moment(query.get("createdAfter"), "createdAfter"),
            created_before=_moment(query.get("createdBefore"), "createdBefore"),
        )
        try:
            return check_filters(filters, self._queue.settings), int(limit), cursor
        except ConfigurationError as exc:
            raise WebError(400, str(exc)) from exc

    async def job(self, request: "Request", user: str) -> "Response":
        """Return one job with all that is known of it."""
        job = await self._readable(user, request.query_params.get("id"))
        return answer(await self._shown(user, job, to_json(job)))

    async def _readable(self, user: str, job_id: Any) -> Job:
        job = await self._queue.get_job(_name(job_id, "id"))
        if job is None or not await self._guard.may(user, "read", job):
            raise WebError(404, _UNKNOWN)  # unknown and forbidden look the same
        return job

    async def _shown(self, user: str, job: Job, shown: dict[str, Any]) -> dict[str, Any]:
        possible = [each for each in _possible(job) if await self._guard.may(user, each, job)]
        return {**shown, "actions": possible}

    def acting(self, action: str) -> Handler:
        """Return the handler that does ``action`` to a job."""

        async def act(request: "Request", user: str) -> "Response":
            body = await _body(request)
            job = await self._readable(user, body.get("id"))
            await self._guard.demand(user, action, job)
            method = getattr(self._queue, f"{action}_job")
            changed: bool = await method(job.id)
            if changed:
                logger.info(
                    "dashboard.job_changed",
                    extra={"user": user, "action": action, "job_id": job.id},
                )
            return answer({"changed": changed})

        return act

    async def pause(self, request: "Request", user: str) -> "Response":
        """Pause a queue."""
        return await self._switch(request, user, "pause")

    async def resume(self, request: "Request", user: str) -> "Response":
        """Resume a queue."""
        return await self._switch(request, user, "resume")

    async def _switch(self, request: "Request", user: str, action: str) -> "Response":
        queue = _name((await _body(request)).get("queue"), "queue")
        await self._guard.demand(user, action, queue)
        await (self._queue.pause if action == "pause" else self._queue.resume)(queue)
        logger.info(
            "dashboard.queue_changed", extra={"user": user, "action": action, "queue": queue}
        )
        self._live.hurry()
        return answer({"changed": True})

    async def retry_failed(self, request: "Request", user: str) -> "Response":
        """Retry all dead letters, or those of one queue."""
        named = (await _body(request)).get("queue")
        queue = None if named is None else _name(named, "queue")
        await self._guard.demand(user, "retry_failed", queue)
        count = await self._queue.requeue_failed(queue=queue)
        logger.info("dashboard.failed_retried", extra={"user": user, "queue": queue, "jobs": count})
        self._live.hurry()
        return answer({"count": count})


def _possible(job: Job) -> list[str]:
    """Return what can be done to a job in its status."""
    if not job.status.is_final:
        return ["cancel"] if job.status == "processing" else ["cancel", "remove"]
    return ["remove"] if job.status == "completed" else ["retry", "remove"]


async def _body(request: "Request") -> dict[str, Any]:
    body = await body_of(request, _MAX_BODY)
    if not isinstance(body, dict):
        raise WebError(400, "the body must be a JSON object")
    return body


def _name(value: Any, what: str) -> str:
    try:
        return check_name(value, what)
    except ConfigurationError as exc:
        raise WebError(400, str(exc)) from exc


def _moment(text: str | None, what: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise WebError(400, f"{what} must be a time like 2026-01-31T12:00:00Z") from None
