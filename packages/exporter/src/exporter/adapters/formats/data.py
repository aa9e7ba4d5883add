"""JSON and JSON Lines, written record by record."""

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from ...documents import Citation, Document, Record, Row, Section, Segment, Table
from ...ports import Renderer
from ...settings import JsonSettings
from .json_pieces import json_pieces, to_json, to_json_lines

_ARRAYS: dict[str, tuple[str, type]] = {
    "transcript": ("segments", Segment),
    "summary": ("sections", Section),
    "rag": ("citations", Citation),
    "custom": ("rows", Row),
}
_TOGETHER, _SHORT = 64, 4096
_UNSET: Final = msgspec.UNSET
_TYPES = {
    Segment: "segment", Section: "section", Citation: "citation", Table: "table", Row: "row",
}  # fmt: skip


class _Spoken(msgspec.Struct, gc=False):
    """A segment without words as it is encoded: as a mapping would be, in less time."""

    start: float | None
    end: float | None
    speaker: str | msgspec.UnsetType
    text: str


class _Structured(Renderer):
    _columns: tuple[str, ...] = ()
    _natural: type = Row
    _held: list[_Spoken | dict[str, Any]]

    def write_all(self, records: Iterable[Record]) -> None:
        segments = False
        for record in records:
            # what most transcripts are made of: the way of write(), shortened
            if (
                segments
                and isinstance(record, Segment)
                and not record.words
                and len(text := record.text) < _SHORT
            ):
                speaker = record.speaker
                name = _UNSET if speaker is None else speaker
                self._held.append(_Spoken(record.start, record.end, name, text))
                if len(self._held) >= _TOGETHER:
                    self._release()
            else:
                self.write(record)
                segments = self._takes_segments()

    def _takes_segments(self) -> bool:
        """Whether segments are what comes next, and need no word for their type."""
        return self._natural is Segment

    def _hold(self, record: Record) -> None:
        self._held.append(self._object(record))
        # short ones are encoded some at a time, which takes half the time
        if len(self._held) >= _TOGETHER or not _is_short(record):
            self._release()

    @abstractmethod
    def _release(self) -> None:
        """Write what is held."""

    def _object(self, record: Record) -> dict[str, Any]:
        typed = {} if isinstance(record, self._natural) else {"type": _TYPES[type(record)]}
        return {**typed, **_WRITERS[type(record)](record, self._columns)}

    def _metadata(self, document: Document) -> dict[str, Any]:
        facts = {
            "title": document.title or None,
            "author": document.author,
            "description": document.description,
            "language": document.language,
            "created_at": document.created_at,
            "exported_at": self.context.now,
        }
        known = {key: value for key, value in facts.items() if value is not None}
        return {"kind": document.kind, **document.metadata, **known}

    def _hidden(self, record: Record) -> bool:
        """Whether ``record`` only says what the rows after it show by their keys."""
        if not isinstance(record, Table):
            return False
        self._columns = tuple(record.columns)
        return not record.title and self._natural is Row


