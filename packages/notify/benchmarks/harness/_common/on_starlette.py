"""The floor: the same bytes to every socket, with no store, no rights and no care."""

import json

from servers.event import PATH, event_of
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

sockets: set[WebSocket] = set()
missed: list[str] = []


def text_of(seq: int, title: str, message: str = "") -> str:
    """Return an event as text."""
    return json.dumps(event_of(seq, title, message), separators=(",", ":"))


async def watch(socket: WebSocket) -> None:
    """Keep a client until it leaves; tell it first what it missed."""
    await socket.accept()
    sockets.add(socket)
    for text in missed or ["hello"]:
        await socket.send_text(text)
    try:
        while True:
            await socket.receive_text()
    except WebSocketDisconnect:
        sockets.discard(socket)


async def go(request: Request) -> Response:
    """Send to all."""
    text = text_of(1, request.query_params["mark"])
    for socket in sockets:
        await socket.send_text(text)
    return Response()


async def fill(request: Request) -> Response:
    """Have as much to tell as the others."""
    each = int(request.query_params["each"])
    missed[:] = [text_of(n + 1, f"title {n:05}", "m" * 80) for n in range(each)]
    return Response()


app = Starlette(
    routes=[
        Route("/go", go, methods=["POST"]),
        Route("/fill", fill, methods=["POST"]),
        WebSocketRoute(PATH, watch),
    ]
)
