"""Handlers: what is registered under a job's name, and how it is called."""

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .context import JobContext
from .errors import ConfigurationError, UnknownJob
from .models import Backoff, Job, RunIn
from .payload import fit
from .ports import Limit


@dataclass(frozen=True, slots=True)
class Handler:
    """A function that runs jobs of one name.

    Attributes:
        name: The jobs' name.
        function: The user's function.
        run_in: ``loop``, ``thread`` or ``process``.
        kind: What its first parameter takes: None for the ``Job``, else a type for its data.
        wants_context: Whether its second parameter is a ``JobContext``.
        wants_job: Whether it has parameters at all.
        queue: Where its jobs wait, unless the call says otherwise.
        max_attempts: Likewise.
        backoff: Likewise.
        timeout: Likewise, in seconds.
        retry_on: Only these exceptions are retried; empty for all.
        unique: Whether a job is unique by its name and data until it ends.
        result_ttl: Seconds that its ended jobs are kept.
        limit: How many of its jobs run at once or begin within a period, over all workers.
        limit_by: Makes the key that the limit counts apart of a job's data; None for one key.
    """

    name: str
    function: Callable[..., Any]
    run_in: RunIn
    kind: Any = None
    wants_context: bool = False
    wants_job: bool = True
    queue: str | None = None
    max_attempts: int | None = None
    backoff: Backoff | None = None
    timeout: float | None = None
    retry_on: Sequence[type[BaseException]] = ()
    unique: bool = False
    result_ttl: float | None = None
    limit: Limit | None = None
    limit_by: Callable[[Any], Any] | None = None

    def arguments(self, job: Job, context: JobContext) -> tuple[Any, ...]:
        """Return what the function is called with.

        Raises:
            PayloadError: The job's data does not fit the annotated type.
        """
        if not self.wants_job:
            return ()
        first = job if self.kind is None else fit(job.data, self.kind, f"data of job {job.id!r}")
        return (first, context) if self.wants_context else (first,)


def inspect_handler(function: Callable[..., Any], run_in: RunIn | None) -> dict[str, Any]:
    """Return what the function's signature says: ``run_in``, ``kind``, ``wants_context``, ….

    Raises:
        ConfigurationError: Nobody could fill its parameters, or ``run_in`` cannot run it.
    """
    if not callable(function):
        raise ConfigurationError(f"a handler must be a function, not {function!r}")
    is_async = inspect.iscoroutinefunction(function)
    place = run_in or ("loop" if is_async else "thread")
    if place not in {"loop", "thread", "process"}:
        raise ConfigurationError(f"run_in must be 'loop', 'thread' or 'process', not {run_in!r}")
    if place == "loop" and not is_async:
        raise ConfigurationError(f"{function!r} is not async: run_in='loop' would block the loop")
    title = getattr(function, "__qualname__", None)
    if place == "process" and (title is None or "<" in title):
        raise ConfigurationError(f"{title or function!r} is not importable by another process")
    kinds_of_rest = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    parameters = inspect.signature(function).parameters.values()
    names = [p for p in parameters if p.kind not in kinds_of_rest]
    if not parameters:
        return {"run_in": place, "wants_job": False}
    required = [p for p in names if p.default is p.empty and p.kind is not p.KEYWORD_ONLY]
    if not names or len(required) > 2:
        raise ConfigurationError(
            f"{title or function!r} must take the job, and may take a JobContext, or nothing"
        )
    hints = _hints(function)
    kinds = [hints.get(p.name) for p in names[:2]]
    _check_parameters(names, kinds, title or repr(function))
    kind = None if kinds[0] in {None, Job, Any} else kinds[0]
    return {
        "run_in": place,
        "kind": kind,
        "wants_context": len(names) > 1 and kinds[1] is JobContext,
    }


def _check_parameters(names: Sequence[inspect.Parameter], kinds: Sequence[Any], title: str) -> None:
    """Refuse what could never be called.

    Raises:
        ConfigurationError: The context comes first, or by keyword only, or is not annotated.
    """
    if kinds[0] is JobContext:
        raise ConfigurationError(f"the first parameter of {title!r} is the job, not the context")
    for each in [p for p in names[1:] if p.default is p.empty]:
        if each.kind is each.KEYWORD_ONLY or each is not names[1]:
            raise ConfigurationError(
                f"{title!r} is called with the job and a JobContext: nothing fills {each.name!r}"
            )
        if kinds[1:] and kinds[1] is not JobContext:
            raise ConfigurationError(
                f"annotate the second parameter of {title!r}: {each.name}: JobContext"
            )


def _hints(function: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError):
        # a name that only type checkers see: the function gets the Job
        return {}


@dataclass(slots=True)
class Handlers:
    """The handlers of one queue by name. Names are looked up here and never imported."""

    known: dict[str, Handler] = field(default_factory=dict)

    @property
    def limits(self) -> dict[str, Limit]:
        """The limits by the jobs' name."""
        return {name: each.limit for name, each in self.known.items() if each.limit is not None}

    def add(self, handler: Handler) -> None:
        """Register ``handler``; the same function may be registered again (module reloads).

        Raises:
            ConfigurationError: Another function has the name.
        """
        before = self.known.get(handler.name)
        if before is not None and _path(before.function) != _path(handler.function):
            raise ConfigurationError(
                f"{handler.name!r} is handled by {_path(before.function)!r} already, not also by "
                f"{_path(handler.function)!r}"
            )
        self.known[handler.name] = handler

    def get(self, name: str) -> Handler:
        """Return the handler of ``name``.

        Raises:
            UnknownJob: Nobody registered one.
        """
        if (found := self.known.get(name)) is None:
            names = ", ".join(sorted(self.known)) or "none"
            raise UnknownJob(f"no handler is registered for {name!r}; registered: {names}")
        return found


def _path(function: Callable[..., Any]) -> str:
    # functools.partial and objects with __call__ have no name of their own
    title = getattr(function, "__qualname__", None)
    return f"{function.__module__}.{title}" if title else repr(function)
