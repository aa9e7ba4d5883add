"""Wrappers with the signature of what they wrap, compiled once when a function is decorated.

A hit is then one dict lookup by the arguments, comparisons and one attribute store; binding
arguments by ``inspect.Signature`` for each call would cost ten times as much. What is compiled
holds names of parameters and nothing else that anybody else could choose.

Arguments are told apart by value and class: ``1``, ``True`` and ``"1"`` differ. Only calls whose
arguments all are of the classes ``PLAIN`` are remembered that way: nested values do not tell
``(1,)`` from ``(True,)``, and ``0.0`` equals ``-0.0``.
"""

import functools
import inspect
import weakref
from collections.abc import Callable
from typing import Any, Final

from ..engine import Live
from ..ports import Alias, Entry

PLAIN: Final = frozenset({str, int, bool, bytes, type(None)})
_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Places:
    """Entries of one decorated function by the arguments of calls.

    An object is told apart by its ``id``: what is remembered of it goes with it, before another
    object can have that ``id``.
    """

    def __init__(self, *, has_owner: bool) -> None:
        """Remember nothing; ``has_owner``: the first argument of a call is an object."""
        self.entries: dict[Any, Entry] = {}
        self.owners: dict[int, dict[Any, Entry]] = {}
        self.has_owner = has_owner
        self._watched: dict[int, object] = {}

    def of(self, values: tuple[Any, ...]) -> Alias | None:
        """Return where a call with these arguments may be found, or None."""
        entries: dict[Any, Entry] | None = self.entries
        if self.has_owner:
            entries, values = self._of_owner(values[0]), values[1:]
        if entries is None or any(type(value) not in PLAIN for value in values):
            return None
        return entries, tuple(part for value in values for part in (value, type(value)))

    def _of_owner(self, owner: Any) -> dict[Any, Entry] | None:
        if hasattr(type(owner), "__cache_key__"):
            return None  # its key may change with its state
        number = id(owner)
        if (known := self.owners.get(number)) is not None:
            return known
        owners, watched = self.owners, self._watched

        def gone(_: object) -> None:
            owners.pop(number, None)
            watched.pop(number, None)

        try:
            watched[number] = weakref.ref(owner, gone)
        except TypeError:
            return None
        return owners.setdefault(number, {})


def compile_wrapper(
    signature: inspect.Signature,
    function: Callable[..., Any],
    *,
    places: Places,
    live: Live,
    monotonic: Callable[[], float],
    condition: Callable[..., bool] | None,
    slow: Callable[..., Any],
) -> Any:
    """Return a function of the same parameters.

    Args:
        signature: The signature of ``function``.
        function: What is called where ``condition`` is false; a coroutine function or a plain one.
        places: Where calls are found by their arguments.
        live: Whether they are still valid.
        monotonic: The clock of the entries.
        condition: Called with the arguments; False goes past the cache.
        slow: Called with whether calls with plain arguments may be found by their name, the
            values of all parameters, and a callable that calls ``function`` with them.
    """
    parameters = list(signature.parameters.values())
    fast = not any(each.kind in _VARIADIC for each in parameters)
    names = [each.name for each in parameters]
    owners = places.owners if places.has_owner else None
    waits = "await " if inspect.iscoroutinefunction(function) else ""
    call = ", ".join(map(_passed, parameters))
    lines = [f"{'async ' if waits else ''}def wrapper({_declared(parameters)}):"]
    if condition is not None:
        lines += [f" if not _tc_condition({call}):", f"  return {waits}_tc_function({call})"]
    if fast:
        plain = names[1:] if owners is not None else names
        key = f"({''.join(f'{name}, {name}.__class__, ' for name in plain)})"
        if owners is not None:
            lines.append(f" _tc_find = _tc_owners.get(_tc_id({names[0]}), _tc_nothing).get")
        lines += [
            " try:",
            f"  _tc_entry = _tc_find({key})",
            " except TypeError:",  # an argument that cannot be hashed
            "  _tc_entry = None",
            " if _tc_entry is not None and _tc_entry.epoch == _tc_live.epoch:",
            "  _tc_now = _tc_monotonic()",
            "  if _tc_now < _tc_entry.until and _tc_now < _tc_live.trusted_until:",
            "   if _tc_entry.freq < 3: _tc_entry.freq += 1",
            "   _tc_live.l1_hits += 1",
            "   return _tc_entry.value",
        ]
    values = f"({''.join(f'{name}, ' for name in names)})"
    partial = f"_tc_partial(_tc_function{', ' if call else ''}{call})"
    lines.append(f" return {waits}_tc_slow({fast}, {values}, {partial})")
    space: dict[str, Any] = {
        "_tc_condition": condition,
        "_tc_id": id,
        "_tc_nothing": {},
        "_tc_owners": owners,
        "_tc_function": function,
        "_tc_live": live,
        "_tc_monotonic": monotonic,
        "_tc_partial": functools.partial,
        "_tc_slow": slow,
    }
    if owners is None:
        space["_tc_find"] = places.entries.get
    space |= {f"_tc_default_{name}": signature.parameters[name].default for name in names}
    exec("\n".join(lines), space)  # noqa: S102  names of parameters only, see above
    return functools.wraps(function)(space["wrapper"])


def _declared(parameters: list[inspect.Parameter]) -> str:
    parts: list[str] = []
    starred = False
    for at, each in enumerate(parameters):
        if each.kind is each.KEYWORD_ONLY and not starred:
            parts.append("*")
        starred = starred or each.kind in {each.KEYWORD_ONLY, each.VAR_POSITIONAL}
        default = "" if each.default is each.empty else f"=_tc_default_{each.name}"
        parts.append(f"{_stars(each)}{each.name}{default}")
        later = parameters[at + 1 :]
        if each.kind is each.POSITIONAL_ONLY and not (later and later[0].kind is each.kind):
            parts.append("/")
        starred = starred or each.kind is each.VAR_POSITIONAL
    return ", ".join(parts)


def _passed(each: inspect.Parameter) -> str:
    return (
        f"{each.name}={each.name}" if each.kind is each.KEYWORD_ONLY else _stars(each) + each.name
    )


def _stars(each: inspect.Parameter) -> str:
    if each.kind not in _VARIADIC:
        return ""
    return "*" if each.kind is each.VAR_POSITIONAL else "**"
