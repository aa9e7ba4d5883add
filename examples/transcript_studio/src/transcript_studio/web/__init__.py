"""The page and its API: upload, live progress, bell, search, downloads."""

import contextlib
from collections.abc import AsyncGenerator

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

import exporter.asgi
import notify.asgi
import progress_tracker.asgi

from ..services import Services
from ..status import Status
from ..supervisor import Supervisor
from . import downloads, pages, searching, transcripts
from .cancelling import Cancelling
from .guard import Guard
from .problems import handlers
from .requests import user_of

__all__ = ["create_app"]


def create_app(services: Services, workers: Supervisor | None = None) -> Starlette:
    """Return the studio as an ASGI application.

    Args:
        services: What it shows and does; closed when the application ends.
        workers: The worker processes beside it, for the status page.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None, None]:
        yield
        await services.aclose()

    tracked = progress_tracker.asgi.create_app(services.tracker, authenticate=user_of)
    return Starlette(
        routes=[
            *pages.routes(Status.of(services, workers)),
            *transcripts.routes(services),
            *downloads.routes(services),
            *searching.routes(services),
            Mount("/progress", Cancelling(tracked, services)),
            Mount("/inbox", notify.asgi.create_app(services.notifications, authenticate=user_of)),
            Mount("/files", exporter.asgi.create_app(services.exports, authenticate=user_of)),
        ],
        middleware=[Middleware(Guard)],
        exception_handlers=handlers(),
        lifespan=lifespan,
    )
