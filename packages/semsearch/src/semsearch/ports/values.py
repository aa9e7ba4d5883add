"""What goes through the ports: documents as stores keep them, changes, hits, abilities."""

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from ..filters import OPERATORS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# as strings: importing numpy would be half of the package's start
Vector: TypeAlias = "npt.NDArray[np.float32]"
"""Shape (dimension,), unit length."""
Matrix: TypeAlias = "npt.NDArray[np.float32]"
"""Shape (n, dimension), rows of unit length."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a store can do.

    Attributes:
        durable: Documents survive the end of every process.
        shared: Several processes may write at once.
        filters: The operators that it can apply before ranking.
        reindex: Another model's vectors can take the place of all, with no downtime.
        atomic: A batch of writes is there whole or not at all.
        most_bytes: The longest document (text and metadata, as UTF-8); None for no limit.
    """

    durable: bool = False
    shared: bool = False
    filters: frozenset[str] = frozenset()
    reindex: bool = False
    atomic: bool = True
    most_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class KeywordCapabilities:
    """What a keyword index can do.

    Attributes:
        kept: Its words stay when the process ends; a new process writes the difference alone.
        shared: Several processes may use it at once.
        filters: The operators that it can apply before ranking.
    """

    kept: bool = False
    shared: bool = False
    filters: frozenset[str] = OPERATORS


@dataclass(frozen=True, slots=True)
class Chunk:
    """A part of a document.

    Attributes:
        start: Where it begins in the text, in characters.
        end: Where it ends.
        vector: Unit length.
    """

    start: int
    end: int
    vector: Vector


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as stores keep it.

    Attributes:
        id: The document's.
        content: Its text.
        metadata: JSON values.
        vector: Unit length.
        digest: Hash of what the vector was made of, and of the model.
        chunks: Its parts, to be written with it; None leaves those that are there. Never read:
            only a store of whole documents with parts knows of them.
        unread: Its text was left where it is: ``content`` is empty, ``get`` reads it. Only what
            ``refresh`` tells may be.
    """

    id: str
    content: str
    metadata: Mapping[str, Any]
    vector: Vector
    digest: str
    chunks: "tuple[Chunk, ...] | None" = ()
    unread: bool = False


def version(document: Stored) -> str:
    """Return what tells versions of a document apart: text, vector and metadata."""
    metadata = msgspec.json.encode(document.metadata, order="deterministic")
    return hashlib.sha256(document.digest.encode() + b"\0" + metadata).hexdigest()[:32]


Position: TypeAlias = Hashable
"""How far a reader has followed a store. Made and understood by the store alone; None: nowhere."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What became of a store's documents since a position.

    Attributes:
        reset: Everything before is void: ``upserted`` are all documents.
        upserted: New and changed documents.
        deleted: Ids that are gone.
        position: Where one is after taking them over.
    """

    reset: bool = False
    upserted: Sequence[Stored] = ()
    deleted: Sequence[str] = ()
    position: Position = None


Scored = tuple[str, float]
Span: TypeAlias = tuple[int, int]
"""Where a part of a text begins and ends, in characters."""


@dataclass(frozen=True, slots=True)
class Nearest:
    """The nearest documents.

    Attributes:
        hits: Ids and cosines, best first, ties by id.
        passages: The best part of those that have parts.
    """

    hits: Sequence[Scored]
    passages: Mapping[str, Span] = field(default_factory=dict)
