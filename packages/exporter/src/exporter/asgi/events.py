"""The states of an export by server-sent events, to its end."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

from .._common.web import respond, sse_event
from .._common.web_care import Care
from .._common.web_client import EventStream
from ..errors import BackendError, ExportNotFound
from ..service import ExportService
from .guarding import Guard
from .limits import Limits
from .rest import job_of
from .wire import position, to_wire

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


class Events:
    """The handler."""

    def __init__(self, service: ExportService, guard: Guard, care: Care[Limits]) -> None:
        """Tell what happens in ``service`` to whom ``guard`` lets in."""
        self._service, self._guard, self._care = service, guard, care

    async def stream(self, request: "Request", user: str) -> "Response":
        """Answer with the newest state and those that follow, without the one that is known."""
        job = await job_of(self._service, self._guard, request, user, "read")
        known = request.headers.get("last-event-id") or request.query_params.get("since")
        if job.status.is_final and known == position(job):
            # 204 tells an EventSource that there is nothing to reconnect for
            return respond(b"", 204)
        # refused here, before anything is sent, if there are too many
        with self._care.room(user):
            made = EventStream(
                self._care, request, user, lambda: self._events(user, job.id, known), BackendError
            )
            return cast("Response", made)

    async def _events(
        self, user: str, job_id: str, known: str | None
    ) -> AsyncGenerator[bytes, None]:
        """Give the states until the last one, or until there is none that the user may see."""
        try:
            async with aclosing(self._service.watch(job_id)) as feed:
                async for job in feed:
                    if not await self._guard.may(user, "read", job):
                        break
                    if (place := position(job)) != known:
                        known = place
                        yield sse_event(to_wire(job), event="export", id=place)
                else:
                    return
        except ExportNotFound:
            pass
        yield sse_event({"id": job_id}, event="gone")
