"""Documents as points of Qdrant: fields of the payload, and filters over them as JSON.

For each name of the metadata, by its hexadecimal digits: ``t_`` texts, ``d_`` texts that are dates
(digits again), ``m_`` their moments (microseconds since 1970), ``x_`` numbers and bools with their
type, ``n_`` numbers as floats; ``names`` says which names are there (``h``), hold something (``e``)
or a null (``z``). Equality and order of numbers and moments are Qdrant's; what it cannot do (order
of texts, parts of texts, numbers past 2**53) is asked of each distinct value of the field, here.
"""

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..filters import Filter, item_passes
from .facts import coded, moment_of, number_of

Json = dict[str, Any]
_EXACT = 2**53
"""Whole numbers up to here are exact as floats, which ranges of Qdrant are made of."""
_RANGES = {"$gt": "gt", "$gte": "gte", "$lt": "lt", "$lte": "lte"}
FIELDS = {"kind": "keyword", "writer": "keyword", "seq": "integer", "names": "keyword"}
"""The fields that every index has, and the type of their indexes."""
_TYPES = {"t": "keyword", "d": "keyword", "x": "keyword", "m": "integer", "n": "float"}
NOTHING: Json = {"key": "kind", "match": {"any": ["nothing"]}}
"""The condition that no point passes."""


def type_of(field: str) -> str:
    """Return the type of the index on a field that :func:`fields_of` made."""
    return _TYPES[field[0]]


def fields_of(metadata: Mapping[str, Any]) -> Json:
    """Return the fields of a document's metadata."""
    made: dict[str, set[Any]] = {"names": set()}
    for name, value in metadata.items():
        code = coded(name)
        made["names"].add(f"h{code}")
        if value is not None:
            made["names"].add(f"e{code}")
        for item in value if isinstance(value, list | tuple) else [value]:
            if item is None:
                made["names"].add(f"z{code}")
            for kind, each in _facts(item):
                made.setdefault(f"{kind}_{code}", set()).add(each)
    return {field: sorted(values) for field, values in made.items()}


def _facts(item: Any) -> list[tuple[str, Any]]:
    if isinstance(item, str):
        at = moment_of(item)
        text = f"s{coded(item)}"
        return [("t", text)] if at is None else [("d", text), ("m", at)]
    if isinstance(item, bool):
        return [("x", f"b{item:d}")]
    if isinstance(item, int | float):
        return [("x", _number(item)), ("n", _float(item))]
    return []


def _number(value: int | float) -> str:
    # + 0.0: minus zero is zero
    return f"i{value:x}" if isinstance(value, int) else f"f{value + 0.0!r}"


def _float(value: int | float) -> float:
    try:
        return float(value)
    except OverflowError:  # still on the right side of all that is compared with it
        return math.copysign(sys.float_info.max, 1 if value > 0 else -1)


def value_of(code: str) -> Any:
    """Return the value that stands in a field ``t_``, ``d_`` or ``x_``."""
    kind, rest = code[0], code[1:]
    if kind == "s":
        return bytes.fromhex(rest).decode("utf-8", "surrogatepass")
    if kind == "b":
        return rest == "1"
    return int(rest, 16) if kind == "i" else float(rest)


def among(field: str, values: Iterable[Any]) -> Json:
    """Return the condition that one value of ``field`` is among ``values``."""
    listed = list(values)
    return {"key": field, "match": {"any": listed}} if listed else NOTHING


def either(conditions: Sequence[Json]) -> Json:
    """Return the condition that one of them holds."""
    return {"should": list(conditions)} if conditions else NOTHING


def negated(condition: Json) -> Json:
    """Return the condition that ``condition`` does not hold."""
    return {"must_not": [condition]}


DOCUMENTS: Json = among("kind", ["document"])


class Conditions:
    """Makes filters of Qdrant that hold where those of ours do."""

    def __init__(self, distinct: Callable[[str], Iterable[str]]) -> None:
        """Ask ``distinct`` for all values of a field ``t_``, ``d_`` or ``x_``."""
        self._distinct = distinct

    def of(self, wanted: Filter | None) -> Json:
        """Return the filter that documents pass where ``wanted`` holds."""
        return {"must": [DOCUMENTS, *([] if wanted is None else [self._node(wanted)])]}

    def _node(self, node: Filter) -> Json:
        if node.operator == "$and":
            return {"must": [self._node(part) for part in node.parts]}
        if node.operator == "$or":
            return either([self._node(part) for part in node.parts])
        if node.operator == "$not":
            return negated(self._node(node.parts[0]))
        return self._leaf(node.operator, coded(node.name), node.value)

    def _leaf(self, operator: str, code: str, value: Any) -> Json:
        if operator == "$exists":
            there = among("names", [f"e{code}"])
            return there if value else negated(there)
        if operator in {"$ne", "$nin"}:
            return negated(self._leaf("$eq" if operator == "$ne" else "$in", code, value))
        if operator == "$eq":
            equal = _equal(code, (value,))
            # what is absent equals null, and is in no list
            absent = negated(among("names", [f"h{code}"]))
            return either([absent, equal]) if value is None else equal
        if operator == "$in":
            return _equal(code, value)
        if operator not in _RANGES:
            return either([self._each(f"{kind}_{code}", operator, value) for kind in "td"])
        return self._ordered(operator, code, value)

    def _ordered(self, operator: str, code: str, value: Any) -> Json:
        if not isinstance(value, str):
            return self._range(f"n_{code}", f"x_{code}", operator, value, value)
        at = moment_of(value)
        texts = self._each(f"t_{code}", operator, value)
        if at is None:
            return either([texts, self._each(f"d_{code}", operator, value)])
        return either([texts, self._range(f"m_{code}", f"d_{code}", operator, at, value)])

    def _range(self, field: str, texts: str, operator: str, at: float, value: Any) -> Json:
        if not abs(at) < _EXACT:
            return self._each(texts, operator, value)
        return {"key": field, "range": {_RANGES[operator]: float(at)}}

    def _each(self, field: str, operator: str, value: Any) -> Json:
        found = self._distinct(field)
        return among(
            field, [each for each in found if item_passes(operator, value_of(each), value)]
        )


def _equal(code: str, values: Iterable[Any]) -> Json:
    """Return the condition that one item equals one of ``values``."""
    texts: set[str] = set()
    numbers: set[str] = set()
    moments: set[int] = set()
    nulls: set[str] = set()
    for value in values:
        if value is None:
            nulls.add(f"z{code}")
        elif isinstance(value, str):
            at = moment_of(value)
            if at is None:
                texts.add(f"s{coded(value)}")
            else:
                moments.add(at)
        elif isinstance(value, bool):
            numbers.add(f"b{value:d}")
        else:
            numbers |= _same_numbers(value)
    sought: list[tuple[str, Iterable[Any]]] = [
        ("names", nulls), (f"t_{code}", texts), (f"x_{code}", numbers), (f"m_{code}", moments),
    ]  # fmt: skip
    return either([among(field, sorted(some)) for field, some in sought if some])


def _same_numbers(value: int | float) -> set[str]:
    """Return how a number may be written as an int and as a float."""
    whole = number_of(value)
    made = {_number(whole), _number(value)}
    if isinstance(whole, int) and _float(whole) == whole:
        made.add(_number(_float(whole)))
    return made
