"""Filters: one tree of conditions on metadata, the same on every store.

``{"language": "en"}`` is equality, a list means *in*, and conditions of one mapping all hold::

    {"language": ["en", "de"], "duration": {"$gte": 60}, "$not": {"speaker": {"$prefix": "Dr"}}}

A list in the metadata matches if one of its items does. Strings that are ISO 8601 dates compare as
moments with other such strings; other types compare only with their own kind, and never raise.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from .errors import InvalidFilter

_MAX_DEPTH = 20
_MAX_NODES = 1000
_LISTS = {"$in", "$nin"}
_ORDER = {"$gt", "$gte", "$lt", "$lte"}
_TEXT = {"$contains", "$prefix"}
_BRANCHES = frozenset({"$and", "$or", "$not"})
OPERATORS = frozenset({"$eq", "$ne", "$exists", *_LISTS, *_ORDER, *_TEXT})


@dataclass(frozen=True, slots=True)
class Filter:
    """A node of the tree: ``and``, ``or``, ``not`` over nodes, or an operator on a field.

    Made by :meth:`parse`; made by hand, it is checked as well. ``$in`` and ``$nin`` with a null
    among their values become ``$or`` and ``$not``: what is not there is null for them, too.

    Attributes:
        operator: ``$and``, ``$or``, ``$not`` or one of ``OPERATORS``.
        parts: The nodes below.
        name: The field in the metadata.
        value: What it is compared with.
    """

    operator: str
    parts: tuple["Filter", ...] = ()
    name: str = ""
    value: Any = None

    def __post_init__(self) -> None:
        """Refuse what no store could decide."""
        if self.operator in _BRANCHES:
            parts: Any = self.parts
            good = isinstance(parts, tuple) and all(isinstance(each, Filter) for each in parts)
            count = len(parts) if good else 0
            if not count or (self.operator == "$not" and count != 1):
                takes = "one Filter" if self.operator == "$not" else "one Filter or more"
                raise InvalidFilter(f"{self.operator} takes a tuple of {takes}, not {self.parts!r}")
        else:
            value = _operand(self.name, self.operator, self.value)
            if self.operator in _LISTS and None in value:
                self._become(*_one_is_null(self.name, self.operator, value))
            else:
                object.__setattr__(self, "value", value)  # frozen: for others

    def _become(self, operator: str, parts: tuple["Filter", ...]) -> None:
        for name, value in (
            ("operator", operator),
            ("parts", parts),
            ("name", ""),
            ("value", None),
        ):
            object.__setattr__(self, name, value)

    @classmethod
    def parse(cls, tree: "Mapping[str, Any] | Filter | None") -> "Filter | None":
        """Return the node of a filter as users write it; None for no filter.

        Raises:
            InvalidFilter: An operator is unknown, a value has the wrong type, the tree is deeper
                than 20 or has more than 1,000 nodes.
        """
        if tree is None or isinstance(tree, Filter):
            return tree
        if tree == {}:
            return None
        return _all(tree, 0, [_MAX_NODES])

    def both(self, other: "Filter | None") -> "Filter":
        """Return the node that holds where both hold."""
        return self if other is None else Filter("$and", (self, other))

    def matches(self, metadata: Mapping[str, Any]) -> bool:
        """Whether a document with ``metadata`` passes."""
        if self.operator == "$and":
            return all(part.matches(metadata) for part in self.parts)
        if self.operator == "$or":
            return any(part.matches(metadata) for part in self.parts)
        if self.operator == "$not":
            return not self.parts[0].matches(metadata)
        return _holds(self.operator, metadata.get(self.name, _ABSENT), self.value)


_ABSENT = object()


def _one_is_null(
    name: str, operator: str, values: tuple[Any, ...]
) -> tuple[str, tuple[Filter, ...]]:
    """Return ``$in`` with a null among its values as ``$or``, which is how stores decide it.

    What is not there equals null: of the operators on a field only ``$eq`` holds there.
    """
    others = tuple(value for value in values if value is not None)
    parts: tuple[Filter, ...] = (Filter("$eq", name=name),)
    if others:
        parts += (Filter("$in", name=name, value=others),)
    if operator == "$in":
        return "$or", parts
    return "$not", (Filter("$or", parts),)


def _all(tree: Any, depth: int, budget: list[int]) -> Filter:
    if not isinstance(tree, Mapping) or not tree:
        raise InvalidFilter(f"a filter must be a mapping with conditions, not {_shown(tree)}")
    if depth > _MAX_DEPTH:
        raise InvalidFilter(f"the filter is deeper than {_MAX_DEPTH}")
    parts = [part for key, value in tree.items() for part in _condition(key, value, depth, budget)]
    return parts[0] if len(parts) == 1 else Filter("$and", tuple(parts))


def _condition(key: Any, value: Any, depth: int, budget: list[int]) -> list[Filter]:
    budget[0] -= 1
    if budget[0] < 0:
        raise InvalidFilter(f"the filter has more than {_MAX_NODES} conditions")
    if not isinstance(key, str) or not key:
        raise InvalidFilter(f"a field must be named by a non-empty str, not {_shown(key)}")
    if key in {"$and", "$or"}:
        if not isinstance(value, Sequence) or isinstance(value, str) or not value:
            raise InvalidFilter(f"{key} takes a list of filters, not {_shown(value)}")
        return [Filter(key, tuple(_all(part, depth + 1, budget) for part in value))]
    if key == "$not":
        return [Filter("$not", (_all(value, depth + 1, budget),))]
    if key.startswith("$"):
        raise InvalidFilter(f"unknown operator {key!r}; known here: $and, $or, $not")
    if isinstance(value, Mapping):
        if not value:
            raise InvalidFilter(f"the condition on {key!r} is empty")
        unknown = [operator for operator in value if operator in _BRANCHES]
        if unknown:
            raise InvalidFilter(f"{unknown[0]} stands before names, not under one as in {key!r}")
        return [Filter(operator, name=key, value=operand) for operator, operand in value.items()]
    operator = "$in" if isinstance(value, list | tuple | set | frozenset) else "$eq"
    return [Filter(operator, name=key, value=value)]


def _operand(name: Any, operator: Any, value: Any) -> Any:
    """Return what an operator on a field compares with, as stores take it."""
    if not isinstance(name, str) or not name:
        raise InvalidFilter(f"a field must be named by a non-empty str, not {_shown(name)}")
    if not isinstance(operator, str) or operator not in OPERATORS:
        known = ", ".join(sorted(OPERATORS))
        raise InvalidFilter(f"unknown operator {_shown(operator)} on {name!r}; known: {known}")
    if operator in _LISTS:
        if not isinstance(value, list | tuple | set | frozenset):
            raise InvalidFilter(f"{operator} on {name!r} takes a list, not {_shown(value)}")
        return tuple(_scalar(name, item) for item in value)
    if operator == "$exists":
        if not isinstance(value, bool):
            raise InvalidFilter(f"$exists on {name!r} takes true or false, not {_shown(value)}")
        return value
    if operator in _TEXT and not isinstance(value, str):
        raise InvalidFilter(f"{operator} on {name!r} takes a str, not {_shown(value)}")
    plain = _scalar(name, value)
    if operator in _ORDER and (plain is None or isinstance(plain, bool)):
        raise InvalidFilter(
            f"{operator} on {name!r} takes a number, text or date, not {_shown(value)}"
        )
    return plain


def _scalar(name: str, value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if value is None or isinstance(value, str | int | float):
        return value
    raise InvalidFilter(f"the value of {name!r} must be plain, not {_shown(value)}")


def _shown(value: Any) -> str:
    return repr(value)[:80]


def item_passes(operator: str, item: Any, value: Any) -> bool:
    """Whether one value of a document passes ``$eq $in $gt $gte $lt $lte $contains $prefix``."""
    return _TESTS[operator](item, value)


def _holds(operator: str, found: Any, value: Any) -> bool:
    if operator == "$exists":
        return (found is not _ABSENT and found is not None) is value
    if operator == "$ne":
        return not _holds("$eq", found, value)
    if operator == "$nin":
        return not _holds("$in", found, value)
    if found is _ABSENT:
        return operator == "$eq" and value is None
    if isinstance(found, list | tuple):
        return any(_TESTS[operator](item, value) for item in found)
    return _TESTS[operator](found, value)


def _equal(found: Any, value: Any) -> bool:
    if isinstance(found, bool) or isinstance(value, bool):
        return found is value
    if isinstance(found, str) and isinstance(value, str):
        return found == value or _same_moment(found, value)
    return bool(found == value) and isinstance(found, str) == isinstance(value, str)


def _same_moment(found: str, value: str) -> bool:
    first = moment(found)
    return first is not None and first == moment(value)


def _ordered(test: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(found: Any, value: Any) -> bool:
        if isinstance(found, bool) or found is None:
            return False
        if isinstance(found, str) and isinstance(value, str):
            first, second = moment(found), moment(value)
            if first is not None and second is not None:
                return test(first, second)
            return test(found, value)
        if isinstance(found, int | float) and isinstance(value, int | float):
            return test(found, value)
        return False

    return compare


def moment(text: str) -> datetime | None:
    """Return the moment of an ISO 8601 date or time; naive ones are UTC; None for other text."""
    if len(text) < 8 or not text[:4].isdigit():
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": _equal,
    "$in": lambda found, values: any(_equal(found, value) for value in values),
    "$gt": _ordered(lambda a, b: a > b),
    "$gte": _ordered(lambda a, b: a >= b),
    "$lt": _ordered(lambda a, b: a < b),
    "$lte": _ordered(lambda a, b: a <= b),
    "$contains": lambda found, value: isinstance(found, str) and value in found,
    "$prefix": lambda found, value: isinstance(found, str) and found.startswith(value),
}
