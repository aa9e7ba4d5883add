"""An ASGI app over a service: start, follow, list, cancel and download exports.

| route | does |
|---|---|
| ``POST /exports`` | starts one: ``{source: {type, id, data?}, format, options?}`` |
| ``GET /exports?status=&limit=&cursor=`` | lists the user's |
| ``GET /exports/{id}`` | returns one |
| ``POST /exports/{id}/cancel`` · ``DELETE /exports/{id}`` | cancels · deletes |
| ``GET /exports/{id}/events`` | its status by server-sent events, until its end |
| ``GET /exports/{id}/file`` | the file, for its owner |
| ``GET /files/{token}`` | the file, for whoever has the link (``storage.public_url`` + token) |
| ``GET /formats`` | the formats that may be used |
"""

import inspect
import re
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from ._common.extras import require
from ._common.web import (
    Authenticate,
    Authorize,
    WebError,
    answer,
    body_of,
    check_origin,
    cors_headers,
    refusal,
    sse_event,
    sse_response,
    user_of,
)
from .errors import (
    ConfigurationError,
    ExportCancelled,
    ExportError,
    ExportExpired,
    ExportNotFound,
    InvalidLink,
    InvalidSource,
    StorageError,
    TemplateError,
    UnknownFormat,
    UnsupportedOperationError,
)
from .filenames import content_disposition
from .models import ExportJob, ExportOptions, ExportSource
from .service import ExportService

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

_MAX_BODY = 1 << 20
_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)
_SAFE = {
    "x-content-type-options": "nosniff",
    "cache-control": "private, no-store",
    # an exported page opened from here must not act in the name of this site
    "content-security-policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'",
    "accept-ranges": "bytes",
    "referrer-policy": "no-referrer",
}


class _Handler(Protocol):
    async def __call__(self, request: "Request") -> "Response": ...


def create_app(
    service: ExportService,
    *,
    authenticate: Authenticate,
    authorize: Authorize | None = None,
    allowed_origins: Sequence[str] = (),
) -> "Starlette":
    """Return the app; mount it where you like.

    Args:
        service: Whose exports it shows.
        authenticate: ``connection -> user id | None``; may be asynchronous.
        authorize: ``(user id, action, record) -> bool``. Actions on an :class:`ExportJob` are
            ``read``, ``cancel``, ``delete``, ``download``; the default allows its owner. ``export``
            is asked about an :class:`ExportSource`: the default allows sources that carry their
            data, since only the application knows who may read what a loader would load.
        allowed_origins: Origins of other sites whose pages may call it, like
            ``https://app.example.com``.
    """
    applications = require("starlette.applications", dist="exporter", extra="asgi")
    routing = require("starlette.routing", dist="exporter", extra="asgi")
    app = _App(service, authenticate, authorize, tuple(allowed_origins))

    def route(path: str, handler: _Handler, *methods: str) -> Any:
        return routing.Route(path, app.guarded(handler), methods=[*methods, "OPTIONS"])

    made: Starlette = applications.Starlette(
        routes=[
            route("/exports", app.start, "POST"),
            route("/exports", app.list_exports, "GET"),
            route("/exports/{id}", app.get, "GET"),
            route("/exports/{id}", app.delete, "DELETE"),
            route("/exports/{id}/cancel", app.cancel, "POST"),
            route("/exports/{id}/events", app.events, "GET"),
            route("/exports/{id}/file", app.file, "GET", "HEAD"),
            route("/files/{token:path}", app.link, "GET", "HEAD"),
            route("/formats", app.formats, "GET"),
        ]
    )
    return made


