"""Metadata in a form that databases can compare as the evaluator does.

For each name: ``e`` something is there, ``z`` a null is, and by kind of value ``t`` texts, ``m``
moments (microseconds since 1970 and their text), ``n`` numbers, ``b`` bools. Texts and names are
the hexadecimal digits of their UTF-8: any text can be stored, the order is that of code points, and
what begins or holds another goes on doing so.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from ..filters import moment

_BEGIN = datetime(1970, 1, 1, tzinfo=UTC)
_STEP = timedelta(microseconds=1)


def coded(text: str) -> str:
    """Return a text as digits."""
    return text.encode("utf-8", "surrogatepass").hex()


def moment_of(text: str) -> int | None:
    """Return the moment of a text in microseconds since 1970, None if it names none."""
    found = moment(text)
    return None if found is None else (found - _BEGIN) // _STEP


def number_of(value: int | float) -> int | float:
    """Return a number so that its decimal digits are exact where it equals a whole number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def facts_of(metadata: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the facts of a document."""
    return {coded(name): _facts(value) for name, value in metadata.items()}


def _facts(value: Any) -> dict[str, Any]:
    made: dict[str, Any] = {} if value is None else {"e": 1}
    for item in value if isinstance(value, list | tuple) else [value]:
        if item is None:
            made["z"] = 1
        elif isinstance(item, bool):
            made.setdefault("b", []).append(item)
        elif isinstance(item, int | float):
            made.setdefault("n", []).append(number_of(item))
        elif isinstance(item, str):
            at = moment_of(item)
            if at is None:
                made.setdefault("t", []).append(coded(item))
            else:
                made.setdefault("m", []).append([at, coded(item)])
    return made
