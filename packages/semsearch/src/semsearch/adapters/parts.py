"""The records of long documents and of their parts, and what a search knows of each document.

A part is a record of its own with an id that no document can have.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..ports import Span, Stored

MARK = "\x1f"
OF = f"{MARK}part"
Parts = dict[str, dict[int, Span]]
"""Where the parts of documents are, by document and number."""


@dataclass(slots=True)
class Found:
    """What is known of a document: its own cosine, that of its best part."""

    name: str
    parts: Mapping[int, Span]
    own: float | None = None
    best: float | None = None
    span: Span | None = field(default=None)

    @property
    def is_known(self) -> bool:
        return self.own is not None and (self.best is not None or not self.parts)

    @property
    def score(self) -> float:
        own = self.own or 0.0
        return own if self.best is None else (own + self.best) / 2

    def least(self) -> float:
        if self.is_known:
            return self.score
        return ((self.own if self.own is not None else self.best or 0.0) - 1) / 2

    def most(self, bound: float) -> float:
        return ((self.own if self.own is not None else self.best or 0.0) + bound) / 2

    def missing(self) -> list[str]:
        """Return the ids of the records whose cosines are not known."""
        own = [self.name] if self.own is None else []
        if self.best is not None:  # parts come best first
            return own
        return own + [part_id(self.name, number) for number in self.parts]

    def complete(self, known: Mapping[str, float]) -> None:
        """Take over cosines by id; what was deleted meanwhile has none."""
        if self.own is None:
            self.own = known.get(self.name)
        if self.best is not None:
            return
        near = [
            (known[name], -number, span)
            for number, span in self.parts.items()
            if (name := part_id(self.name, number)) in known
        ]
        if near:
            self.best, _, self.span = max(near)
        else:
            self.parts = {}


@dataclass(slots=True)
class Read:
    """Changes of a store, parts told from documents."""

    documents: list[Stored] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    parts: Parts = field(default_factory=dict)
    gone: list[tuple[str, int]] = field(default_factory=list)

    def names(self) -> set[str]:
        """Return the documents whose parts changed."""
        return self.parts.keys() | {name for name, _ in self.gone}


def split(records: Sequence[Stored], deleted: Sequence[str]) -> Read:
    """Return changes with parts told from documents."""
    read = Read()
    for each in records:
        name, mark, number = each.id.partition(MARK)
        if mark:
            start, end = each.metadata[OF]
            read.parts.setdefault(name, {})[int(number)] = (start, end)
        else:
            read.documents.append(each)
    for each_id in deleted:
        name, mark, number = each_id.partition(MARK)
        if mark:
            read.gone.append((name, int(number)))
        else:
            read.deleted.append(each_id)
    return read


def part_id(name: str, number: int) -> str:
    """Return the id of a part's record."""
    return f"{name}{MARK}{number}"


def records_of(
    document: Stored, there: Mapping[str, Stored], parts: Mapping[int, Span]
) -> list[tuple[Span, Stored]]:
    """Return the parts of a document as records, new ones or (``chunks`` is None) the old ones."""
    if document.chunks is None:
        old = [(parts[n], there.get(part_id(document.id, n))) for n in sorted(parts)]
        chunks = [(span, each.vector) for span, each in old if each is not None]
    else:
        chunks = [((each.start, each.end), each.vector) for each in document.chunks]
    return [
        (
            span,
            Stored(
                part_id(document.id, number),
                "",
                {**document.metadata, OF: list(span)},
                vector,
                document.digest,
            ),
        )
        for number, (span, vector) in enumerate(chunks)
    ]
