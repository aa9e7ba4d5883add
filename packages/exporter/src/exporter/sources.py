"""From what users hand in to documents: the four kinds of data, checked field by field."""

import math
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from datetime import UTC, datetime
from typing import Any, TypeGuard, cast

from .documents import (
    Cell,
    Citation,
    Document,
    Item,
    Kind,
    Record,
    Row,
    Section,
    Segment,
    Table,
    Word,
)
from .errors import InvalidSource
from .texts import integer, shown

_FAR = math.inf
_FACTS = frozenset({"title", "author", "description", "language", "created_at", "metadata"})


def to_document(kind: str, data: Any) -> Document:
    """Return ``data`` as a document of ``kind``; kinds of your own are told by their keys.

    Raises:
        InvalidSource: A field has the wrong type; the message names it.
    """
    if isinstance(data, Document):
        return data
    if isinstance(data, Mapping):
        chosen = _kind_of(kind, data)
        facts = _facts(data)
        return _BUILDERS[chosen](data, facts)
    if isinstance(data, AsyncIterable) or (
        isinstance(data, Iterable) and not isinstance(data, str | bytes | bytearray)
    ):
        total = len(data) if isinstance(data, Sequence) else None
        chosen = _kind_of(kind, {})
        return Document(kind=chosen, records=_checked_stream(chosen, data), total=total)
    raise InvalidSource(
        f"cannot export {type(data).__name__}; give a mapping, a Document, or records"
    )


def _checked_stream(kind: Kind, data: Any) -> Any:
    if (
        kind == "custom"
        and isinstance(data, Sequence)
        and all(isinstance(i, Mapping) for i in data)
    ):
        return [_table({"rows": data})] if data else []
    return data


def _kind_of(kind: str, data: Mapping[str, Any]) -> Kind:
    if kind in _BUILDERS:
        return cast("Kind", kind)
    if "segments" in data:
        return "transcript"
    if "question" in data or "answer" in data:
        return "rag"
    return "summary" if "sections" in data else "custom"


def _facts(data: Mapping[str, Any]) -> dict[str, Any]:
    extra = data.get("metadata")
    if extra is not None and not isinstance(extra, Mapping):
        raise InvalidSource(f"'metadata' must be a mapping, not {type(extra).__name__}")
    inner = dict(extra or {})
    found: dict[str, Any] = {}
    # our own JSON keeps the facts inside "metadata": both places are read
    for name in ("title", "author", "description", "language"):
        value = data.get(name, inner.pop(name, None))
        found[name] = None if value is None else _text(value, name)
    found["title"] = found["title"] or ""
    made = data.get("created_at", inner.pop("created_at", None))
    found["created_at"] = None if made is None else _moment(made)
    for name in ("duration", "model"):
        if data.get(name) is not None:
            inner.setdefault(name, data[name])
    for name in ("kind", "type", "exported_at"):
        inner.pop(name, None)
    return {**found, "metadata": {str(key): value for key, value in inner.items()}}


def _moment(value: Any) -> datetime:
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except ValueError as exc:
        raise InvalidSource(f"'created_at' is not an ISO 8601 date: {str(value)[:40]!r}") from exc


def _transcript(data: Mapping[str, Any], facts: dict[str, Any]) -> Document:
    segments = data.get("segments")
    if segments is None:
        segments = [{"text": _text(data.get("text"), "text")}] if data.get("text") else []
    return _with_records("transcript", segments, "segments", facts)


def _summary(data: Mapping[str, Any], facts: dict[str, Any]) -> Document:
    first: list[Item] = []
    text = data.get("summary", data.get("text"))
    bullets = data.get("bullets", data.get("key_points"))
    if text or bullets:
        first.append(Section(text=_text(text, "summary"), bullets=_texts(bullets, "bullets")))
    return _with_records("summary", data.get("sections"), "sections", facts, first)


def _rag(data: Mapping[str, Any], facts: dict[str, Any]) -> Document:
    first: list[Item] = []
    if data.get("question") is not None:
        first.append(Section("Question", _text(data["question"], "question"), role="question"))
    if data.get("answer") is not None:
        first.append(Section("Answer", _text(data["answer"], "answer"), role="answer"))
    name = "citations" if "citations" in data else "sources"
    return _with_records("rag", data.get(name), name, facts, first)


def _custom(data: Mapping[str, Any], facts: dict[str, Any]) -> Document:
    if "rows" in data:
        if isinstance(data["rows"], AsyncIterable):
            return Document(kind="custom", records=data["rows"], **facts)
        table = _table(data)
        total = len(data["rows"]) if isinstance(data["rows"], Sequence) else None
        return Document(kind="custom", records=[table], total=total, **facts)
    pairs = [(str(key), value) for key, value in data.items() if key not in _FACTS]
    records: list[Item] = [Table(("field", "value"), [(k, _flat(v)) for k, v in pairs])]
    return Document(kind="custom", records=records, data=data, total=len(pairs), **facts)


