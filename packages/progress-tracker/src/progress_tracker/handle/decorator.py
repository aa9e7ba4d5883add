"""``@tracker.tracked``: a handle around each call of a function."""

import functools
import inspect
import typing
from collections.abc import Callable
from typing import Any

from . import ProgressHandle


def handle_parameter(function: Callable[..., Any]) -> str | None:
    """Return the parameter that is annotated :class:`ProgressHandle`, if any."""
    try:
        hints = typing.get_type_hints(function)
    except (NameError, TypeError, AttributeError):
        # a name that only type checkers see: compare the words
        hints = {
            name: ProgressHandle
            for name, hint in inspect.get_annotations(function).items()
            if isinstance(hint, str) and hint.rpartition(".")[2] == "ProgressHandle"
        }
    hints.pop("return", None)
    return next((name for name, hint in hints.items() if _is_handle(hint)), None)


def _is_handle(hint: Any) -> bool:
    return hint is ProgressHandle or ProgressHandle in typing.get_args(hint)


def wrapped(
    function: Callable[..., Any],
    begin: Callable[[tuple[Any, ...], dict[str, Any]], ProgressHandle],
    slot: str | None,
) -> Callable[..., Any]:
    """Return ``function`` with a handle around each call, which its parameter ``slot`` gets.

    Raises:
        TypeError: It is a generator: its call would end before its work begins.
    """
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError("tracked() takes no generators: use track() inside of it")
    signature = inspect.signature(function)
    made: Any
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def wait(*args: Any, **kwargs: Any) -> Any:
            async with begin(args, kwargs) as handle:
                args, kwargs = _with(signature, args, kwargs, slot, handle)
                return await function(*args, **kwargs)

        made = wait
    else:

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with begin(args, kwargs) as handle:
                args, kwargs = _with(signature, args, kwargs, slot, handle)
                return function(*args, **kwargs)

        made = run
    rest = [each for name, each in signature.parameters.items() if name != slot]
    made.__signature__ = signature.replace(parameters=rest)  # frameworks look at it
    return made  # type: ignore[no-any-return]  # a function, whatever it was


def _with(
    signature: inspect.Signature,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    slot: str | None,
    handle: ProgressHandle,
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments with ``handle`` at its place, unless the caller gives one."""
    if slot is None or slot in kwargs or any(isinstance(each, ProgressHandle) for each in args):
        return args, kwargs
    place = list(signature.parameters).index(slot)
    if signature.parameters[slot].kind is not inspect.Parameter.KEYWORD_ONLY and place <= len(args):
        return (*args[:place], handle, *args[place:]), kwargs
    return args, {**kwargs, slot: handle}
