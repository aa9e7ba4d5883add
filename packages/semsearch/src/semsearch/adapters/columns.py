"""Metadata by name and value: which documents have it. Filters and facets without a look at each.

A condition is decided once for each value that occurs, not for each document: equality is a look
into a dict, and others cost the number of different values.
"""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np

from ..filters import Filter, item_passes, moment
from ..models import Facet
from .facets import ranked

Key = tuple[str, Any]
_NOBODY: frozenset[int] = frozenset()
_NULL: Key = ("NoneType", None)
_KEPT = 16


class Columns:
    """Sets of rows by name and value. Not safe for threads."""

    def __init__(self) -> None:
        """Know nothing."""
        self._rows: set[int] = set()
        self._values: dict[str, dict[Key, set[int]]] = {}
        self._there: dict[str, set[int]] = {}
        self._null: dict[str, set[int]] = {}
        # rows of the last filters as arrays, until something changes
        self._arrays: dict[str, Any] = {}

    def add(self, row: int, metadata: Mapping[str, Any]) -> None:
        """Take in a document at ``row``, which is free."""
        self._arrays.clear()
        self._rows.add(row)
        for name, value in metadata.items():
            self._there.setdefault(name, set()).add(row)
            if value is None:
                self._null.setdefault(name, set()).add(row)
            column = self._values.setdefault(name, {})
            for key in _keys(value):
                column.setdefault(key, set()).add(row)

    def remove(self, row: int, metadata: Mapping[str, Any]) -> None:
        """Forget the document at ``row``, which had ``metadata``."""
        self._arrays.clear()
        self._rows.discard(row)
        for name, value in metadata.items():
            _discard(self._there, name, row)
            _discard(self._null, name, row)
            column = self._values.get(name, {})
            for key in _keys(value):
                _discard(column, key, row)
            if not column:
                self._values.pop(name, None)

    def passing(self, wanted: Filter | None) -> AbstractSet[int]:
        """Return the rows that pass; not to be changed."""
        return self._rows if wanted is None else self._node(wanted)

    def rows(self, wanted: Filter) -> Any:
        """Return the rows that pass as an array of indices; not to be changed."""
        key = repr(wanted)  # 1, 1.0 and True are equal, and not the same condition
        found = self._arrays.get(key)
        if found is None:
            passing = self.passing(wanted)
            found = np.sort(np.fromiter(passing, np.intp, len(passing)))  # as they lie in memory
            if len(self._arrays) >= _KEPT:
                del self._arrays[next(iter(self._arrays))]
            self._arrays[key] = found
        return found

    def _node(self, node: Filter) -> AbstractSet[int]:
        if node.operator == "$and":
            found, *others = sorted((self._node(part) for part in node.parts), key=len)
            for other in others:  # the smallest first: what is left only shrinks
                found = found & other
            return found
        if node.operator == "$or":
            return set().union(*(self._node(part) for part in node.parts))
        if node.operator == "$not":
            return self._rows - self._node(node.parts[0])
        return self._leaf(node.operator, node.name, node.value)

    def _leaf(self, operator: str, name: str, value: Any) -> AbstractSet[int]:
        there = self._there.get(name, _NOBODY)
        if operator == "$exists":
            found = there - self._null.get(name, _NOBODY)
            others = self._rows - found if found else self._rows  # no copy where there is none
            return found if value else others
        if operator == "$eq":
            absent = self._rows - there if value is None else _NOBODY
            return absent | self._equal(name, (value,))
        if operator == "$ne":
            return self._rows - self._leaf("$eq", name, value)
        if operator == "$in":
            return self._equal(name, value)
        if operator == "$nin":
            return self._rows - self._equal(name, value)
        column = self._values.get(name, {})
        chosen = [rows for key, rows in column.items() if item_passes(operator, key[1], value)]
        return set().union(*chosen)

    def _equal(self, name: str, values: Sequence[Any]) -> AbstractSet[int]:
        column = self._values.get(name, {})
        keys: set[Key] = set()
        dates = False
        for value in values:
            if isinstance(value, bool) or value is None or isinstance(value, str):
                keys.add((type(value).__name__, value))
                dates = dates or (isinstance(value, str) and moment(value) is not None)
            else:
                keys |= {("int", value), ("float", value)}
        if dates:  # written otherwise, it may be the same moment
            keys |= {
                key for key in column if key[0] == "str" and item_passes("$in", key[1], values)
            }
        found = [column[key] for key in keys if key in column]
        return found[0] if len(found) == 1 else set().union(*found)

    def facets(self, names: Iterable[str], wanted: Filter | None) -> dict[str, Facet]:
        """Count the values of ``names`` over the rows that pass."""
        passing = self.passing(wanted)
        everybody = passing is self._rows
        made: dict[str, Facet] = {}
        for name in names:
            counts = {
                key: len(rows) if everybody else len(rows & passing)
                for key, rows in self._values.get(name, {}).items()
                if key != _NULL
            }
            made[name] = ranked(name, {key: count for key, count in counts.items() if count})
        return made


def _keys(value: Any) -> set[Key]:
    items = value if isinstance(value, list | tuple) else [value]
    return {
        (type(item).__name__, item)
        for item in items
        if item is None or isinstance(item, str | int | float | bool)
    }


def _discard(table: dict[Any, set[int]], key: Any, row: int) -> None:
    rows = table.get(key)
    if rows is not None:
        rows.discard(row)
        if not rows:
            del table[key]