def _table(data: Mapping[str, Any]) -> Table:
    rows = data["rows"]
    if isinstance(rows, str | bytes | Mapping) or not isinstance(rows, Iterable):
        raise InvalidSource(f"'rows' must be a list of rows, not {type(rows).__name__}")
    columns = data.get("columns")
    if columns is None:
        # only a list can be looked through first; a stream names its columns or has them in row 1
        if not isinstance(rows, Sequence):
            return Table((), rows)
        names = (key for row in rows if isinstance(row, Mapping) for key in row)
        columns = list(dict.fromkeys(names))
    return Table(_texts(columns, "columns"), rows)


_BUILDERS: dict[str, Callable[[Mapping[str, Any], dict[str, Any]], Document]] = {
    "transcript": _transcript,
    "summary": _summary,
    "rag": _rag,
    "custom": _custom,
}


def _with_records(
    kind: Kind, items: Any, name: str, facts: dict[str, Any], first: Sequence[Item] = ()
) -> Document:
    given = () if items is None else items
    if isinstance(given, AsyncIterable):
        return Document(kind=kind, records=_chained(first, given), **facts)
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Iterable):
        raise InvalidSource(f"{name!r} must be a list, not {type(given).__name__}")
    total = len(given) + len(first) if isinstance(given, Sequence) else None
    chain = (item for part in (first, given) for item in part)
    return Document(kind=kind, records=chain, total=total, **facts)


async def _chained(first: Iterable[Item], rest: AsyncIterable[Item]) -> AsyncIterator[Item]:
    for item in first:
        yield item
    async for item in rest:
        yield item


class Flow:
    """Turns the items of a document into records that formats take: tables open, rows aligned."""

    def __init__(self, kind: Kind, report: Callable[[str], None]) -> None:
        """Read mappings as records of ``kind``; note with ``report`` what was mended."""
        self._kind, self._report = kind, report
        self._columns: tuple[str, ...] | None = None
        self._count = 0

    def is_plain(self, item: Item) -> TypeGuard[Segment]:
        """Whether ``item`` is a segment with nothing to mend: what most streams are made of."""
        if not isinstance(item, Segment):
            return False
        start, end, text = item.start, item.end, item.text
        if (
            isinstance(start, float)
            and isinstance(end, float)
            and -_FAR < start < _FAR
            and -_FAR < end < _FAR
            and text.__class__ is str
        ):
            self._count += 1
            return True
        return False

    def records(self, item: Item) -> Iterator[Record]:
        """Yield the records that ``item`` stands for.

        Raises:
            InvalidSource: It is no record; the message names its number and field.
        """
        self._count += 1
        if isinstance(item, Segment):
            yield self._timed(item)
        elif isinstance(item, Section | Citation):
            yield _typed(item, self._count)
        elif isinstance(item, Table):
            yield from self._open(item)
        elif isinstance(item, Row):
            yield self._row(item.cells)
        elif not isinstance(item, Mapping):
            raise InvalidSource(f"record {self._count} is {type(item).__name__}, not a record")
        elif self._kind == "transcript":
            yield self._timed(_segment(item, self._where("segments")))
        elif self._kind == "summary":
            yield _section(item, self._where("sections"))
        elif self._kind == "rag":
            yield _citation(item, self._where("citations"))
        else:
            if self._columns is None:
                yield from self._open(Table(tuple(str(key) for key in item)))
            yield self._row(item)

    def _where(self, name: str) -> str:
        return f"{name}[{self._count - 1}]"

    def _open(self, table: Table) -> Iterator[Record]:
        self._columns, rows = tuple(str(name) for name in table.columns), iter(table.rows)
        if not self._columns:
            first = next(rows, None)
            if first is None:
                return
            named = isinstance(first, Mapping)
            names = first if named else (f"column {n + 1}" for n in range(len(first)))
            self._columns = tuple(str(name) for name in names)
            yield Table(self._columns, (), table.title)
            yield self._row(first)
        else:
            yield Table(self._columns, (), table.title)
        for row in rows:
            yield self._row(row)

    def _row(self, row: Any) -> Row:
        columns = self._columns
        if isinstance(row, Row):
            row = row.cells
        if isinstance(row, Mapping):
            known = {str(key): value for key, value in row.items()}
            if columns is not None and (extra := known.keys() - set(columns)):
                raise InvalidSource(
                    f"a row has the key {min(extra)[:80]!r}, which is no column; name all columns "
                    "in Table(columns=…)"
                )
            return Row([_flat(known.get(name)) for name in columns or ()])
        if isinstance(row, str | bytes) or not isinstance(row, Sequence):
            raise InvalidSource(f"a row must be a list or mapping, not {type(row).__name__}")
        if columns is not None and len(row) != len(columns):
            raise InvalidSource(f"a row has {len(row)} cells for {len(columns)} columns")
        return Row([_flat(cell) for cell in row])

    def _timed(self, segment: Segment) -> Segment:
        start, end = segment.start, segment.end
        if not isinstance(segment.text, str):
            raise InvalidSource(f"{self._where('segments')}.text must be text")
        if _finite(start) and _finite(end):
            return segment
        self._report("times that are no numbers were left out")
        return Segment(
            segment.text,
            start if _finite(start) else None,
            end if _finite(end) else None,
            segment.speaker,
            segment.words,
        )


