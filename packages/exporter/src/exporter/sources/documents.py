"""From what users hand in to documents: the four kinds of data."""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, cast

from ..documents import Document, Item, Kind, Section, Table
from ..errors import InvalidSource
from ..texts import quoted
from .values import check_text, flat, names_of, text_of, texts_of

_FACTS = frozenset({"title", "author", "description", "language", "created_at", "metadata"})
_EXTRA = frozenset({"duration", "model"})  # shown among the facts
_CONTENT: dict[Kind, tuple[str, ...]] = {
    "transcript": ("segments", "text"),
    "summary": ("sections", "summary", "text", "bullets", "key_points"),
    "rag": ("question", "answer", "citations", "sources"),
    "custom": (),
}


def to_document(kind: str, data: Any) -> Document:
    """Return ``data`` as a document of ``kind``; kinds of your own are told by their keys.

    Raises:
        InvalidSource: A field has the wrong type; the message names it.
    """
    if isinstance(data, Document):
        return checked_document(data)
    if isinstance(data, Mapping):
        chosen = _kind_of(kind, data)
        _refuse_strange(chosen, data)
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


def checked_document(document: Document) -> Document:
    """Return a document whose facts are what they should be; its records are looked at later.

    Raises:
        InvalidSource: A field has the wrong type; the message names it and what it holds.
    """
    check_text(document.title, "Document.title")
    for name in ("author", "description", "language"):
        if (value := getattr(document, name)) is not None:
            check_text(value, f"Document.{name}")
    given: Any = document
    if given.kind not in _BUILDERS:
        known = ", ".join(_BUILDERS)
        raise InvalidSource(f"Document.kind must be one of {known}, not {quoted(given.kind)}")
    if not isinstance(given.created_at, datetime | None):
        raise InvalidSource(
            f"Document.created_at must be a datetime or None, not {quoted(given.created_at)}"
        )
    for name, optional in (("metadata", False), ("data", True)):
        value = getattr(document, name)
        if not isinstance(value, Mapping) and not (optional and value is None):
            raise InvalidSource(f"Document.{name} must be a mapping, not {quoted(value)}")
    for key in given.metadata:
        check_text(key, "a key of Document.metadata")
    if isinstance(given.records, str | bytes | Mapping) or not isinstance(
        given.records, Iterable | AsyncIterable
    ):
        raise InvalidSource(
            f"Document.records must be a list or stream of records, not {quoted(given.records)}"
        )
    if not isinstance(given.total, int | None) or (given.total or 0) < 0:
        raise InvalidSource(f"Document.total must be a number or None, not {quoted(given.total)}")
    return document


def _refuse_strange(kind: Kind, data: Mapping[str, Any]) -> None:
    """Refuse data with none of the names of its kind: misspelt, it would be an empty document."""
    known = _CONTENT[kind]
    others = data.keys() - _FACTS - _EXTRA
    if known and others and data.keys().isdisjoint(known):
        raise InvalidSource(
            f"a {kind} has {' or '.join(map(repr, known))}; this data has {names_of(data)}"
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
        found[name] = None if value is None else text_of(value, name)
    found["title"] = found["title"] or ""
    made = data.get("created_at", inner.pop("created_at", None))
    found["created_at"] = None if made is None else _moment(made)
    for name in sorted(_EXTRA):
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
        segments = [{"text": text_of(data.get("text"), "text")}] if data.get("text") else []
    return _with_records("transcript", segments, "segments", facts)


def _summary(data: Mapping[str, Any], facts: dict[str, Any]) -> Document:
    first: list[Item] = []
    text = data.get("summary", data.get("text"))
    bullets = data.get("bullets", data.get("key_points"))
    if text or bullets:
        first.append(Section(text=text_of(text, "summary"), bullets=texts_of(bullets, "bullets")))
    return _with_records("summary", data.get("sections"), "sections", facts, first)


def _rag(data: Mapping[str, Any], facts: dict[str, Any]) -> Document:
    first: list[Item] = []
    if data.get("question") is not None:
        first.append(Section("Question", text_of(data["question"], "question"), role="question"))
    if data.get("answer") is not None:
        first.append(Section("Answer", text_of(data["answer"], "answer"), role="answer"))
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
    records: list[Item] = [Table(("field", "value"), [(k, flat(v)) for k, v in pairs])]
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
    return Table(texts_of(columns, "columns"), rows)


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
