"""Filters as conditions of PostgreSQL on the facts of a document; every value is a parameter."""

import json
from collections.abc import Sequence
from typing import Any

from ..errors import InvalidFilter
from ..filters import Filter
from .facts import coded, moment_of, number_of

_SIGNS = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_MOST = 30_000
"""Parameters; the protocol takes 32,767."""
_FEW = 20
"""Texts that are each looked up in an index of the facts; more are compared one by one."""


class Conditions:
    """Makes conditions; ``values`` are the parameters from ``$<first>`` on."""

    def __init__(self, first: int, column: str = "facts", *, by_index: bool = False) -> None:
        """Number parameters from ``first``.

        Args:
            first: The number of the first one.
            column: Holds the facts.
            by_index: Ask for equal texts by what a GIN index of the column answers. Not beside a
                search of an index of vectors: the planner takes every containment to be rare, and
                would sort all that pass.
        """
        self.values: list[Any] = []
        self._first, self._column, self._by_index = first, column, by_index

    def of(self, wanted: Filter | None) -> str:
        """Return the condition that holds where ``wanted`` does; never null.

        Raises:
            InvalidFilter: It has too many values.
        """
        made = "true" if wanted is None else self._node(wanted)
        if len(self.values) > _MOST:
            raise InvalidFilter(f"the filter has more than {_MOST} values")
        return made

    def _node(self, node: Filter) -> str:
        if node.operator == "$and":
            return "(" + " AND ".join(map(self._node, node.parts)) + ")"
        if node.operator == "$or":
            return "(" + " OR ".join(map(self._node, node.parts)) + ")"
        if node.operator == "$not":
            return f"(NOT {self._node(node.parts[0])})"
        return self._leaf(node.operator, node.name, node.value)

    def _leaf(self, operator: str, name: str, value: Any) -> str:
        if self._by_index and operator in {"$eq", "$in", "$ne", "$nin"}:
            values = value if operator in {"$in", "$nin"} else (value,)
            if (texts := _plain(values)) and len(texts) <= _FEW:
                made = self._contains(name, texts)
                return f"(NOT {made})" if operator in {"$ne", "$nin"} else made
        field = f"({self._column} -> {self._put(coded(name))}::text)"
        if operator == "$exists":
            made = f"coalesce({field} ? 'e', false)"
            return made if value else f"(NOT {made})"
        if operator in {"$eq", "$ne"}:
            made = self._equal(field, value)
        elif operator in {"$in", "$nin"}:
            made = self._any(field, value)
        elif operator in _SIGNS:
            made = self._ordered(field, _SIGNS[operator], value)
        else:
            made = self._text(field, operator, value)
        return f"(NOT {made})" if operator in {"$ne", "$nin"} else made

    def _contains(self, name: str, texts: Sequence[str]) -> str:
        facts = (json.dumps({coded(name): {"t": [coded(each)]}}) for each in texts)
        each = (f"{self._column} @> {self._put(one)}::text::jsonb" for one in facts)
        return "(" + " OR ".join(each) + ")"

    def _equal(self, field: str, value: Any) -> str:
        if value is None:
            return f"({field} IS NULL OR {field} ? 'z')"
        return self._any(field, (value,))

    def _any(self, field: str, values: Sequence[Any]) -> str:
        """Return the condition that one item is among ``values``; what is absent is in no list."""
        texts = [each for each in values if isinstance(each, str)]
        moments = [(each, moment_of(each)) for each in texts]
        plain = [coded(each) for each, at in moments if at is None]
        times = [str(at) for _, at in moments if at is not None]
        numbers = [
            str(number_of(each))
            for each in values
            if isinstance(each, int | float) and not isinstance(each, bool) and each == each  # noqa: PLR0124  NaN
        ]
        made = [
            f"coalesce({field} -> 'b' @> '{str(each).lower()}', false)"
            for each in (True, False)
            if any(each is value for value in values)
        ]
        if plain:
            made.append(self._some(field, "t", f"x #>> '{{}}' = ANY({self._put(plain)}::text[])"))
        if times:
            listed = f"ANY({self._put(times)}::text[]::numeric[])"
            made.append(self._some(field, "m", f"(x -> 0)::numeric = {listed}"))
        if numbers:
            listed = f"ANY({self._put(numbers)}::text[]::numeric[])"
            made.append(self._some(field, "n", f"x::numeric = {listed}"))
        # every parameter must be used, also that of an empty list's field
        return "(" + (" OR ".join(made) or f"({field} IS NULL AND false)") + ")"

    def _ordered(self, field: str, sign: str, value: Any) -> str:
        if value != value:  # noqa: PLR0124  NaN, which is the largest number to PostgreSQL
            return f"({field} IS NULL AND false)"
        if not isinstance(value, str):
            given = f"{self._put(str(number_of(value)))}::text::numeric"
            return self._some(field, "n", f"x::numeric {sign} {given}")
        given = f"{self._put(coded(value))}::text"
        made = [self._some(field, "t", f"(x #>> '{{}}') COLLATE \"C\" {sign} {given}")]
        if (at := moment_of(value)) is not None:
            moment = f"{self._put(str(at))}::text::numeric"
            made.append(self._some(field, "m", f"(x -> 0)::numeric {sign} {moment}"))
        else:
            made.append(self._some(field, "m", f'(x ->> 1) COLLATE "C" {sign} {given}'))
        return "(" + " OR ".join(made) + ")"

    def _text(self, field: str, operator: str, value: str) -> str:
        given = f"{self._put(coded(value))}::text"
        if operator == "$prefix":
            test = f"starts_with({{0}}, {given})"
        else:
            # as bytes: a match of digits could begin in the middle of a byte
            test = f"position(decode({given}, 'hex') IN decode({{0}}, 'hex')) > 0"
        parts = [
            self._some(field, "t", test.format("x #>> '{}'")),
            self._some(field, "m", test.format("x ->> 1")),
        ]
        return "(" + " OR ".join(parts) + ")"

    @staticmethod
    def _some(field: str, kind: str, test: str) -> str:
        items = f"jsonb_array_elements(coalesce({field} -> '{kind}', '[]'))"
        return f"EXISTS (SELECT 1 FROM {items} AS each (x) WHERE {test})"  # noqa: S608  values are parameters

    def _put(self, value: Any) -> str:
        self.values.append(value)
        return f"${self._first + len(self.values) - 1}"


def _plain(values: Sequence[Any]) -> Sequence[str]:
    """Return ``values`` if they are texts that name no moment, else nothing."""
    are = all(isinstance(each, str) and moment_of(each) is None for each in values)
    return values if are else ()
