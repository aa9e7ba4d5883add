"""Keys: typed and injective, so that different arguments never meet in one key.

``1``, ``True`` and ``"1"`` differ, and so do ``("a:b", "c")`` and ``("a", "b:c")``. Keys are the
same in every process: ``hash()`` is not used.
"""

import dataclasses
import enum
import functools
import hashlib
import inspect
import re
import string
import weakref
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from ._common.clock import new_id
from .errors import ConfigurationError

_LONGEST = 250
_instances: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()


def check_key(key: Any) -> str:
    """Return a key: a non-empty str that UTF-8 can hold.

    Raises:
        ConfigurationError: It is not.
    """
    if not isinstance(key, str) or not key:
        what = "an empty one" if key == "" else f"a {type(key).__name__}"
        raise ConfigurationError(f"a key must be a non-empty str, not {what}")
    try:
        key.encode()
    except UnicodeEncodeError as exc:
        raise ConfigurationError("a key must not hold lone surrogates") from exc
    return key


def check_keys(keys: Any) -> list[str]:
    """Return keys, each once.

    Raises:
        ConfigurationError: One is no key, or ``keys`` is a single str.
    """
    if isinstance(keys, str) or not isinstance(keys, Iterable):
        raise ConfigurationError(f"keys must be a list of str, not a {type(keys).__name__}")
    return list(dict.fromkeys(map(check_key, keys)))


def stored_key(key: str) -> str:
    """Return the key under which the shared level keeps it: long ones are hashed."""
    if len(key) <= _LONGEST:
        return key
    return f"{key[:100]}#{hashlib.sha256(key.encode()).hexdigest()}"


def is_shortened(name: str) -> bool:
    """Whether a stored key may stand for a longer one."""
    return len(name) == 165 and name[100] == "#"


def encode(value: Any) -> str:
    """Return an argument as text that no argument of another type or value has.

    Raises:
        ConfigurationError: The type has no stable text; name a ``key`` or ``__cache_key__``.
    """
    kind = type(value)
    if (simple := _SIMPLE.get(kind)) is not None:
        return simple(value)
    name = f"{kind.__module__}.{kind.__qualname__}"
    if callable(method := getattr(kind, "__cache_key__", None)):
        return f"o{name}({encode(method(value))})"
    if isinstance(value, enum.Enum):
        return f"e{name}.{value.name}"
    if dataclasses.is_dataclass(value):
        items = [encode(getattr(value, each.name)) for each in dataclasses.fields(value)]
        return f"o{name}({','.join(items)})"
    raise ConfigurationError(
        f"an argument of type {name!r} has no stable text for a key: give cached(key=…), or the "
        "class a method __cache_key__"
    )


def _sequence(value: Any) -> str:
    return f"{type(value).__name__[0]}[{','.join(map(encode, value))}]"


def _set(value: Any) -> str:
    return f"{type(value).__name__[0]}{{{','.join(sorted(map(encode, value)))}}}"


def _mapping(value: Any) -> str:
    pairs = sorted((encode(key), encode(item)) for key, item in value.items())
    return f"m{{{','.join(f'{key}={item}' for key, item in pairs)}}}"


def _printed(value: Any) -> str:
    return f"p{type(value).__name__}{encode(str(value))}"


_SIMPLE: dict[type, Callable[[Any], str]] = {
    str: lambda value: f"s{len(value)}:{value}",
    int: lambda value: f"i{value}",
    bool: lambda value: "t" if value else "f",
    type(None): lambda _: "n",
    float: lambda value: f"d{value!r}",
    bytes: lambda value: f"b{len(value)}:{value.hex()}",
    list: _sequence,
    tuple: _sequence,
    set: _set,
    frozenset: _set,
    dict: _mapping,
    **dict.fromkeys((date, datetime, time, timedelta, Decimal, UUID), _printed),
}


def instance_token(owner: Any) -> str:
    """Return a token of an object for as long as it lives; only this process knows it."""
    try:
        return _instances.setdefault(owner, new_id())
    except TypeError as exc:
        raise ConfigurationError(
            f"{type(owner).__qualname__!r} cannot be told apart by the cache: give cached(key=…), "
            "or the class a method __cache_key__"
        ) from exc


class KeyMaker:
    """Builds the key of a call from a function's arguments, defaults filled in."""

    def __init__(
        self,
        function: Callable[..., Any],
        template: str | None,
        namespace: str | None,
        version: int,
    ) -> None:
        """Look at the signature once.

        Raises:
            ConfigurationError: The template names no parameter of the function.
        """
        self.signature = inspect.signature(function)
        names = list(self.signature.parameters)
        self.has_owner = bool(names) and names[0] in {"self", "cls"}
        base = namespace or f"{function.__module__}.{function.__qualname__}"
        self._prefix = f"{base}:v{version}:"
        self._template = None if template is None else _parse(template, names)

    def __call__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[str, bool]:
        """Return the key, and whether other processes can mean the same by it.

        Raises:
            TypeError: The arguments do not fit the function.
            ConfigurationError: An argument has no stable text.
        """
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return self.of(tuple(bound.arguments.values()))

    def of(self, values: tuple[Any, ...]) -> tuple[str, bool]:
        """Do the same for the values of all parameters, in their order."""
        if self._template is not None:
            return "".join(_fill(part, values) for part in self._template), True
        if not self.has_owner:
            return self._prefix + ",".join(map(encode, values)), True
        owner, *rest = values
        text, shared = _owner_text(owner)
        return self._prefix + ",".join([text, *map(encode, rest)]), shared


