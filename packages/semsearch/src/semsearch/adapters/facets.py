"""Counting values of metadata: what stores share."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ..models import Facet


def values_of(value: Any) -> set[tuple[str, Any]]:
    """Return what a document counts for, with its type: 1, True and 1.0 are one key of a dict."""
    items = value if isinstance(value, list | tuple) else [value]
    return {
        (type(item).__name__, item) for item in items if isinstance(item, str | int | float | bool)
    }


def facet_of(name: str, counts: Iterable[tuple[Any, int]]) -> Facet:
    """Return the facet of values as documents have them, and how many documents have each."""
    counter: Counter[tuple[str, Any]] = Counter()
    for value, count in counts:
        for key in values_of(value):
            counter[key] += count
    return ranked(name, counter)


def ranked(name: str, counts: Mapping[tuple[str, Any], int]) -> Facet:
    """Return the facet of counted keys, most frequent first."""
    best = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0][0], str(pair[0][1])))
    return Facet(name, [(key[1], count) for key, count in best])
