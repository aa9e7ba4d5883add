"""Checking documents, and knowing which need no new vector."""

import hashlib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from .errors import DimensionMismatch, EmbeddingError, InvalidDocument
from .models import SearchDocument
from .ports import Stored, Vector

_MAX_ID = 512
_MAX_METADATA = 1 << 20


@dataclass(frozen=True, slots=True)
class Checked:
    """A document that can be indexed.

    Attributes:
        content: Without lone surrogates.
        metadata: Plain JSON values of our own.
        given: Its own vector, unit length; None lets the embedder make it.
        size: Characters of the content and bytes of the metadata.
    """

    content: str
    metadata: dict[str, Any]
    given: "Vector | None"
    size: int


def readable(text: str) -> str:
    """Return ``text`` with lone surrogates replaced: no database and no model takes them."""
    return text.encode("utf-8", "replace").decode()


def listed(documents: Iterable[SearchDocument]) -> list[SearchDocument]:
    """Return documents as a list; a generator of the caller's runs here.

    Raises:
        InvalidDocument: It is nothing to iterate over.
    """
    if not isinstance(documents, Iterable):
        raise InvalidDocument(f"not a list of SearchDocument: {type(documents).__name__!r}")
    return list(documents)


def check_id(value: Any) -> str:
    """Return a document's id: 1 to 512 characters without control characters.

    Raises:
        InvalidDocument: It is not.
    """
    # surrogates (Cs) and controls (Cc) have no place in an id; spaces have
    good = isinstance(value, str) and 0 < len(value) <= _MAX_ID
    if good and all(unicodedata.category(char) not in {"Cc", "Cs"} for char in value):
        return str(value)
    shown = repr(value)[:60]
    raise InvalidDocument(f"an id must be 1 to {_MAX_ID} characters without controls, not {shown}")


def length(document: SearchDocument) -> int:
    """Return how long the content of what may be a document is."""
    content = getattr(document, "content", None)
    return len(content) if isinstance(content, str) else 0


def check_document(document: SearchDocument, max_content: int) -> tuple[str, dict[str, Any], int]:
    """Return the content, lone surrogates replaced, the metadata as plain JSON values, the size.

    Raises:
        InvalidDocument: Content or metadata cannot be indexed.
    """
    if not isinstance(document, SearchDocument):
        raise InvalidDocument(f"a document must be a SearchDocument, not {type(document).__name__}")
    name = check_id(document.id)
    if not isinstance(document.content, str):
        raise InvalidDocument(f"the content of {name!r} must be a str")
    if len(document.content) > max_content:
        raise InvalidDocument(
            f"the content of {name!r} has {len(document.content)} characters, over {max_content}"
        )
    try:
        raw = msgspec.json.encode(dict(document.metadata or {}))
        metadata: dict[str, Any] = msgspec.json.decode(raw, type=dict[str, Any])
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as exc:
        raise InvalidDocument(f"the metadata of {name!r} cannot be JSON: {exc}") from exc
    if any(each.startswith("\x1f") for each in metadata):
        raise InvalidDocument(f"the metadata of {name!r} have a name that begins with U+001F")
    if len(raw) > _MAX_METADATA:
        raise InvalidDocument(f"the metadata of {name!r} are over {_MAX_METADATA} bytes as JSON")
    return readable(document.content), metadata, len(document.content) + len(raw)


def digest(model_id: str, content: str, given: "Vector | None") -> str:
    """Return the hash of what a vector is made of: the text and the model, or the vector given."""
    hasher = hashlib.sha256(f"{model_id}\0".encode())
    hasher.update(content.encode() if given is None else given.tobytes())
    return hasher.hexdigest()


def unit(values: Any, dimension: int, what: str) -> Vector:
    """Return a vector of unit length.

    Raises:
        DimensionMismatch: It has another length.
        EmbeddingError: It is zero, or holds NaN or infinities.
    """
    import numpy as np  # late: it would be half of the package's start

    try:
        with np.errstate(over="ignore"):  # what is too large is infinite, and refused below
            vector: Vector = np.asarray(values, np.float32)
    except (TypeError, ValueError, OverflowError) as exc:
        raise EmbeddingError(f"{what} is no sequence of numbers") from exc
    if vector.shape != (dimension,):
        raise DimensionMismatch(f"{what} has shape {vector.shape}, the index takes ({dimension},)")
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if not np.isfinite(length) or length == 0.0:
        raise EmbeddingError(f"{what} is zero or not finite")
    return (vector / length).astype(np.float32)


def is_same(stored: Stored, made: str, document: Checked) -> bool:
    """Whether the index has the document already, metadata and all."""
    # as repr: 1, 1.0 and True are equal, and mean different things to filters
    same = repr(dict(stored.metadata)) == repr(document.metadata)
    return same and stored.digest == made and stored.content == document.content
