"""Ours: one stored update of an operation that everybody watches."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from progress_tracker import Progress, ProgressTracker
from progress_tracker.asgi import create_app

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
    """Update it once."""
    await tracker.update("x", 10, message=request.query_params["mark"])
    return Response()


made = create_app(tracker, authenticate=authenticate, authorize=everybody)
app = Starlette(routes=[Route("/go", go, methods=["POST"]), Mount("/", made)], lifespan=lifespan)
