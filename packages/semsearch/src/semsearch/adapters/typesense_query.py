"""What stands in a request to Typesense: names, digests, conditions on them."""

import hashlib
import uuid

from .points import Json
from .tokens import FACTS

_NAMESPACE = uuid.UUID("0c6a2f2b-6f3c-4a39-9b0b-0a8f6d1f6f55")


def id_of(document_id: str) -> str:
    """Return the name of a document: no text of a user's."""
    return str(uuid.uuid5(_NAMESPACE, document_id))


def digest(text: str) -> str:
    """Return what stands for a stem or a fact."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def operations(condition: str) -> int:
    """Return what the server counts in a condition: parts, and what joins them."""
    return sum(condition.count(each) for each in (":", "&&", "||"))


def filter_of(node: Json) -> str:
    """Return a condition, negations at its leaves, as Typesense writes it."""
    for name, operator in (("must", " && "), ("should", " || ")):
        if name in node:
            return f"({operator.join(filter_of(part) for part in node[name])})"
    [(way, values)] = node["match"].items()
    return f"{FACTS}:{'=' if way == 'any' else '!='}[{','.join(map(digest, values)) or '-'}]"
