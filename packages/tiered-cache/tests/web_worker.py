"""A web application with a cache, for a test: ``python web_worker.py REDIS_URL NUMBERS``.

The file ``NUMBERS`` is its database: a number for each item. Prints the port that it listens on.
"""

import asyncio
import contextlib
import fcntl
import os
import socket
import struct
import sys
from collections.abc import AsyncGenerator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tiered_cache import CacheProvider, Settings
from tiered_cache.integrations.starlette import ResponseCache, mark

ITEMS = 12
SUSPECT = 1.0
_NUMBER = struct.Struct("<q")


class Numbers:
    """The database, which takes a moment to answer."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDWR)

    async def read(self, item: int) -> int:
        number: int = _NUMBER.unpack(os.pread(self._file, 8, item * 8))[0]
        await asyncio.sleep(0.01)
        return number

    def raise_(self, item: int) -> int:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            number: int = _NUMBER.unpack(os.pread(self._file, 8, item * 8))[0] + 1
            os.pwrite(self._file, _NUMBER.pack(number), item * 8)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        return number


def app_of(cache: CacheProvider, numbers: Numbers) -> ResponseCache:
    """Return the application: items and pages are read, items are changed."""

    async def item(request: Request) -> JSONResponse:
        n = int(request.path_params["n"])
        number = await cache.get_or_set(f"item:{n}", lambda: numbers.read(n), tags=[f"item:{n}"])
        return JSONResponse({"number": number}, headers={"cache-control": "no-store"})

    async def page(request: Request) -> JSONResponse:
        n = int(request.path_params["n"])
        mark(request.scope, ttl=60, tags=[f"item:{n}"])
        return JSONResponse({"number": await numbers.read(n)})

    async def change(request: Request) -> JSONResponse:
        n = int(request.path_params["n"])
        number = numbers.raise_(n)
        done = await cache.invalidate([f"item:{n}"])
        return JSONResponse({"number": number, "confirmed": done.confirmed})

    async def state(_: Request) -> JSONResponse:
        stats = await cache.get_stats()
        told = {"breaker": stats.breaker, "trusted": stats.trusted, "opened": stats.breaker_opened}
        return JSONResponse({**told, "hits": stats.l1_hits, "pending": stats.pending})

    @contextlib.asynccontextmanager
    async def lifespan(_: Any) -> AsyncGenerator[None, None]:
        async with cache:
            yield

    routes = [
        Route("/items/{n}", item),
        Route("/items/{n}", change, methods=["PUT"]),
        Route("/pages/{n}", page),
        Route("/state", state),
    ]
    return ResponseCache(Starlette(routes=routes, lifespan=lifespan), cache, only_marked=True)


def main() -> None:
    url, path = sys.argv[1:]
    settings = {"suspect_after": SUSPECT, "l2": {"connection_string": url}}
    cache = CacheProvider(Settings.from_mapping(settings))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        print(listening.getsockname()[1], flush=True)
        config = uvicorn.Config(app_of(cache, Numbers(path)), log_level="error")
        asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))


if __name__ == "__main__":
    main()
