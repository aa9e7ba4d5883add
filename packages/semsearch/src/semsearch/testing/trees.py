"""Metadata and filters that adapters have gone wrong on, and the plain answers to them."""

import random
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from ..filters import Filter

_VALUES: Final[Sequence[Any]] = (
    None, True, False, 0, 1, -1, 3, 2**53 + 1, -(2**63), 0.0, 1.0, -0.5, 1e300, 5e-324,
    "", " ", "a", "A", "ab", "a%b", "a_b", "bab", "a*b?", 'c"d', "e'f", "g\\h", "i\x00j", "k\nl",
    "ß", "ẞ", "é", "e\u0301", "日本", "\U0001f600", "\u202eb", "None", "true", "1", "1.0", "null",
    "$gt", "{}", "[]", "' OR 1=1 --", "2026-01-01", "2026-01-01T00:00:00Z",
    "2026-01-01T02:00:00+02:00", "2026-01-01T00:00:00.000001Z", "2026-13-01", "20260101",
)  # fmt: skip
_NAMES: Final = (
    "k", "K", "a.b", "a b", 'q"t', "it's", "$x", "ünï", "日本", "id", "content", "vector", "_id",
    "x[0]", "%s", "i\x00j",
)  # fmt: skip
_ORDER: Final = ("$gt", "$gte", "$lt", "$lte")
_TEXT: Final = ("$contains", "$prefix")


def hostile_metadata(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Return metadata under few names, so that filters on them pass some and not others."""
    rng = random.Random(seed)
    made: list[dict[str, Any]] = [{}]
    while len(made) < count:
        names = rng.sample(_NAMES[:6], 2) if len(made) % 2 else rng.sample(_NAMES, 3)
        made.append({name: _value(rng) for name in names})
    return made


def _value(rng: random.Random) -> Any:
    if rng.random() < 0.3:
        return [rng.choice(_VALUES) for _ in range(rng.randrange(4))]
    return rng.choice(_VALUES)


def hostile_filters(
    metadata: Sequence[Mapping[str, Any]], operators: Collection[str], count: int, seed: int = 2
) -> Iterator[Filter]:
    """Yield filters on what ``metadata`` have and nearly have, each with one to six conditions."""
    rng = random.Random(seed)
    known = sorted(operators)
    for number in range(count):
        # each operator alone first, so that none hides behind the others of its tree
        if number < 3 * len(known):
            yield _leaf(rng, metadata, [known[number % len(known)]])
        else:
            yield _tree(rng, metadata, known, depth=3)


def _tree(
    rng: random.Random, metadata: Sequence[Mapping[str, Any]], known: Sequence[str], depth: int
) -> Filter:
    kind = rng.randrange(5) if depth else 4
    if kind in {0, 1}:
        parts = [_tree(rng, metadata, known, depth - 1) for _ in range(rng.randint(1, 2))]
        return Filter(("$and", "$or")[kind], tuple(parts))
    if kind == 2:
        return Filter("$not", (_tree(rng, metadata, known, depth - 1),))
    return _leaf(rng, metadata, known)


def _leaf(
    rng: random.Random, metadata: Sequence[Mapping[str, Any]], known: Sequence[str]
) -> Filter:
    there = rng.choice([each for each in metadata if each])
    name = rng.choice(sorted(there)) if rng.random() < 0.8 else rng.choice(_NAMES)
    operator = rng.choice(known)
    return Filter(operator, name=name, value=_operand(rng, operator, there.get(name)))


def _operand(rng: random.Random, operator: str, found: Any) -> Any:
    near = found if found and rng.random() < 0.6 else rng.choice(_VALUES)
    value = rng.choice(near) if isinstance(near, list) else near
    if operator == "$exists":
        return rng.random() < 0.5
    if operator in {"$in", "$nin"}:
        return [value, *(rng.choice(_VALUES) for _ in range(rng.randrange(3)))]
    if operator in _TEXT:
        start = rng.choice([0, 0, 1])  # what is inside begins nothing, but a value or two
        return value[start : start + rng.randint(0, 2)] if isinstance(value, str) else "b"
    if operator in _ORDER and (value is None or isinstance(value, bool)):
        return rng.choice([1, 0.5, "a", "2026-01-01"])
    return value


def plain_facet(metadata: Sequence[Mapping[str, Any]], name: str) -> list[tuple[Any, int]]:
    """Return the values under ``name`` and in how many metadata each is, most frequent first.

    Values of different types are different; of a list each counts once for its document.
    """
    counts: Counter[tuple[str, Any]] = Counter()
    for each in metadata:
        found = each.get(name)
        items = found if isinstance(found, list) else [found]
        counts.update({(type(item).__name__, item) for item in items if item is not None})
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0][0], str(pair[0][1])))
    return [(key[1], count) for key, count in ranked]