class _App:
    def __init__(
        self,
        service: ExportService,
        authenticate: Authenticate,
        authorize: Authorize | None,
        origins: Sequence[str],
    ) -> None:
        self._service, self._authenticate = service, authenticate
        self._authorize, self._origins = authorize, origins

    def guarded(self, handler: _Handler) -> _Handler:
        """Return ``handler`` with origins checked and errors answered."""

        async def guard(request: "Request") -> "Response":
            headers = cors_headers(request, self._origins)
            try:
                if request.method != "GET":
                    check_origin(request, self._origins)
                if request.method == "OPTIONS":
                    headers |= {
                        "access-control-allow-methods": "GET, POST, DELETE",
                        "access-control-allow-headers": "content-type, range",
                    }
                    response = answer({})
                else:
                    response = await handler(request)
            except WebError as exc:
                response = refusal(exc.status, str(exc))
            except ExportError as exc:
                response = refusal(_status(exc), _message(exc))
            response.headers.update(headers)
            return response

        return guard

    async def _user(self, request: "Request") -> str:
        return await user_of(request, self._authenticate)

    async def _allowed(self, user: str, action: str, record: ExportJob | ExportSource) -> bool:
        if self._authorize is None:
            if isinstance(record, ExportSource):
                return record.data is not None
            return record.user_id == user
        found = self._authorize(user, action, record)
        return bool(await found if inspect.isawaitable(found) else found)

    async def _job(self, request: "Request", action: str) -> ExportJob:
        user = await self._user(request)
        job = await self._service.get_job(request.path_params["id"])
        if job is None or not await self._allowed(user, action, job):
            raise WebError(404, "no such export")
        return job

    async def start(self, request: "Request") -> "Response":
        user = await self._user(request)
        body = await body_of(request, _MAX_BODY)
        if not isinstance(body, dict) or not isinstance(body.get("source"), dict):
            raise WebError(400, "expected {source: {type, id}, format}")
        given, options = body["source"], body.get("options") or {}
        data = given.get("data")
        if data is not None and not isinstance(data, dict | list):
            raise WebError(400, "source.data must be an object or a list")
        source = ExportSource(str(given.get("type", "")), str(given.get("id", "")), data)
        if not await self._allowed(user, "export", source):
            raise WebError(403, "not allowed")
        key = request.headers.get("idempotency-key")
        job = await self._service.export(
            source,
            str(body.get("format", "")),
            _options(options),
            user_id=user,
            idempotency_key=key,
        )
        return answer(to_wire(job), 202)

    async def list_exports(self, request: "Request") -> "Response":
        user, asked = await self._user(request), request.query_params
        limit = asked.get("limit", "50")
        number = limit.isascii() and limit.isdecimal() and len(limit) < 10
        page = await self._service.list_exports(
            user, asked.get("status"), int(limit) if number else 0,
            asked.get("cursor"),
        )  # fmt: skip
        return answer({"items": [to_wire(job) for job in page], "nextCursor": page.next_cursor})

    async def get(self, request: "Request") -> "Response":
        return answer(to_wire(await self._job(request, "read")))

    async def delete(self, request: "Request") -> "Response":
        job = await self._job(request, "delete")
        return answer({"deleted": await self._service.delete(job.id)})

    async def cancel(self, request: "Request") -> "Response":
        job = await self._job(request, "cancel")
        return answer({"cancelled": await self._service.cancel(job.id)})

    async def formats(self, request: "Request") -> "Response":
        await self._user(request)
        return answer({"formats": self._service.list_formats()})

    async def events(self, request: "Request") -> "Response":
        job = await self._job(request, "read")

        async def told() -> AsyncIterator[bytes]:
            async for each in self._service.watch(job.id):
                yield sse_event(to_wire(each), event="export")

        return sse_response(told(), cors_headers(request, self._origins))

    async def file(self, request: "Request") -> "Response":
        return await self._served(request, await self._job(request, "download"))

    async def link(self, request: "Request") -> "Response":
        found = self._authenticate(request)
        user = await found if inspect.isawaitable(found) else found
        use = request.method == "GET"
        job = await self._service.open_link(request.path_params["token"], user or None, use=use)
        return await self._served(request, job)

    async def _served(self, request: "Request", job: ExportJob) -> "Response":
        responses = require("starlette.responses", dist="exporter", extra="asgi")
        size, etag = job.size or 0, f'"{job.sha256}"'
        headers = {
            **_SAFE,
            "etag": etag,
            "content-disposition": content_disposition(job.filename or "download"),
        }
        known = request.headers.get("if-none-match", "")
        if etag in known or known.strip() == "*":
            none: Response = responses.Response(status_code=304, headers=headers)
            return none
        if request.method == "GET" and self._sends_on():
            away = {"location": await self._service.storage_link(job.id), **_SAFE}
            sent: Response = responses.Response(status_code=307, headers=away)
            return sent
        asked = request.headers.get("range")
        if asked and request.headers.get("if-range", etag) == etag:
            part = _range(asked, size)
        else:
            part = None
        if part == ():
            error = {"error": f"the file has {size} bytes"}
            return answer(error, 416, {"content-range": f"bytes */{size}"})
        status, start, stop = 200, 0, size
        if part:
            status, start, stop = 206, part[0], part[1] + 1
            headers["content-range"] = f"bytes {start}-{stop - 1}/{size}"
        headers["content-length"] = str(stop - start)
        kind = job.content_type or "application/octet-stream"
        if request.method == "HEAD":
            head: Response = responses.Response(
                status_code=status, headers=headers, media_type=kind
            )
            return head
        wanted = (start, stop - 1) if part else None
        blocks = await _opened(self._service.stream(job.id, wanted))
        made: Response = responses.StreamingResponse(blocks, status, headers, media_type=kind)
        return made

    def _sends_on(self) -> bool:
        service = self._service
        return service.settings.downloads.redirect and service.storage.capabilities.signed


