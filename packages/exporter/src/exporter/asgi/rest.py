"""Starting, reading, listing and steering by plain requests."""

from typing import TYPE_CHECKING

from .._common.web import WebError, answer, body_of
from ..models import ExportJob
from ..service import ExportService
from ..texts import quoted
from .guarding import UNKNOWN, Guard
from .limits import Limits
from .wire import options_from, source_from, to_wire

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


class Rest:
    """The handlers."""

    def __init__(self, service: ExportService, guard: Guard, limits: Limits) -> None:
        """Show ``service`` to whom ``guard`` lets in."""
        self._service, self._guard, self._limits = service, guard, limits

    async def start(self, request: "Request", user: str) -> "Response":
        """Start an export; the same ``Idempotency-Key`` starts it once."""
        body = await body_of(request, self._limits.body_bytes)
        source = source_from(body)
        if not await self._guard.may(user, "export", source):
            raise WebError(403, "not allowed")
        job = await self._service.export(
            source,
            str(body.get("format", "")),
            options_from(body),
            user_id=user,
            idempotency_key=request.headers.get("idempotency-key"),
            metadata=body.get("metadata"),
        )
        return answer(to_wire(job), 202)

    async def listing(self, request: "Request", user: str) -> "Response":
        """Return a page of the user's exports, newest first."""
        asked = request.query_params
        limit = asked.get("limit", "50")
        # int() of a long text is slow
        if not (limit.isascii() and limit.isdecimal() and len(limit) < 10):
            raise WebError(400, f"limit must be a whole number, 1 to 1000, not {quoted(limit)}")
        page = await self._service.list_exports(
            user, asked.get("status"), int(limit), asked.get("cursor")
        )
        items = [to_wire(job) for job in page if await self._guard.may(user, "read", job)]
        return answer({"items": items, "nextCursor": page.next_cursor})

    async def one(self, request: "Request", user: str) -> "Response":
        """Return an export."""
        return answer(to_wire(await job_of(self._service, self._guard, request, user, "read")))

    async def delete(self, request: "Request", user: str) -> "Response":
        """Delete an export, its file first; one that runs is cancelled."""
        job = await job_of(self._service, self._guard, request, user, "delete")
        return answer({"deleted": await self._service.delete(job.id)})

    async def cancel(self, request: "Request", user: str) -> "Response":
        """Cancel an export; says whether it was not too late."""
        job = await job_of(self._service, self._guard, request, user, "cancel")
        return answer({"cancelled": await self._service.cancel(job.id)})

    async def retry(self, request: "Request", user: str) -> "Response":
        """Run a failed or cancelled export again."""
        job = await job_of(self._service, self._guard, request, user, "retry")
        return answer(to_wire(await self._service.retry(job.id)), 202)

    async def formats(self, _request: "Request", _user: str) -> "Response":
        """Return the names of the formats."""
        return answer({"formats": self._service.list_formats()})


async def job_of(
    service: ExportService, guard: Guard, request: "Request", user: str, action: str
) -> ExportJob:
    """Return the job that the path names.

    Raises:
        WebError: 404, there is none, or the user may not; both look the same.
    """
    job = await service.get_job(request.path_params["id"])
    if job is None or not await guard.may(user, action, job):
        raise WebError(404, UNKNOWN)
    return job
