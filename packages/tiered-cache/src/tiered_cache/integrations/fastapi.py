"""Dependencies for FastAPI: the cache itself, and what a route says of its responses."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Request

from ..models import Seconds, seconds
from ..service import CacheProvider
from .starlette import ResponseCache, mark

__all__ = ["ResponseCache", "cached", "lifespan", "provide"]


def provide(cache: CacheProvider) -> Callable[[], CacheProvider]:
    """Return a dependency that gives ``cache``; tests override it by another one.

    ``Cache = Annotated[CacheProvider, Depends(provide(cache))]``
    """

    def dependency() -> CacheProvider:
        return cache

    return dependency


def cached(ttl: Seconds | None = None, tags: Sequence[str] = ()) -> Callable[[Request], None]:
    """Return a dependency that lets :class:`ResponseCache` keep a route's responses.

    ``@app.get("/users/{user_id}", dependencies=[Depends(cached(60, tags=["user:{user_id}"]))])``

    Args:
        ttl: Seconds; what the middleware says if None.
        tags: Names to invalidate by; path parameters in braces are filled in.
    """

    def dependency(request: Request) -> None:
        filled = [_filled(tag, request.path_params) for tag in tags]
        mark(request.scope, ttl=seconds(ttl), tags=filled)

    return dependency


def _filled(tag: str, parameters: dict[str, Any]) -> str:
    for name, value in parameters.items():
        tag = tag.replace(f"{{{name}}}", str(value)[:100])
    return tag


def lifespan(cache: CacheProvider) -> Any:
    """Return a lifespan that opens ``cache`` with the application and closes it with it."""

    @asynccontextmanager
    async def scope(_: Any) -> AsyncGenerator[None, None]:
        async with cache:
            yield

    return scope
