"""Ours: one stored update of an operation that everybody watches."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from progress_tracker import Progress, ProgressTracker
from progress_tracker.asgi import Limits, create_app

tracker = ProgressTracker.from_url("memory://")


def authenticate(connection: HTTPConnection) -> str:
    """Take everybody for who they say they are: each client is another user."""
    return connection.query_params["user"]


def everybody(user: str, action: str, progress: Progress) -> bool:
    """Let everybody watch."""
    return True


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    """Create what is watched."""
    await tracker.create(id="x")
    yield
    await tracker.aclose()


async def go(request: Request) -> Response:
    """Update it once, with a message of ``size`` more characters."""
    query = request.query_params
    await tracker.update("x", 10, message=query["mark"] + "m" * int(query.get("size", "0")))
    return Response()


async def stand(_: Request) -> Response:
    """Say how many connections there are."""
    return JSONResponse({"connections": made.state.care.connections})


limits = Limits(patience=float(os.environ.get("BENCH_PATIENCE", "20")))
made = create_app(tracker, authenticate=authenticate, authorize=everybody, limits=limits)
# its own routes among ours, as the floor has them: below another application each socket would pay
# for that one's middleware, too
made.router.routes[:0] = [
    Route("/go", go, methods=["POST"]),
    Route("/stand", stand, methods=["POST"]),
]
made.router.lifespan_context = lifespan
app = made
