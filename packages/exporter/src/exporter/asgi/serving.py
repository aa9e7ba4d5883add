"""Finished files, whole or in part (RFC 9110, sections 13 and 14)."""

import contextlib
import re
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Any, Literal, cast

from .._common.extras import require
from .._common.web import answer
from .._common.web_care import Care
from .._common.web_client import Client, until_gone
from ..errors import InvalidLink
from ..filenames import content_disposition
from ..models import ExportJob
from ..service import ExportService
from .guarding import Guard
from .limits import Limits
from .rest import job_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.types import Receive, Scope, Send

_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII | re.IGNORECASE)
_LONGEST = 60
_SAFE = {
    "x-content-type-options": "nosniff",
    "cache-control": "private, no-store",
    "accept-ranges": "bytes",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
# an exported page opened from here must not act in the name of this site
_SANDBOX = "sandbox; default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"
_PDF = "application/pdf"
# the browsers' viewers of PDF do not start in a sandbox; scripts in a PDF are not of this site
_BARE = "default-src 'none'; style-src 'unsafe-inline'; object-src 'self'; frame-ancestors 'self'"
_TO_LOOK_AT = frozenset({
    "application/json", _PDF, "text/csv", "text/html", "text/markdown", "text/plain", "text/vtt",
})  # fmt: skip
_OF_TEXT = frozenset({"text/csv", "text/markdown", "text/vtt"})


class Serving:
    """The handlers."""

    def __init__(self, service: ExportService, guard: Guard, care: Care[Limits]) -> None:
        """Serve the files of ``service``."""
        self._service, self._guard, self._care = service, guard, care

    async def file(self, request: "Request", user: str) -> "Response":
        """Return the file of an export to whom it belongs."""
        job = await job_of(self._service, self._guard, request, user, "download")
        return await self._served(request, job, user)

    async def link(self, request: "Request", user: str | None) -> "Response":
        """Return the file that a link leads to, to whoever has it."""
        use, token = request.method == "GET", request.path_params["token"]
        if not request.scope["path"].endswith(token):
            # routes end before a line break at the end of a path
            raise InvalidLink("this link is not valid")
        job = await self._service.open_link(token, user, use=use)
        return await self._served(request, job, user or f"link:{job.id}")

    async def _served(self, request: "Request", job: ExportJob, user: str) -> "Response":
        responses = require("starlette.responses", dist="exporter", extra="asgi")
        etag, headers = f'"{job.sha256}"', _headers_of(job, request)
        made: Response
        if _matches(request.headers.get("if-none-match", ""), etag):
            made = responses.Response(status_code=304, headers=headers)
            return made
        if request.method == "HEAD":  # ranges are for GET
            headers["content-length"] = str(job.size or 0)
            made = responses.Response(headers=headers)
            return made
        if self._sends_on():
            away = {"location": await self._service.storage_link(job.id), **_SAFE}
            made = responses.Response(status_code=307, headers=away)
            return made
        part = wanted_range(
            request.headers.get("range"), request.headers.get("if-range"), etag, job.size or 0
        )
        if part == "outside":
            error = {"error": f"the file has {job.size} bytes"}
            return answer(error, 416, {"content-range": f"bytes */{job.size}"})
        return await self._part(request, job, headers, part, user)

    async def _part(
        self,
        request: "Request",
        job: ExportJob,
        headers: dict[str, str],
        part: tuple[int, int] | None,
        user: str,
    ) -> "Response":
        structures = require("starlette.datastructures", dist="exporter", extra="asgi")
        status, first, last = 200, 0, (job.size or 0) - 1
        if part is not None:
            status, (first, last) = 206, part
            headers["content-range"] = f"bytes {first}-{last}/{job.size}"
        headers["content-length"] = str(last + 1 - first)
        # refused here, before anything is read, if there are too many
        with self._care.room(user):
            blocks = await _opened(self._service.stream(job.id, part))
        download = _Download(self._care, request, user, blocks)
        download.status_code, download.headers = status, structures.MutableHeaders(headers)
        return cast("Response", download)

    def _sends_on(self) -> bool:
        service = self._service
        return service.settings.downloads.redirect and service.storage.capabilities.signed


class _Download:
    """A response: headers, then the file for as long as the client takes it."""

    headers: Any
    status_code: int

    def __init__(
        self,
        care: Care[Limits],
        request: "Request",
        user: str,
        blocks: AsyncGenerator[bytes, None],
    ) -> None:
        self._care, self._request, self._user, self._blocks = care, request, user, blocks

    async def __call__(self, _scope: "Scope", receive: "Receive", send: "Send") -> None:
        patience = self._care.limits.download_patience
        client = Client(None, self._request, send, self._care.clock, patience=patience)
        async with contextlib.aclosing(self._blocks):
            with self._care.room(self._user), self._care.of(client):
                await client.served(self._send(client), until_gone(receive))

    async def _send(self, client: Client) -> None:
        start = {"type": "http.response.start", "status": self.status_code}
        await client.say({**start, "headers": list(self.headers.raw)})
        async for block in self._blocks:
            await client.say({"type": "http.response.body", "body": block, "more_body": True})
        await client.say({"type": "http.response.body", "body": b"", "more_body": False})


def _headers_of(job: ExportJob, request: "Request") -> dict[str, str]:
    kind = job.content_type or "application/octet-stream"
    plain = kind.partition(";")[0].strip().lower()
    inline = request.query_params.get("inline") == "1" and plain in _TO_LOOK_AT
    if inline and plain in _OF_TEXT:
        kind = "text/plain; charset=utf-8"  # browsers show it instead of saving it
    disposition = content_disposition(job.filename or "download")
    return {
        **_SAFE,
        "content-security-policy": _BARE if inline and plain == _PDF else _SANDBOX,
        "content-type": kind,
        "etag": f'"{job.sha256}"',
        "content-disposition": disposition.replace("attachment", "inline", 1)
        if inline
        else disposition,
    }


def _matches(known: str, etag: str) -> bool:
    """Whether ``If-None-Match`` names the file; weak tags are as good there."""
    return known.strip() == "*" or etag in [
        each.strip().removeprefix("W/") for each in known.split(",")
    ]


def wanted_range(
    text: str | None, condition: str | None, etag: str, size: int
) -> tuple[int, int] | Literal["outside"] | None:
    """Return first and last byte; None for what is served whole; "outside" for none of the file.

    A range of another version (``If-Range``), several ranges and other units are ignored.
    """
    if text is None or (condition is not None and condition.strip() != etag):
        return None
    found = _RANGE.fullmatch(text.strip())
    if found is None or not (found[1] or found[2]) or len(text) > _LONGEST:
        return None
    if not found[1]:
        count = int(found[2])
        return (max(0, size - count), size - 1) if count and size else "outside"
    first = int(found[1])
    last = min(int(found[2]), size - 1) if found[2] else size - 1
    if found[2] and int(found[2]) < first:
        return None
    return (first, last) if first < size else "outside"


async def _opened(stream: Any) -> AsyncGenerator[bytes, None]:
    """Return the stream after its first block: what is wrong at once becomes an answer."""
    first: bytes | None = await anext(stream, None)

    async def blocks() -> AsyncGenerator[bytes, None]:
        async with contextlib.aclosing(stream):
            if first is not None:
                yield first
                async for block in stream:
                    yield block

    return blocks()
