"""The two pages, their scripts and styles, and the figures of the second one."""

import asyncio
import functools
from importlib.resources import files

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

import notify.asgi
import progress_tracker.asgi

from ..status import Status
from .requests import answer, introduce, required_user, user_of

_TYPES = {
    ".css": "text/css", ".js": "text/javascript", ".wav": "audio/wav", ".txt": "text/plain",
    ".srt": "application/x-subrip", ".vtt": "text/vtt", ".json": "application/json",
}  # fmt: skip


def routes(figures: Status) -> list[Route]:
    """Return the routes of the pages; ``figures`` are those of the status page."""

    async def status(request: Request) -> Response:
        required_user(request)
        return answer(await figures.read())

    return [
        Route("/", _home),
        Route("/status", _status_page),
        Route("/static/{name}", _static),
        Route("/samples/{name}", _sample),
        Route("/api/status", status),
    ]


async def _home(request: Request) -> Response:
    return _opened(request, "index.html")


async def _status_page(request: Request) -> Response:
    return _opened(request, "status.html")


def _opened(request: Request, name: str) -> Response:
    response = HTMLResponse(_page(name))
    if user_of(request) is None:
        introduce(response)
    return response


async def _static(request: Request) -> Response:
    name = request.path_params["name"]
    kind = _TYPES.get(name[name.rfind(".") :])
    if kind is None or name not in _assets():
        raise HTTPException(404)
    return Response(_asset(name), media_type=kind)


async def _sample(request: Request) -> Response:
    """Give one of the recordings and transcripts that ship with the studio."""
    name = request.path_params["name"]
    folder = files("transcript_studio") / "samples"
    kind = _TYPES.get(name[name.rfind(".") :])
    if kind is None or name not in {each.name for each in folder.iterdir()}:
        raise HTTPException(404)
    return Response(await asyncio.to_thread((folder / name).read_bytes), media_type=kind)


@functools.cache
def _assets() -> frozenset[str]:
    return frozenset(each.name for each in (files("transcript_studio") / "static").iterdir())


def _asset(name: str) -> str:
    return (files("transcript_studio") / "static" / name).read_text(encoding="utf-8")


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
