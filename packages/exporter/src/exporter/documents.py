"""The typed records that every format takes: one document, a stream of records."""

from collections.abc import AsyncIterable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Literal

Kind = Literal["transcript", "summary", "rag", "custom"]
Cell = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a segment; times in seconds from the start of the recording."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True, init=False)
class Segment:
    """What one speaker says in one breath.

    Attributes:
        text: The words.
        start: Seconds from the start of the recording; None if unknown.
        end: Seconds; None if unknown.
        speaker: Who speaks; None if unknown.
        words: The words with their times, where they are known.
    """

    text: str
    start: float | None = None
    end: float | None = None
    speaker: str | None = None
    words: Sequence[Word] = ()

    # a frozen dataclass's own takes twice the time, and there are millions of segments
    def __init__(
        self,
        text: str,
        start: float | None = None,
        end: float | None = None,
        speaker: str | None = None,
        words: Sequence[Word] = (),
    ) -> None:
        """Hold what the attributes say."""
        _set_text(self, text)
        _set_start(self, start)
        _set_end(self, end)
        _set_speaker(self, speaker)
        _set_words(self, words)


_set_text, _set_start, _set_end, _set_speaker, _set_words = (
    vars(Segment)[each.name].__set__ for each in fields(Segment)
)


@dataclass(frozen=True, slots=True)
class Section:
    """A headed part of a text.

    Attributes:
        title: The heading; empty for none.
        text: Paragraphs, parted by line breaks.
        bullets: Points below the text.
        level: 1 (a chapter) to 6.
        role: ``question`` or ``answer`` in a ``rag`` document.
    """

    title: str = ""
    text: str = ""
    bullets: Sequence[str] = ()
    level: int = 1
    role: Literal["question", "answer"] | None = None


@dataclass(frozen=True, slots=True)
class Citation:
    """A source of an answer.

    Attributes:
        title: Its name.
        text: The passage that is cited.
        url: Where it is; shown as text, never fetched.
        score: How well it fits, if known.
        number: The number by which the answer refers to it; counted from 1 if None.
    """

    title: str = ""
    text: str = ""
    url: str | None = None
    score: float | None = None
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table; ``rows`` may be any iterable and is read once, row by row.

    Attributes:
        columns: The names of the columns.
        rows: Sequences of cells, or mappings by column.
        title: A heading; empty for none.
    """

    columns: Sequence[str]
    rows: Iterable[Sequence[Any] | Mapping[str, Any]] = ()
    title: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table that began last, its cells in the order of the columns.

    Loaders may yield rows as mappings; formats get them as ``Row`` after their ``Table``.
    """

    cells: Sequence[Cell]


Record = Segment | Section | Citation | Table | Row
# What a source may yield: records, or mappings that are read as records of the document's kind.
Item = Record | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Document:
    """What is exported: facts about it, and its records.

    Attributes:
        title: Its title; empty for none.
        kind: What it is: ``transcript``, ``summary``, ``rag`` or ``custom``.
        records: The records, read once: any iterable or asynchronous iterable. Ordinary iterables
            are read in a worker thread.
        author: Who made it.
        description: One or two sentences.
        language: BCP 47, for example ``en``.
        created_at: When it was made.
        metadata: More facts, shown in the title block.
        data: The mapping behind a ``custom`` document, which JSON writes as it is.
        total: How many records there are, if known, for progress.
    """

    title: str = ""
    kind: Kind = "custom"
    records: Iterable[Item] | AsyncIterable[Item] = ()
    author: str | None = None
    description: str | None = None
    language: str | None = None
    created_at: datetime | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] | None = None
    total: int | None = None