def _owner_text(owner: Any) -> tuple[str, bool]:
    if hasattr(type(owner), "__cache_key__"):
        return encode(owner), True
    if isinstance(owner, type):
        return encode(f"{owner.__module__}.{owner.__qualname__}"), True
    return instance_token(owner), False


def _parse(template: Any, names: list[str]) -> list[tuple[str, int | None]]:
    if not isinstance(template, str) or not template:
        raise ConfigurationError(f"key must be a non-empty str, not {template!r}")
    try:
        found = list(string.Formatter().parse(template))
    except ValueError as exc:
        raise ConfigurationError(
            f"the key {template!r} has a brace alone; write {{{{ or }}}}"
        ) from exc
    parts: list[tuple[str, int | None]] = []
    for literal, field, spec, conversion in found:
        root = (field or "").partition(".")[0].partition("[")[0]
        if field is not None and (spec or conversion or root != field or root not in names):
            raise ConfigurationError(
                f"{{{field}}} in the key {template!r} is no parameter of the function"
            )
        parts.append((literal, None if field is None else names.index(field)))
    return parts


def _fill(part: tuple[str, int | None], values: tuple[Any, ...]) -> str:
    literal, field = part
    if field is None:
        return literal
    value = values[field]
    # readable where that is safe: a str without the characters that separate and escape
    if isinstance(value, str):
        return literal + _escape(value, typed=False)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{literal}{int(value)}"
    # the mark keeps None, "n", True and "t" apart: no str begins so when it is escaped
    return f"{literal}%t;{_escape(encode(value), typed=True)}"


def _escape(text: str, *, typed: bool) -> str:
    safe = "".join(c if c.isalnum() or c in "-_." else f"%{ord(c):X};" for c in text)
    # a str that looks like a number must not meet the number
    return safe if typed or not safe.lstrip("-").isdigit() else f"%s;{safe}"


def check_pattern(pattern: Any) -> str:
    """Return a glob that every level understands in the same way.

    Raises:
        ConfigurationError: It is no non-empty str, or a ``[`` in it is not closed or holds nothing.
    """
    if not isinstance(pattern, str) or not pattern:
        raise ConfigurationError(f"a pattern must be a non-empty str, not {pattern!r}")
    _compiled(check_key(pattern))
    return pattern


def glob_matches(pattern: str, key: str) -> bool:
    """Whether ``key`` matches a glob as Redis understands it; case counts.

    ``*`` is any text, ``?`` one character, ``[abc]`` and ``[a-c]`` one of these, ``[^abc]`` one but
    these; a backslash before any of them means the character itself.
    """
    return _compiled(pattern).fullmatch(key) is not None


@functools.lru_cache(maxsize=128)
def _compiled(pattern: str) -> re.Pattern[str]:
    parts = [""]
    for part in _TOKENS.findall(pattern):
        if part == "*":
            parts.append("")
        else:
            parts[-1] += _expression(part)
    # atomic, as in fnmatch: what follows the last star need never look back at those before
    start, *middle, end = parts if len(parts) > 1 else [*parts, ""]
    stars = "".join(f"(?>.*?{each})" for each in middle)
    return re.compile(f"{start}{stars}{'.*' if len(parts) > 1 else ''}{end}", re.DOTALL)


_SET = r"\[(?:\\.|[^\]\\])*\]"
_TOKENS = re.compile(rf"\\.|{_SET}|.", re.DOTALL)
_IN_SET = re.compile(r"\\(.)|(.)-(.)|(.)", re.DOTALL)


def _expression(part: str) -> str:
    """Return the regular expression of one part of a glob."""
    if part == "?":
        return "."
    if part[0] == "[":
        return _of_set(part)
    return re.escape(part[1:] if part[0] == "\\" and len(part) > 1 else part)


def _of_set(token: str) -> str:
    negated = token.startswith("[^")
    parts = _IN_SET.findall(token[1 + negated :])
    if len(parts) < 2 or parts.pop()[-1] != "]":
        raise ConfigurationError(
            f"a pattern with {token!r}: the set is empty or not closed; for the character itself "
            "write a backslash before it"
        )
    ranges = [sorted((low, high)) if low else [one or other] * 2 for one, low, high, other in parts]
    text = "".join(f"{re.escape(low)}-{re.escape(high)}" for low, high in ranges)
    return f"[{'^' if negated else ''}{text}]"
