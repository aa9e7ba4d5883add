"""Dependencies for FastAPI: the cache itself, and what a route says of its responses."""

import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from fastapi import Request

from ..errors import ConfigurationError
from ..models import Seconds, check_seconds
from ..service import CacheProvider
from .starlette import ResponseCache, mark

__all__ = ["ResponseCache", "cached", "lifespan", "provide"]
_FIELD = re.compile(r"\{(\w+)\}")


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
        tags: Names to invalidate by; path parameters in braces are filled in. A response for which
            one gets longer than 200 characters is not kept.

    Raises:
        ConfigurationError: ``ttl`` is no positive number of seconds, or ``tags`` are a str.
    """
    if ttl is not None:
        check_seconds("ttl", ttl, zero=False)
    if isinstance(tags, str):
        raise ConfigurationError(f"tags must be a list of str, not {tags!r}")

    def dependency(request: Request) -> None:
        filled = [_filled(tag, request.path_params) for tag in tags]
        mark(request.scope, ttl=ttl, tags=filled)

    return dependency


def _filled(tag: str, parameters: Mapping[str, Any]) -> str:
    # at once: a value may look like the name of another parameter
    return _FIELD.sub(lambda found: str(parameters.get(found[1], found[0])), tag)


def lifespan(cache: CacheProvider) -> Any:
    """Return a lifespan that opens ``cache`` with the application and closes it with it."""

    @asynccontextmanager
    async def scope(_: Any) -> AsyncGenerator[None, None]:
        async with cache:
            yield

    return scope