async def _opened(stream: Any) -> AsyncIterator[bytes]:
    """Return the stream after its first block: what is wrong at once becomes an answer."""
    first: bytes | None = await anext(stream, None)

    async def blocks() -> AsyncIterator[bytes]:
        try:
            if first is not None:
                yield first
                async for block in stream:
                    yield block
        finally:
            await stream.aclose()

    return blocks()


def _range(text: str, size: int) -> tuple[int, int] | tuple[()] | None:
    """Return first and last byte; () if outside of the file; None for what is served whole.

    RFC 9110, section 14: several ranges and other units may be ignored.
    """
    found = _RANGE.fullmatch(text.strip())
    if found is None or found[0] == "bytes=-" or len(text) > 60:
        return None
    if not found[1]:
        count = int(found[2])
        return (max(0, size - count), size - 1) if count and size else ()
    first = int(found[1])
    last = min(int(found[2]), size - 1) if found[2] else size - 1
    if found[2] and int(found[2]) < first:
        return None
    return (first, last) if first < size else ()


def _options(given: Any) -> ExportOptions:
    names = {"template": "template", "includeMetadata": "include_metadata", "filename": "filename"}
    names["ttl"] = "ttl"
    if not isinstance(given, dict) or (given.keys() - names.keys()):
        raise WebError(400, f"options are {', '.join(names)}")
    values = {names[key]: value for key, value in given.items() if value is not None}
    if not isinstance(values.get("include_metadata", True), bool):
        raise WebError(400, "includeMetadata is true or false")
    return ExportOptions(**values)


def to_wire(job: ExportJob) -> dict[str, Any]:
    """Return a job as browsers get it: the specification's names in camelCase, no local path."""
    return {
        "id": job.id,
        "status": job.status,
        "format": str(job.format),
        "source": {"type": job.source.type, "id": job.source.id},
        "progress": job.progress,
        "downloadUrl": job.download_url,
        "expiresAt": job.expires_at,
        "error": job.error,
        "createdAt": job.created_at,
        "completedAt": job.completed_at,
        "filename": job.filename,
        "contentType": job.content_type,
        "size": job.size,
        "sha256": job.sha256,
        "pages": job.pages,
        "records": job.records,
        "warnings": list(job.warnings),
    }


_STATUS: tuple[tuple[type[ExportError], int], ...] = (
    (ExportNotFound, 404),
    (InvalidLink, 403),
    (ExportExpired, 410),
    (ExportCancelled, 409),
    (UnknownFormat, 400),
    (InvalidSource, 400),
    (TemplateError, 400),
    (UnsupportedOperationError, 400),
    (ConfigurationError, 400),
    (StorageError, 503),
)


def _status(exc: ExportError) -> int:
    by_reason = {"busy": 503, "conflict": 409, "not_ready": 409, "failed": 409, "range": 416}
    if exc.reason in by_reason:
        return by_reason[exc.reason]
    return next((status for kind, status in _STATUS if isinstance(exc, kind)), 500)


def _message(exc: ExportError) -> str:
    # what is our own trouble is not for strangers
    return str(exc)[:300] if _status(exc) < 500 or exc.reason == "busy" else "try again later"
