"""Metadata as words in one field, for servers whose filters know words alone.

Every fact of a document is a token ``<field>.<value>`` of letters, digits, ``_`` and ``.``, made of
the fields of :mod:`.points`: nothing that a user writes reaches a query in another form, and
however many names there are, the server has one field. Texts are two characters a byte, from two
alphabets, so that they sort as their code points do and a part is never found across bytes. Numbers
and moments are digits that sort as they do.

A range is a range of tokens where the server can look for one, else it is asked by *steps*: every
beginning of the digits is a token, too, and what is larger than a number begins with one of a
bounded number of digits (as numbers were indexed in U. Schindler, M. Diepenbroek, "Generic
XML-based framework for metadata portals", 2008).
"""

import math
import struct
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..errors import InvalidDocument, UnsupportedOperationError
from ..filters import Filter
from .facts import coded, moment_of
from .points import NOTHING, Conditions, Json, among, either, fields_of

FACTS = "facts"
"""The field."""
_HIGH = "ghijklmnopqrstuv"
_STEPS = 17
_LONGEST = 16_000
_OWN = frozenset({"kind", "writer", "seq", "id"})


def aligned(code: str) -> str:
    """Return hexadecimal digits as letters and digits by turns."""
    return "".join(
        _HIGH[int(char, 16)] if place % 2 == 0 else char for place, char in enumerate(code)
    )


def hexadecimal(text: str) -> str:
    """Return what :func:`aligned` was given."""
    return "".join(
        f"{_HIGH.index(char):x}" if place % 2 == 0 else char for place, char in enumerate(text)
    )


def number_key(value: int | float) -> str:
    """Return digits that sort as numbers do: 17, and more for what no float is equal to."""
    if value > sys.float_info.max:
        return "g"
    if value < -sys.float_info.max:
        return "!"
    near = float(value)
    if near > value:
        near = math.nextafter(near, -math.inf)
    rest = int(value) - int(near) if isinstance(value, int) else 0
    bits = int.from_bytes(struct.pack(">d", near + 0.0), "big")
    key = f"{bits ^ (0xFFFFFFFFFFFFFFFF if bits >> 63 else 1 << 63):016x}"
    return f"{key}1{len(f'{rest:x}'):03x}{rest:x}" if rest else f"{key}0"


def moment_key(at: int) -> str:
    """Return digits that sort as moments (microseconds since 1970) do."""
    return f"{at + (1 << 63):016x}0"


def texts_in(code: str) -> str:
    """Return the token of documents that have texts which are no dates under a name."""
    return f"T{code}"


def token(field: str, value: Any) -> str:
    """Return the token of a value as :func:`.points.fields_of` gives it."""
    if field == "names":
        return str(value)
    if field[0] in "td":
        return f"{field}.{aligned(value[1:])}"
    return f"{field}.{moment_key(value) if field[0] == 'm' else value}"


def tokens_of(metadata: Mapping[str, Any], *, steps: bool, longest: int = _LONGEST) -> list[str]:
    """Return the tokens of a document.

    Args:
        metadata: Of the document.
        steps: Whether ranges are asked by steps.
        longest: Characters of a token, at most.

    Raises:
        InvalidDocument: A text in the metadata is too long to be a token, or a number past 1e308.
    """
    found: set[str] = set()
    for field, values in fields_of(metadata).items():
        if field[0] != "n" or field == "names":
            found.update(token(field, value) for value in values)
        if field[0] == "t":
            found.add(texts_in(field[2:]))
        if field[0] == "m" and steps:
            found.update(_beginnings(field, map(moment_key, values)))
    for field, value in _numbers(metadata):
        key = number_key(value)
        if not key[0].isalnum() or key == "g":
            raise InvalidDocument("a number past 1e308 in the metadata cannot be indexed here")
        found.update(_beginnings(field, [key]) if steps else [f"{field}.{key}"])
    if any(len(each) > longest for each in found):
        raise InvalidDocument(
            f"a text in the metadata is over {longest // 2} bytes long: filters cannot find it here"
        )
    return sorted(found)


def _beginnings(field: str, keys: Iterable[str]) -> Iterator[str]:
    for key in keys:
        for end in range(1, _STEPS + 1):
            yield f"{field}.{key[:end]}"


def _numbers(metadata: Mapping[str, Any]) -> Iterator[tuple[str, int | float]]:
    for name, value in metadata.items():
        for item in value if isinstance(value, list | tuple) else [value]:
            if isinstance(item, int | float) and not isinstance(item, bool):
                yield f"n_{coded(name)}", item


