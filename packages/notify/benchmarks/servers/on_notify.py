"""Ours: stored notifications, each user's sequence, and their live sockets."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from notify import Notification, NotificationService
from notify.asgi import Limits, create_app

service = NotificationService.from_url(os.environ.get("BENCH_URL", "memory://"))


def authenticate(connection: HTTPConnection) -> str:
    """Take everybody for who they say they are."""
    return connection.query_params["user"]


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Have something to greet with."""
    await service.send(Notification(title="hello", user_id="x"))
    yield
    await service.aclose()


async def go(request: Request) -> Response:
    """Send one message to the user of all sockets."""
    query = request.query_params
    text = "m" * int(query.get("size", "0"))
    await service.send(Notification(title=query["mark"], message=text, user_id="x"))
    return Response()


async def fill(request: Request) -> Response:
    """Store ``each`` notifications for each of ``users`` users."""
    users, each = (int(request.query_params[name]) for name in ("users", "each"))
    for n in range(each):
        await service.send_bulk(
            Notification(title=f"title {n:05}", message="m" * 80, user_id=f"u{user}")
            for user in range(users)
        )
    return Response()


async def stand(_: Request) -> Response:
    """Say how many connections there are."""
    return JSONResponse({"connections": made.state.care.connections})


limits = Limits(
    connections_per_user=100_000, patience=float(os.environ.get("BENCH_PATIENCE", "30"))
)
made = create_app(service, authenticate=authenticate, limits=limits)
control = Starlette(
    routes=[
        Route("/go", go, methods=["POST"]),
        Route("/fill", fill, methods=["POST"]),
        Route("/stand", stand, methods=["POST"]),
    ],
    lifespan=lifespan,
)
CONTROL = {"/go", "/fill", "/stand"}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Serve inboxes by our application alone, as the floor does by its own."""
    is_control = scope["type"] == "lifespan" or scope["path"] in CONTROL
    await (control if is_control else made)(scope, receive, send)
