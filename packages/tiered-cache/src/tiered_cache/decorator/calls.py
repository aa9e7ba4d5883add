"""One decorated function: its wrapper, and what it offers beside being called."""

import functools
import inspect
import time
import typing
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar, overload

from .._common.clock import SystemClock
from .._common.portal import Inbox
from ..blocking import PORTAL, lent
from ..engine import Job
from ..errors import ConfigurationError
from ..keys import KeyMaker
from ..models import CacheOptions, check_callable
from ..read_through import refresh
from .compiled import Places, compile_wrapper
from .tags import TagMaker

if TYPE_CHECKING:
    from ..service.decorating import Decorating

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class CachedFunction(Protocol[P, R_co]):
    """What ``cached`` makes of a function: it is called as before, and offers four things more.

    Of a coroutine function ``invalidate`` and ``refresh`` are awaited, of a blocking one they are
    not. They take the arguments of a call; of a method, the object is the first of them.
    """

    __name__: str
    bypass: Callable[..., Any]
    """The function itself: asks nobody and stores nothing."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Return the cached result, or call the function and cache what it returns."""
        ...

    @overload
    def __get__(self, owner: None, kind: Any = None) -> "CachedFunction[P, R_co]": ...
    @overload
    def __get__(self, owner: object, kind: Any = None) -> "CachedFunction[..., R_co]": ...

    def key(self, *args: Any, **kwargs: Any) -> str:
        """Return the key of a call with these arguments."""
        ...

    def invalidate(self, *args: Any, **kwargs: Any) -> Any:
        """Forget the result of a call with these arguments, in every process."""
        ...

    def refresh(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function anew with these arguments and cache its result."""
        ...


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
    """Return ``function`` with its results cached.

    Raises:
        ConfigurationError: It is none whose results can be cached, or a rule is wrong.
    """
    _check(function, rules)
    return _Call(cache, function, rules).wrapper()


def _check(function: Any, rules: Cached) -> None:
    check_callable("what cached() decorates", function)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise ConfigurationError(
            f"{function.__qualname__} is a generator, which can be run through once only: return a "
            "list, or cache what it is made of"
        )
    for name in ("condition", "unless"):
        if (rule := getattr(rules, name)) is not None:
            check_callable(name, rule)
    if rules.namespace is not None and not isinstance(rules.namespace, str):  # pyright: ignore[reportUnnecessaryIsInstance]  a caller's mistake
        raise ConfigurationError(f"namespace must be a str, not {rules.namespace!r}")
    if not isinstance(rules.version, int):  # pyright: ignore[reportUnnecessaryIsInstance]  a caller's mistake
        raise ConfigurationError(f"version must be a whole number, not {rules.version!r}")


class _Call:
    """One decorated function."""

    def __init__(self, cache: "Decorating", function: Any, rules: Cached) -> None:
        self._cache, self._function, self._rules = cache, function, rules
        self._make = KeyMaker(function, rules.key, rules.namespace, rules.version)
        self._local = replace(rules.options, skip_l2=True)
        self._tags = TagMaker(rules.options.tags or (), list(self._make.signature.parameters))
        self._kind: Any = False
        self._places = Places(has_owner=self._make.has_owner)

    def wrapper(self) -> Any:
        waits = inspect.iscoroutinefunction(self._function)
        clock = self._cache.clock
        made = compile_wrapper(
            self._make.signature,
            self._function,
            places=self._places,
            live=self._cache.live,
            # straight from the library: the clock's own method would be a second call
            monotonic=time.monotonic if isinstance(clock, SystemClock) else clock.monotonic,
            condition=self._rules.condition,
            slow=self._ask if waits else self._ask_blocking,
        )
        made.key = self.key
        made.bypass = self._function
        made.invalidate = self.invalidate if waits else self._invalidate_blocking
        made.refresh = self.refresh if waits else self._refresh_blocking
        return made

    async def _ask(self, fast: bool, values: tuple[Any, ...], call: Callable[[], Any]) -> Any:  # noqa: FBT001  compiled code calls it
        return await self._cache.ask(self._job(values, fast=fast), self._wrapped(call))

    def _ask_blocking(self, fast: bool, values: tuple[Any, ...], call: Callable[[], Any]) -> Any:  # noqa: FBT001  compiled code calls it
        return self._cache.ask_blocking(self._job(values, fast=fast), self._wrapped(call))

    def _job(self, values: tuple[Any, ...], *, fast: bool = False) -> Job:
        key, shared = self._make.of(values)
        job = Job(key, self._options(values, shared=shared), self._declared())
        if fast:
            job.alias = self._places.of(values)
        return job

    def _options(self, values: tuple[Any, ...], *, shared: bool) -> CacheOptions:
        options = self._rules.options if shared else self._local
        return replace(options, tags=self._tags.of(values)) if self._tags.has_fields else options

    def key(self, *args: Any, **kwargs: Any) -> str:
        return self._make(args, kwargs)[0]

    async def invalidate(self, *args: Any, **kwargs: Any) -> Any:
        return await self._cache.delete(self.key(*args, **kwargs))

    def _invalidate_blocking(self, *args: Any, **kwargs: Any) -> Any:
        return PORTAL.run(self.invalidate, *args, **kwargs)

    async def refresh(self, *args: Any, **kwargs: Any) -> Any:
        factory = functools.partial(self._function, *args, **kwargs)
        return await self._compute_anew(factory, args, kwargs)

    def _refresh_blocking(self, *args: Any, **kwargs: Any) -> Any:
        PORTAL.refuse_loop()
        inbox = Inbox()
        factory = lent(inbox, functools.partial(self._function, *args, **kwargs))
        return PORTAL.wait(inbox, self._compute_anew(factory, args, kwargs))

    async def _compute_anew(
        self, factory: Callable[[], Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        bound = self._make.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        engine = await self._cache.opened()
        job = self._job(tuple(bound.arguments.values()))
        return await refresh(engine, job, self._wrapped(factory))

    def _declared(self) -> Any:
        if self._kind is False:
            try:
                kind = typing.get_type_hints(self._function).get("return")
            except (NameError, TypeError):
                kind = None  # a name that only type checkers see
            self._kind = None if kind in {Any, type(None), object} else kind
        return self._kind

    def _wrapped(self, factory: Callable[[], Any]) -> Callable[..., Any]:
        """Return the factory, which tells its context what ``unless`` says."""
        unless = self._rules.unless
        if unless is None:
            return _bare(factory)
        if inspect.iscoroutinefunction(self._function) or inspect.iscoroutinefunction(factory):

            async def later(context: Any) -> Any:
                result = await factory()
                context.skip = unless(result)
                return result

            return later

        def at_once(context: Any) -> Any:
            result = factory()
            context.skip = unless(result)
            return result

        return at_once


def _bare(factory: Callable[[], Any]) -> Callable[[], Any]:
    # a partial shows the function's own parameters, which are no place for a context
    return lambda: factory()  # noqa: PLW0108  the lambda hides the signature