class TokenConditions(Conditions):
    """Makes filters over tokens: ``match``, ``prefix``, ``holds`` and ``range`` on one field."""

    def __init__(
        self,
        where: str,
        *,
        steps: bool = False,
        parts: bool = True,
        there: Callable[[str], bool] | None = None,
    ) -> None:
        """Say what the server can look for.

        Args:
            where: Names it in messages.
            steps: Ranges are asked by steps, not as ranges of tokens.
            parts: Whether it finds beginnings and parts of tokens.
            there: Tells whether any document has a token. Given where texts cannot be asked for by
                their order: dates can, while no document has other texts under the name.
        """
        super().__init__(lambda _: ())
        self._where, self._steps, self._parts, self._there = where, steps, parts, there

    def of(self, wanted: Filter | None) -> Json:
        """Return the condition that documents pass where ``wanted`` holds.

        Raises:
            UnsupportedOperationError: The server cannot decide it.
        """
        return tokenized(super().of(wanted))

    def only(self, wanted: Filter) -> Json:
        """Return the condition without one on the kind of record."""
        return tokenized(self._node(wanted))

    def _ordered(self, operator: str, code: str, value: Any) -> Json:
        if not isinstance(value, str):
            key = "" if value != value else number_key(value)  # noqa: PLR0124  NaN is before nothing
            return self._span(f"n_{code}", operator, key) if key else either([])
        at, text = moment_of(value), aligned(coded(value))
        if self._there is not None:
            if at is None or self._there(texts_in(code)):
                raise UnsupportedOperationError(
                    f"{self._where} cannot order texts: {operator} takes numbers, and dates where "
                    "no document has another text"
                )
            return self._span(f"m_{code}", operator, moment_key(at))
        texts = self._span(f"t_{code}", operator, text)
        if at is None:
            return either([texts, self._span(f"d_{code}", operator, text)])
        return either([texts, self._span(f"m_{code}", operator, moment_key(at))])

    def _span(self, field: str, operator: str, key: str) -> Json:
        if self._steps:
            return _stepped(self._where, field, operator, key)
        end = {"lt": f"{field}/"} if operator in {"$gt", "$gte"} else {"gte": f"{field}."}
        return {"key": FACTS, "range": {operator[1:]: f"{field}.{key}", **end}}

    def _each(self, field: str, operator: str, value: Any) -> Json:
        if not self._parts:
            raise UnsupportedOperationError(f"{self._where} cannot look for {operator}")
        text = aligned(coded(value))
        if operator == "$prefix":
            return {"key": FACTS, "prefix": f"{field}.{text}"}
        return {"key": FACTS, "holds": [f"{field}.", text]}


def _stepped(where: str, field: str, operator: str, key: str) -> Json:
    """Return the condition that a token of ``field`` is on one side of ``key``."""
    digits = "0123456789abcdef"
    if key in {"g", "!"}:  # beyond every number that is indexed
        everything = (key == "g") == (operator in {"$lt", "$lte"})
        return among(FACTS, [f"{field}.{char}" for char in digits] if everything else [])
    if len(key) > _STEPS:
        raise UnsupportedOperationError(
            f"{where} orders numbers as floats: no float is equal to the one that {operator} names"
        )
    above = operator in {"$gt", "$gte"}
    made = [
        f"{field}.{key[:place]}{char}"
        for place in range(_STEPS)
        for char in digits
        if (char > key[place] if above else char < key[place])
    ]
    return among(FACTS, [*made, f"{field}.{key}"] if operator in {"$gte", "$lte"} else made)


def tokenized(node: Json) -> Json:
    """Return a condition on the fields of :mod:`.points` as one on tokens."""
    if "key" not in node:
        return {name: [tokenized(part) for part in parts] for name, parts in node.items()}
    if node == NOTHING:
        return among(FACTS, ["-"])  # no token
    if node["key"] in _OWN or node["key"] == FACTS:
        return node
    return among(FACTS, [token(node["key"], value) for value in node["match"]["any"]])


def counted(code: str, records: Iterable[Sequence[str]]) -> Iterable[tuple[str, int]]:
    """Return the values under a name, as :func:`.points.value_of` takes them, and their numbers."""
    starts = tuple(f"{kind}_{code}." for kind in "tdx")
    counts = Counter(each for tokens in records for each in tokens if each.startswith(starts))
    for each, count in counts.items():
        value = each.partition(".")[2]
        yield (value if each[0] == "x" else f"s{hexadecimal(value)}"), count


def pushed(node: Json, *, negate: bool = False) -> Json:
    """Return the same condition, negated at its leaves alone: ``none`` in place of ``any``."""
    if "must_not" in node:
        [inner] = node["must_not"]
        return pushed(inner, negate=not negate)
    for name, other in (("must", "should"), ("should", "must")):
        if name in node:
            parts = [pushed(part, negate=negate) for part in node[name]]
            return {other if negate else name: parts}
    if not negate:
        return node
    if "range" in node:  # of our own records, which all have the number
        return {"key": node["key"], "range": {"lte": node["range"]["gt"]}}
    return {"key": node["key"], "match": {"none": node["match"]["any"]}}


def evaluates(node: Json, fields: Mapping[str, Any]) -> bool:
    """Whether a record with ``fields`` passes a condition on tokens."""
    if "key" not in node:
        return (
            all(evaluates(part, fields) for part in node.get("must", ()))
            and ("should" not in node or any(evaluates(part, fields) for part in node["should"]))
            and not any(evaluates(part, fields) for part in node.get("must_not", ()))
        )
    found = fields.get(node["key"])
    values = [] if found is None else found if isinstance(found, list) else [found]
    if "match" in node:
        return any(each in node["match"]["any"] for each in values)
    if "prefix" in node:
        return any(each.startswith(node["prefix"]) for each in values)
    if "holds" in node:
        start, part = node["holds"]
        return any(each.startswith(start) and part in each[len(start) :] for each in values)
    return any(each > node["range"]["gt"] for each in values)
