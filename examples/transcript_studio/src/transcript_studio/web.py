"""The page and its API: upload, live progress, bell, search, downloads.

Every browser is a user of its own, told apart by a random cookie: the studio is made for one
machine and listens on loopback.
"""

import asyncio
import contextlib
import functools
import secrets
from collections.abc import AsyncGenerator, AsyncIterator
from importlib.resources import files
from typing import Any
from urllib.parse import unquote

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

import exporter.asgi
import notify.asgi
import progress_tracker.asgi
from exporter import ExportJob
from progress_tracker import ProgressNotFound
from semsearch import SearchResult

from .correlation import HEADER, correlated, id_of
from .editing import Edit
from .errors import EditConflict, StudioError
from .library import MAX_UPLOAD
from .services import Services
from .status import Status
from .steps import archiving, exporting, finding, tracking, working
from .supervisor import Supervisor

_COOKIE = "studio_user"
_MAX_BODY = 8 << 20
_STATIC = {
    "status.js": "text/javascript",
    "studio.css": "text/css",
    "studio.js": "text/javascript",
}
_HEADERS = {
    b"content-security-policy": b"default-src 'self'; style-src 'self'; "
    b"script-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; "
    b"form-action 'self'",
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
}


def user_of(connection: HTTPConnection) -> str | None:
    """Return who a browser is; None before it has opened the page."""
    value = connection.cookies.get(_COOKIE, "")
    return value if len(value) == 32 and value.isalnum() else None


def create_app(services: Services, workers: Supervisor | None = None) -> Starlette:
    """Return the studio as an ASGI application.

    Args:
        services: What it shows and does; closed when the application ends.
        workers: The worker processes beside it, for the status page.
    """
    pages = _Pages(services, Status.of(services, workers))

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None, None]:
        yield
        await services.aclose()

    return Starlette(
        routes=[
            Route("/", pages.home),
            Route("/status", pages.status_page),
            Route("/static/{name}", pages.static),
            Route("/api/status", pages.status),
            Route("/api/transcripts", pages.listing, methods=["GET"]),
            Route("/api/transcripts", pages.upload, methods=["POST"]),
            Route("/api/transcripts/{id}", pages.transcript, methods=["GET"]),
            Route("/api/transcripts/{id}", pages.edit, methods=["PATCH"]),
            Route("/api/transcripts/{id}/export/{format}", pages.export),
            Route("/api/jobs/{id}/retry", pages.retry, methods=["POST"]),
            Route("/api/archives", pages.archive, methods=["POST"]),
            Route("/api/archives/{id}", pages.archive_link),
            Route("/archives/{id}", pages.archive_file),
            Route("/api/search", pages.search),
            Route("/api/similar/{id}", pages.similar),
            Mount(
                "/progress",
                progress_tracker.asgi.create_app(services.tracker, authenticate=user_of),
            ),
            Mount("/inbox", notify.asgi.create_app(services.notifications, authenticate=user_of)),
            Mount("/files", exporter.asgi.create_app(services.exports, authenticate=user_of)),
        ],
        middleware=[Middleware(_Guard)],
        exception_handlers={
            StudioError: _refused,
            EditConflict: _conflict,
            msgspec.DecodeError: _refused,
        },
        lifespan=lifespan,
    )


async def _refused(_: Request, exc: Exception) -> Response:
    return _json({"error": str(exc)}, 400)


async def _conflict(_: Request, exc: Exception) -> Response:
    return _json({"error": str(exc)}, 409)


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