def _finite(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and math.isfinite(value))


def _typed(record: Section | Citation, number: int) -> Section | Citation:
    texts = (record.title, record.text, *(record.bullets if isinstance(record, Section) else ()))
    if not all(isinstance(text, str) for text in texts):
        raise InvalidSource(f"record {number} holds something that is not text")
    return record


def _segment(data: Mapping[str, Any], where: str) -> Segment:
    speaker = data.get("speaker")
    return Segment(
        _text(data.get("text"), f"{where}.text").strip(" \t\r\n"),
        _seconds(data.get("start"), f"{where}.start"),
        _seconds(data.get("end"), f"{where}.end"),
        None if speaker is None else _text(speaker, f"{where}.speaker"),
        _words(data.get("words"), f"{where}.words"),
    )


def _words(data: Any, where: str) -> tuple[Word, ...]:
    if not data:
        return ()
    if isinstance(data, str | bytes) or not isinstance(data, Sequence):
        raise InvalidSource(f"{where} must be a list")
    found: list[Word] = []
    for item in data:
        if isinstance(item, Word):
            found.append(item)
        elif not isinstance(item, Mapping):
            raise InvalidSource(f"{where} must be a list of mappings")
        else:
            text = _text(item.get("word", item.get("text")), where)
            start, end = _seconds(item.get("start"), where), _seconds(item.get("end"), where)
            # WhisperX leaves the times of numerals out; all or none, or lines would drift
            if start is None or end is None or not (math.isfinite(start) and math.isfinite(end)):
                return ()
            found.append(Word(text, start, end))
    return tuple(found)


def _section(data: Mapping[str, Any], where: str) -> Section:
    level = data.get("level", 1)
    if not isinstance(level, int) or not 1 <= level <= 6:
        raise InvalidSource(f"{where}.level must be 1 to 6, not {shown(level)[:40]!r}")
    return Section(
        _text(data.get("title", data.get("heading")), f"{where}.title"),
        _text(data.get("text", data.get("content")), f"{where}.text"),
        _texts(data.get("bullets", data.get("points")), f"{where}.bullets"),
        level,
    )


def _citation(data: Mapping[str, Any], where: str) -> Citation:
    url, number = data.get("url"), data.get("number")
    if number is not None and not isinstance(number, int):
        raise InvalidSource(f"{where}.number must be a whole number")
    return Citation(
        _text(data.get("title", data.get("source")), f"{where}.title"),
        _text(data.get("text", data.get("quote", data.get("snippet"))), f"{where}.text"),
        None if url is None else _text(url, f"{where}.url"),
        _seconds(data.get("score"), f"{where}.score"),
        number,
    )


def _text(value: Any, where: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return shown(value)
    raise InvalidSource(f"{where} must be text, not {type(value).__name__}")


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise InvalidSource(f"{where} must be a list, not {type(value).__name__}")
    return tuple(_text(item, where) for item in value)


def _seconds(value: Any, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    raise InvalidSource(f"{where} must be a number, not {shown(value)[:40]!r}")


def _flat(value: Any) -> Cell:
    """Return a cell: plain values as they are, anything else as text."""
    if isinstance(value, bool | float | str) or value is None:
        return value
    if isinstance(value, int):
        return value if value.bit_length() < 64 else integer(value)
    if isinstance(value, Mapping):
        value = ", ".join(f"{shown(key)}: {_brief(item)}" for key, item in value.items())
    return shown(value)


def _brief(value: Any) -> str:
    # one level of a nested mapping is read as text; deeper ones belong into JSON
    return "{…}" if isinstance(value, Mapping) else shown(value)
