"""Who asks, for what, and with what in the body.

Every browser is a user of its own, told apart by a random cookie: the studio is made for one
machine and listens on loopback.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from ..library import Entry, Library

_COOKIE = "studio_user"
_MAX_BODY = 8 << 20


def user_of(connection: HTTPConnection) -> str | None:
    """Return who a browser is; None before it has opened the page."""
    value = connection.cookies.get(_COOKIE, "")
    return value if len(value) == 32 and value.isalnum() else None


def introduce(response: Response) -> None:
    """Make a browser a user."""
    response.set_cookie(_COOKIE, secrets.token_hex(16), httponly=True, samesite="strict")


def required_user(request: Request) -> str:
    """Return who asks, or answer 401."""
    user = user_of(request)
    if user is None:
        raise HTTPException(401)
    return user


async def own_entry(library: Library, request: Request) -> Entry:
    """Return the entry that the path names, or answer 404: also for another user's."""
    user = required_user(request)
    entry = await asyncio.to_thread(library.entry, request.path_params["id"])
    if entry is None or entry.user_id != user:
        raise HTTPException(404)
    return entry


async def body(request: Request) -> bytes:
    """Return a small body; the edit of a whole long transcript is one."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > _MAX_BODY:
            raise HTTPException(413)
    return bytes(data)


async def chunks(request: Request) -> AsyncIterator[bytes]:
    """Yield a body of any size as it arrives."""
    async for chunk in request.stream():
        if chunk:
            yield chunk


def answer(value: Any, status: int = 200) -> Response:
    """Return a JSON answer."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")
