"""The states of an export by server-sent events, to its end."""

import asyncio
import contextlib
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, cast

from .._common.extras import require
from .._common.web import WebError, sse_event
from ..errors import BackendError, ExportNotFound
from ..models import ExportJob
from ..service import ExportService
from .care import Care, Client, until_gone
from .guarding import Guard
from .rest import job_of
from .wire import position, to_wire

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

_GOODBYE = 1.0
_GREETING = b"retry: 1000\n\n"
_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-store",
    "x-accel-buffering": "no",
    "x-content-type-options": "nosniff",
}


class Events:
    """The handler."""

    def __init__(self, service: ExportService, guard: Guard, care: Care) -> None:
        """Tell what happens in ``service`` to whom ``guard`` lets in."""
        self._service, self._guard, self._care = service, guard, care

    async def stream(self, request: "Request", user: str) -> "Response":
        """Answer with the newest state and those that follow, without the one that is known."""
        job = await job_of(self._service, self._guard, request, user, "read")
        known = request.headers.get("last-event-id") or request.query_params.get("since")
        if job.status.is_final and known == position(job):
            responses = require("starlette.responses", dist="exporter", extra="asgi")
            # 204 tells an EventSource that there is nothing to reconnect for
            nothing: Response = responses.Response(status_code=204)
            return nothing
        structures = require("starlette.datastructures", dist="exporter", extra="asgi")
        stream = _Stream(self._service, self._guard, self._care, request, user, job.id, known)
        stream.headers = structures.MutableHeaders(_HEADERS)
        # refused here, before anything is sent, if there are too many
        with self._care.room(user):
            return cast("Response", stream)


class _Stream:
    """A response: headers, then events until the export has ended or the client left."""

    status_code = 200
    headers: Any

    def __init__(
        self,
        service: ExportService,
        guard: Guard,
        care: Care,
        request: "Request",
        user: str,
        job_id: str,
        known: str | None,
    ) -> None:
        self._service, self._guard, self._care = service, guard, care
        self._request, self._user, self._job_id, self._known = request, user, job_id, known

    async def __call__(self, _scope: "Scope", receive: "Receive", send: "Send") -> None:
        patience = self._care.limits.patience
        client = Client(self._user, self._request, send, self._care.clock, patience)
        try:
            with self._care.room(self._user), self._care.of(client):
                await client.served(self._tell(client), until_gone(receive))
        except WebError as exc:
            await send({"type": "http.response.start", "status": exc.status, "headers": []})
        except (BackendError, OSError):
            pass  # the page comes again
        # a client that takes nothing is not waited for
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_GOODBYE):
                await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _tell(self, client: Client) -> None:
        raw = self.headers.raw
        await client.say({"type": "http.response.start", "status": 200, "headers": list(raw)})
        await client.say(_part(_GREETING))
        try:
            is_there = await self._tell_states(client)
        except ExportNotFound:
            is_there = False
        if not is_there:
            await client.say(_part(sse_event({"id": self._job_id}, event="gone")))

    async def _tell_states(self, client: Client) -> bool:
        """Return False when the user may not see the export any more."""
        async with aclosing(self._service.watch(self._job_id)) as feed:
            async for job in feed:
                if not await self._guard.may(self._user, "read", job):
                    return False
                if (place := position(job)) != self._known:
                    self._known = place
                    await client.say(_part(_event(job, place)))
        return True


def _event(job: ExportJob, place: str) -> bytes:
    return sse_event(to_wire(job), event="export", id=place)


def _part(body: bytes) -> dict[str, Any]:
    return {"type": "http.response.body", "body": body, "more_body": True}
