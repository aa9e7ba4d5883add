"""python-socketio: an emit to a room, in one process."""

from typing import Any

import socketio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

server: Any = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*")


@server.event
async def connect(sid: str, environ: Any) -> None:
    """Put everybody into one room."""
    await server.enter_room(sid, "x")
    await server.emit("progress", {"hello": 1}, to=sid)


async def go(request: Request) -> Response:
    """Emit once."""
    data = {"id": "x", "progress": 10, "message": request.query_params["mark"]}
    await server.emit("progress", data, room="x")
    return Response()


app = socketio.ASGIApp(server, Starlette(routes=[Route("/go", go, methods=["POST"])]))
