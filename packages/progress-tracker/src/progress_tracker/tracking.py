"""How decorated functions get their handles."""

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any

from .handle import ProgressHandle


def handle_parameter(function: Callable[..., Any]) -> str | None:
    """Return the parameter that is annotated :class:`ProgressHandle`, if any."""
    try:
        hints = typing.get_type_hints(function)
    except (NameError, TypeError):
        # a name that only type checkers see: compare the words
        hints = {
            name: ProgressHandle
            for name, hint in inspect.get_annotations(function).items()
            if isinstance(hint, str) and hint.rpartition(".")[2] == "ProgressHandle"
        }
    return next((name for name, hint in hints.items() if hint is ProgressHandle), None)


def wrapped(
    function: Callable[..., Any],
    begin: Callable[[tuple[Any, ...], dict[str, Any]], ProgressHandle],
    slot: str | None,
) -> Callable[..., Any]:
    """Return ``function`` with a handle around each call, which its parameter ``slot`` gets."""
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def wait(*args: Any, **kwargs: Any) -> Any:
            async with begin(args, kwargs) as handle:
                return await function(*args, **_with(kwargs, slot, handle))

        return wait

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        with begin(args, kwargs) as handle:
            return function(*args, **_with(kwargs, slot, handle))

    return run


def _with(kwargs: dict[str, Any], slot: str | None, handle: ProgressHandle) -> dict[str, Any]:
    return kwargs if slot is None or slot in kwargs else {**kwargs, slot: handle}
