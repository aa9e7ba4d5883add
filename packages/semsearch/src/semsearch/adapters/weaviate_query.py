"""Queries to Weaviate as GraphQL: values, and conditions on tokens."""

import re
from typing import Any

from ..errors import BackendError
from .points import Json

_PLAIN = re.compile(r"[\w.*/:+-]*", re.ASCII)


class Word(str):
    """A bare word of GraphQL."""

    __slots__ = ()


def literal(value: Any) -> str:
    """Return a value as GraphQL writes it."""
    if isinstance(value, Word):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {literal(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        raise BackendError("a query may hold tokens of ours alone")  # they need no quoting
    return f'"{value}"' if isinstance(value, str) else repr(value)


def where_of(node: Json) -> Json:
    """Return a condition as a filter of Weaviate."""
    if "key" not in node:
        parts = [where_of(part) for part in node.get("must", ())]
        if "should" in node:
            parts.append(_joined("Or", [where_of(part) for part in node["should"]]))
        parts += [
            {"operator": Word("Not"), "operands": [where_of(part)]}
            for part in node.get("must_not", ())
        ]
        return _joined("And", parts)
    if "range" in node:
        least = int(node["range"]["gt"])
        return {"path": [node["key"]], "operator": Word("GreaterThan"), "valueInt": least}
    like = None
    if "prefix" in node:
        like = f"{node['prefix']}*"
    elif "holds" in node:
        start, part = node["holds"]
        like = f"{start}*{part}*" if part else f"{start}*"
    if like is not None:
        return {"path": [node["key"]], "operator": Word("Like"), "valueText": like}
    values = node["match"]["any"] or ["-"]  # no token
    return {"path": [node["key"]], "operator": Word("ContainsAny"), "valueText": list(values)}


def _joined(operator: str, parts: list[Json]) -> Json:
    return parts[0] if len(parts) == 1 else {"operator": Word(operator), "operands": parts}
