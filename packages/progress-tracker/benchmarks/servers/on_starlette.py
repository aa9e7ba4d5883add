"""The floor: the same bytes to every socket, with no store, no rights and no care."""

import json

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

sockets: set[WebSocket] = set()


async def watch(socket: WebSocket) -> None:
    """Keep a client until it leaves."""
    await socket.accept()
    sockets.add(socket)
    await socket.send_text("hello")
    try:
        while True:
            await socket.receive_text()
    except WebSocketDisconnect:
        sockets.discard(socket)


async def go(request: Request) -> Response:
    """Send to all."""
    text = json.dumps({"id": "x", "progress": 10, "message": request.query_params["mark"]})
    for socket in sockets:
        await socket.send_text(text)
    return Response()


app = Starlette(
    routes=[Route("/go", go, methods=["POST"]), WebSocketRoute("/ws/progress/x", watch)]
)
