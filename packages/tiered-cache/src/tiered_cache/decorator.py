"""``@cache.cached``: functions whose results are remembered."""

import functools
import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .engine import Job
from .keys import KeyMaker
from .models import CacheOptions
from .read_through import refresh

if TYPE_CHECKING:
    from .service.decorating import Decorating


@dataclass(frozen=True, slots=True)
class Cached:
    """What ``cached`` was told."""

    options: CacheOptions
    key: str | None = None
    condition: Callable[..., bool] | None = None
    unless: Callable[[Any], bool] | None = None
    namespace: str | None = None
    version: int = 1


def cached_function(cache: "Decorating", function: Any, rules: Cached) -> Any:
    """Return ``function`` with its results cached."""
    call = _Call(cache, function, rules)
    made = call.asynchronous() if inspect.iscoroutinefunction(function) else call.blocking()
    made.key = call.key
    made.invalidate = call.invalidate
    made.refresh = call.refresh
    made.bypass = function
    return made


class _Call:
    """One decorated function."""

    def __init__(self, cache: "Decorating", function: Any, rules: Cached) -> None:
        self._cache, self._function, self._rules = cache, function, rules
        self._make = KeyMaker(function, rules.key, rules.namespace, rules.version)
        self._local = replace(rules.options, skip_l2=True)
        self._kind: Any = False

    def key(self, *args: Any, **kwargs: Any) -> str:
        """Return the key of a call with these arguments."""
        return self._make(args, kwargs)[0]

    async def invalidate(self, *args: Any, **kwargs: Any) -> Any:
        """Forget the result of a call with these arguments, in every process."""
        return await self._cache.delete(self.key(*args, **kwargs))

    async def refresh(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function anew with these arguments and cache its result."""
        engine = await self._cache.opened()
        factory = functools.partial(self._function, *args, **kwargs)
        return await refresh(engine, self._job(args, kwargs), self._wrapped(factory))

    def asynchronous(self) -> Any:
        rules = self._rules

        @functools.wraps(self._function)
        async def wrapper(*args: Any, **kwargs: Any) -> Any:
            if rules.condition is not None and not rules.condition(*args, **kwargs):
                return await self._function(*args, **kwargs)
            factory = functools.partial(self._function, *args, **kwargs)
            return await self._cache.ask(self._job(args, kwargs), self._wrapped(factory))

        return wrapper

    def blocking(self) -> Any:
        rules = self._rules

        @functools.wraps(self._function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            if rules.condition is not None and not rules.condition(*args, **kwargs):
                return self._function(*args, **kwargs)
            factory = functools.partial(self._function, *args, **kwargs)
            return self._cache.ask_blocking(self._job(args, kwargs), self._wrapped(factory))

        return wrapper

    def _job(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Job:
        key, shared = self._make(args, kwargs)
        return Job(key, self._rules.options if shared else self._local, self._declared())

    def _declared(self) -> Any:
        if self._kind is False:
            try:
                kind = typing.get_type_hints(self._function).get("return")
            except (NameError, TypeError):
                kind = None  # a name that only type checkers see
            self._kind = None if kind in {Any, type(None), object} else kind
        return self._kind

    def _wrapped(self, factory: Callable[[], Any]) -> Callable[[], Any]:
        """Return the factory, which tells its context what ``unless`` says."""
        unless = self._rules.unless
        if unless is None:
            return _bare(factory)
        if inspect.iscoroutinefunction(self._function):

            async def later(context: Any) -> Any:
                result = await factory()
                context.skip = unless(result)
                return result

            return later  # type: ignore[return-value]  # it wants the context

        def at_once(context: Any) -> Any:
            result = factory()
            context.skip = unless(result)
            return result

        return at_once  # type: ignore[return-value]  # as above


def _bare(factory: Callable[[], Any]) -> Callable[[], Any]:
    # a partial shows the function's own parameters, which are no place for a context
    return lambda: factory()  # noqa: PLW0108  the lambda hides the signature
