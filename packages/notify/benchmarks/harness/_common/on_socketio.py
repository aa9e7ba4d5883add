"""python-socketio: an emit to a room, in one process."""

from typing import Any

import socketio
from servers.event import KIND, event_of
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

server: Any = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*")


@server.event
async def connect(sid: str, environ: Any) -> None:
    """Put everybody into one room."""
    await server.enter_room(sid, "x")
    await server.emit(KIND, {"hello": 1}, to=sid)


async def go(request: Request) -> Response:
    """Emit once."""
    await server.emit(KIND, event_of(1, request.query_params["mark"]), room="x")
    return Response()


app = socketio.ASGIApp(server, Starlette(routes=[Route("/go", go, methods=["POST"])]))