class _Pages:
    def __init__(self, services: Services, status: Status) -> None:
        self._services, self._status = services, status

    async def home(self, request: Request) -> Response:
        return self._opened(request, "index.html")

    async def status_page(self, request: Request) -> Response:
        return self._opened(request, "status.html")

    async def status(self, request: Request) -> Response:
        _user(request)
        return _json(await self._status.read())

    def _opened(self, request: Request, name: str) -> Response:
        response = HTMLResponse(_page(name))
        if user_of(request) is None:
            response.set_cookie(_COOKIE, secrets.token_hex(16), httponly=True, samesite="strict")
        return response

    async def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _STATIC:
            raise HTTPException(404)
        return Response(_asset(name), media_type=_STATIC[name])

    async def listing(self, request: Request) -> Response:
        user = _user(request)
        entries = await asyncio.to_thread(self._services.library.entries, user)
        return _json([{"id": each.id, "title": each.title} for each in entries[:200]])

    async def upload(self, request: Request) -> Response:
        """Take a file as the body of the request; ``x-file-name`` is its name, percent-encoded."""
        user = _user(request)
        if int(request.headers.get("content-length", "0")) > MAX_UPLOAD:
            raise HTTPException(413)
        name = unquote(request.headers.get("x-file-name", ""), errors="replace")
        entry = await self._services.library.add(user, name, _chunks(request))
        await tracking.announce(self._services.tracker, entry)
        await working.enqueue(self._services.queue, entry)
        return _json({"id": entry.id, "title": entry.title}, 201)

    async def retry(self, request: Request) -> Response:
        """Take up a failed or cancelled job again."""
        user = _user(request)
        try:
            begun = await working.retry(self._services, request.path_params["id"], user)
        except ProgressNotFound:
            raise HTTPException(404) from None
        return _json({"retried": begun}, 202 if begun else 409)

    async def transcript(self, request: Request) -> Response:
        entry = await self._entry(request)
        found = await self._services.reader.read(entry.id)
        if found is None:
            raise HTTPException(404)
        return _json(found)

    async def edit(self, request: Request) -> Response:
        """Change title, texts or names of speakers; see :class:`Edit` for the body."""
        entry, library = await self._entry(request), self._services.library
        change = msgspec.json.decode(await _body(request), type=Edit)
        if await asyncio.to_thread(library.edit, entry.id, change) is None:
            raise HTTPException(404)
        await self._services.reader.changed(entry.id)
        await working.enqueue_reindex(self._services.queue, entry)
        return _json(await self._services.reader.read(entry.id))

    async def export(self, request: Request) -> Response:
        entry, name = await self._entry(request), request.path_params["format"]
        if name not in {*exporting.FORMATS, "txt", "json", "vtt", "md", "html"}:
            raise HTTPException(404)
        found = await self._services.reader.read(entry.id)
        if found is None:
            raise HTTPException(404)
        job = await exporting.export(
            self._services.exports, entry, name, revision=found["revision"]
        )
        return await self._download(job.id, entry.user_id)

    async def archive(self, request: Request) -> Response:
        """Begin a ZIP of all transcripts of the user that are ready, in all formats."""
        user = _user(request)
        entries = await asyncio.to_thread(self._services.library.entries, user)
        ready = [each for each in entries if self._services.library.load(each.id) is not None]
        if not ready:
            raise HTTPException(404)
        return _json({"id": await archiving.begin(self._services, user, ready)}, 201)

    async def archive_link(self, request: Request) -> Response:
        """Return a link to a finished archive that expires, and when."""
        job = await self._archived(request)
        return _json(
            {
                "url": await self._link(job.id, _user(request), archiving.LINK_TTL),
                "expires_in": archiving.LINK_TTL,
                "size": job.size,
            }
        )

    async def archive_file(self, request: Request) -> Response:
        """Lead to the file: for notifications, which outlive links."""
        job = await self._archived(request)
        url = await self._link(job.id, _user(request), archiving.LINK_TTL)
        return RedirectResponse(url, 303)

    async def _archived(self, request: Request) -> ExportJob:
        job = await archiving.made(self._services, request.path_params["id"], _user(request))
        if job is None:
            raise HTTPException(404)
        return job

    async def _download(self, job_id: str, user: str) -> Response:
        return RedirectResponse(await self._link(job_id, user, 300), 303)

    async def _link(self, job_id: str, user: str, ttl: float) -> str:
        token = await self._services.exports.link(job_id, ttl=ttl, user_id=user)
        return f"/files/files/{token}"

    async def search(self, request: Request) -> Response:
        user, query = _user(request), request.query_params
        names = ("speaker", "language", "title")
        filters = {name: query[name] for name in names if query.get(name)}
        found = await finding.find(self._services.search, user, query.get("q", "")[:1000], filters)
        facets = {name: list(facet.values) for name, facet in found.facets.items()}
        return _json({"hits": [_hit(each) for each in found], "facets": facets, "took": found.took})

    async def similar(self, request: Request) -> Response:
        user, segment = _user(request), request.path_params["id"]
        found = await finding.similar(self._services.search, user, segment)
        return _json({"hits": [_hit(each) for each in found]})

    async def _entry(self, request: Request) -> Any:
        user = _user(request)
        entry = await asyncio.to_thread(self._services.library.entry, request.path_params["id"])
        if entry is None or entry.user_id != user:
            raise HTTPException(404)
        return entry


def _hit(found: SearchResult) -> dict[str, Any]:
    told = {name: found.metadata[name] for name in ("transcript", "title", "speaker", "start")}
    # highlights are escaped by semsearch, all but their marks
    marked = " … ".join(found.highlights or []) or None
    return {"id": found.id, "html": marked, "text": found.content, **told}


def _user(request: Request) -> str:
    user = user_of(request)
    if user is None:
        raise HTTPException(401)
    return user


async def _body(request: Request) -> bytes:
    """Return a small body; the edit of a whole long transcript is one."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY:
            raise HTTPException(413)
    return bytes(body)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    async for chunk in request.stream():
        if chunk:
            yield chunk


def _asset(name: str) -> str:
    return (files(__package__) / "static" / name).read_text(encoding="utf-8")


@functools.cache
def _page(name: str) -> str:
    """Return a page with the paths of the packages' own browser clients filled in."""
    clients = {
        "{{progress}}": f"/progress/{progress_tracker.asgi.client_path('element.js')}",
        "{{inbox}}": f"/inbox/{notify.asgi.client_path('elements.js')}",
    }
    text = _asset(name)
    for mark, path in clients.items():
        text = text.replace(mark, path)
    return text


class _Guard:
    """Refuses requests that change something from pages of other sites, and sets headers.

    Each request has a correlation id, its own or a new one; the answer names it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        correlation = id_of(HTTPConnection(scope).headers.get(HEADER))

        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                known = {name for name, _ in message["headers"]}
                extra = [pair for pair in _HEADERS.items() if pair[0] not in known]
                mark = (HEADER.encode(), correlation.encode())
                message["headers"] = [*message["headers"], *extra, mark]
            await send(message)

        if scope["type"] == "http" and scope["method"] not in {"GET", "HEAD"}:
            request = Request(scope)
            origin = request.headers.get("origin")
            if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
                await Response("this origin is not allowed", 403)(scope, receive, send)
                return
        with correlated(correlation):
            await self._app(scope, receive, guarded)