class JsonRenderer(_Structured):
    """One object: ``metadata`` and an array of records, named after the kind."""

    format = "json"
    content_type = "application/json"

    def begin(self, document: Document) -> None:
        settings = self.context.settings
        self._indent = 2 if not isinstance(settings, JsonSettings) or settings.pretty else 0
        self._array, self._natural = _ARRAYS[document.kind]
        self._roles: set[str] = set()
        self._held = []
        self._comma = b""
        self._state, self._fields = "head", 0
        self._whole = document.data if document.kind == "custom" else None
        if self._whole is not None and not self.context.include_metadata:
            self._state = "done"
            self._value(self._whole, 0)
            self.sink.write(b"\n")
            return
        self.sink.write(b"{")
        if self.context.include_metadata:
            self._field("metadata", self._metadata(document))
        if self._whole is not None:
            self._field("data", self._whole)

    def _value(self, value: Any, depth: int) -> None:
        for piece in json_pieces(value, pretty=bool(self._indent), depth=depth):
            self.sink.write(piece)

    def _field(self, name: str, value: Any) -> None:
        self._key(name)
        self._value(value, 1)

    def _key(self, name: str) -> None:
        space = b"\n  " if self._indent else b""
        self.sink.write((b"," if self._fields else b"") + space)
        self.sink.write(to_json(name) + (b": " if self._indent else b":"))
        self._fields += 1

    def write(self, record: Record) -> None:
        if self._whole is not None or self._hidden(record):
            return
        if self._state == "head":
            if isinstance(record, Section) and record.role and record.role not in self._roles:
                self._roles.add(record.role)
                self._field(record.role, record.text)
                return
            self._open()
        self._hold(record)

    def _takes_segments(self) -> bool:
        return self._state == "array" and super()._takes_segments()

    def _release(self) -> None:
        if not self._held:
            return
        # within two lists the entries are styled as deep as they stand; the brackets are cut off
        data = to_json([self._held])
        self._held.clear()
        styled = msgspec.json.format(data, indent=2)[5:-6] if self._indent else data[2:-2]
        comma, self._comma = self._comma, b","
        self.sink.write(comma + styled)

    def _open(self) -> None:
        self._key(self._array)
        self.sink.write(b"[")
        self._state, self._comma = "array", b""

    def end(self) -> None:
        if self._state == "done":
            return
        self._release()
        if self._whole is None:
            if self._state == "head":
                self._open()
                self.sink.write(b"]")
            else:
                self.sink.write(b"\n  ]" if self._indent else b"]")
        self.sink.write(b"\n}\n" if self._indent else b"}\n")


class JsonLinesRenderer(_Structured):
    """One object a line: the metadata first, then each record."""

    format = "jsonl"
    content_type = "application/x-ndjson"

    def begin(self, document: Document) -> None:
        self._natural = _ARRAYS[document.kind][1]
        self._held = []
        if self.context.include_metadata:
            self.sink.write(to_json({"metadata": self._metadata(document)}) + b"\n")
        self._whole = document.data if document.kind == "custom" else None
        if self._whole is not None:
            for piece in json_pieces(self._whole, pretty=False):
                self.sink.write(piece)
            self.sink.write(b"\n")

    def write(self, record: Record) -> None:
        if self._whole is None and not self._hidden(record):
            self._hold(record)

    def _release(self) -> None:
        if self._held:
            self.sink.write(to_json_lines(self._held))
            self._held.clear()

    def end(self) -> None:
        self._release()


def _is_short(record: Record) -> bool:
    return isinstance(record, Segment) and len(record.text) < _SHORT and not record.words


def _segment(record: Segment, _columns: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {"start": record.start, "end": record.end}
    if record.speaker is not None:
        found["speaker"] = record.speaker
    found["text"] = record.text
    if record.words:
        found["words"] = [{"word": w.text, "start": w.start, "end": w.end} for w in record.words]
    return found


def _section(record: Section, _columns: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {"title": record.title, "level": record.level, "text": record.text}
    if record.role is not None:
        found["role"] = record.role
    return {**found, "bullets": list(record.bullets)} if record.bullets else found


def _citation(record: Citation, _columns: tuple[str, ...]) -> dict[str, Any]:
    values = {
        "number": record.number,
        "title": record.title or None,
        "url": record.url,
        "score": record.score,
    }
    return {**{k: v for k, v in values.items() if v is not None}, "text": record.text}


def _table(record: Table, _columns: tuple[str, ...]) -> dict[str, Any]:
    return {"title": record.title, "columns": list(record.columns)}


def _row(record: Row, columns: tuple[str, ...]) -> dict[str, Any]:
    if len(columns) != len(record.cells):
        return {"cells": list(record.cells)}
    return dict(zip(columns, record.cells, strict=True))


_WRITERS: dict[type, Callable[[Any, tuple[str, ...]], dict[str, Any]]] = {
    Segment: _segment, Section: _section, Citation: _citation, Table: _table, Row: _row,
}  # fmt: skip
