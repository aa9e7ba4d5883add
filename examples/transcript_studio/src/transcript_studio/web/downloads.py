"""Files to take away: one transcript in one format, or all of them as a ZIP."""

import asyncio
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from exporter import ExportJob, ExportStatus

from ..errors import FileError
from ..services import Services
from ..steps import archiving, exporting
from .requests import answer, own_entry, required_user

_LINK_TTL = 300.0  # seconds


def routes(services: Services) -> list[Route]:
    """Return the routes of downloads."""
    web = _Downloads(services)
    return [
        Route("/api/transcripts/{id}/export/{format}", web.export),
        Route("/api/archives", web.archive, methods=["POST"]),
        Route("/api/archives/{id}", web.archive_link),
        Route("/archives/{id}", web.archive_file),
    ]


@dataclass(frozen=True, slots=True)
class _Downloads:
    services: Services

    async def export(self, request: Request) -> Response:
        entry = await own_entry(self.services.library, request)
        name = request.path_params["format"]
        if name not in exporting.OFFERED:
            raise HTTPException(404)
        found = await self.services.reader.read(entry.id)
        if found is None:
            raise HTTPException(404)
        job = await exporting.export(self.services.exports, entry, name, revision=found["revision"])
        if job.status != ExportStatus.COMPLETED:
            raise FileError(f"the {name} could not be made, try again: {job.error or job.status}")
        return await self._download(job.id, entry.user_id)

    async def archive(self, request: Request) -> Response:
        """Begin a ZIP of all transcripts of the user that are ready, in all formats."""
        user = required_user(request)
        ready = await asyncio.to_thread(self.services.library.finished, user)
        if not ready:
            raise HTTPException(404)
        return answer({"id": await archiving.begin(self.services, user, ready)}, 201)

    async def archive_link(self, request: Request) -> Response:
        """Return a link to a finished archive that expires, and when."""
        job = await self._archived(request)
        return answer(
            {
                "url": await self._link(job.id, required_user(request), archiving.LINK_TTL),
                "expires_in": archiving.LINK_TTL,
                "size": job.size,
            }
        )

    async def archive_file(self, request: Request) -> Response:
        """Hand out a finished archive: where its notification leads."""
        return await self._download((await self._archived(request)).id, required_user(request))

    async def _archived(self, request: Request) -> ExportJob:
        user = required_user(request)
        job = await archiving.made(self.services, request.path_params["id"], user)
        if job is None:
            raise HTTPException(404)
        return job

    async def _download(self, job_id: str, user: str) -> Response:
        return RedirectResponse(await self._link(job_id, user, _LINK_TTL), 303)

    async def _link(self, job_id: str, user: str, ttl: float) -> str:
        token = await self.services.exports.link(job_id, ttl=ttl, user_id=user)
        return f"/files/files/{token}"
