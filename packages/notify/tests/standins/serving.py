"""A local server on the test's own loop, and what all stand-ins share."""

import base64
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.requests import Request
from starlette.responses import Response


class Refused(Exception):
    """What a stand-in answers in place of taking a message."""

    def __init__(self, status: int, body: Any = None, **headers: str) -> None:
        super().__init__(status)
        self.status, self.body = status, body
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass
class StandIn:
    """A provider: ``taken`` is what it accepted; ``script`` is what it answers first."""

    url: str = ""
    taken: list[Any] = field(default_factory=list)
    script: list[Refused] = field(default_factory=list)
    seen: int = 0

    async def answer(self, request: Request) -> Response:
        """Check a request and take the message."""
        raise NotImplementedError

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        self.seen += 1
        try:
            if self.script:
                raise self.script.pop(0)
            made = await self.answer(request)
        except Refused as refused:
            await request.body()
            made = reply(refused.status, refused.body, refused.headers)
        await made(scope, receive, send)


def reply(status: int, body: Any = None, headers: dict[str, str] | None = None) -> Response:
    """Return JSON, text or nothing."""
    if body is None or isinstance(body, str | bytes):
        return Response(body, status, headers)
    return Response(json.dumps(body), status, headers, "application/json")


@contextlib.asynccontextmanager
async def serve(app: Any) -> AsyncIterator[Any]:
    """Run ``app`` on a port of its own and set its ``url``."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_level="critical", lifespan="off", ws="none"
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    # not serve(): it looks only ten times a second whether it is to end
    await server.startup()
    await server.on_tick(0)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        app.url = f"http://127.0.0.1:{port}"
        yield app
    finally:
        server.force_exit = True
        await server.shutdown()


def basic(request: Request) -> tuple[str, str]:
    """Return user and password of Basic authentication; empty ones if there are none."""
    kind, _, value = request.headers.get("authorization", "").partition(" ")
    if kind != "Basic":
        return "", ""
    user, _, password = base64.b64decode(value).decode().partition(":")
    return user, password


async def json_of(request: Request) -> Any:
    """Return the JSON of a request, whose type must say so."""
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise Refused(415)
    try:
        return json.loads(await request.body())
    except ValueError:
        raise Refused(400) from None
