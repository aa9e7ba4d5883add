"""Apache Parquet by pyarrow: typed columns, written in row groups as the records come."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..._common.extras import require
from ...documents import Citation, Document, Record, Row, Section, Segment, Table
from ...errors import InvalidSource
from ...ports import ByteSink, RenderContext
from ...presentation import facts_of, title_of
from ...settings import ParquetSettings
from ...texts import shown, utf8
from .tables import COLUMNS, RowsRenderer

_PLAIN = (bool, int, float, str)
_OF_RECORDS = {
    "start": "number", "end": "number", "speaker": "text", "text": "text", "title": "text",
    "level": "integer", "kind": "text", "number": "integer", "url": "text", "score": "number",
}  # fmt: skip
_FITS = {
    "boolean": frozenset({bool}),
    "integer": frozenset({int}),
    "number": frozenset({int, float}),
}
_KINDS: dict[str, tuple[type[Record], ...]] = {
    "transcript": (Segment,), "summary": (Section,), "rag": (Section, Citation),
}  # fmt: skip


@dataclass(slots=True)
class _Run:
    """Rows that have the same columns."""

    names: tuple[str, ...]
    own: bool
    rows: list[Sequence[Any]] = field(default_factory=list)


class ParquetRenderer(RowsRenderer):
    """One table with the columns of CSV; what differs between kinds of record is null.

    The first row group settles columns and types: whole numbers, numbers, truth values or text,
    in mixed columns text. Memory holds one row group. The title block is the schema's metadata.
    """

    format = "parquet"
    content_type = "application/vnd.apache.parquet"

    def __init__(self, sink: ByteSink, context: RenderContext) -> None:
        super().__init__(sink, context)
        self._arrow: Any = require("pyarrow", dist="exporter", extra="parquet")
        self._library = require("pyarrow.parquet", dist="exporter", extra="parquet")
        self._writer: Any = None

    def begin(self, document: Document) -> None:
        super().begin(document)
        settings = self.context.settings
        self._rules = settings if isinstance(settings, ParquetSettings) else ParquetSettings()
        self._document, self._count, self._own = document, 0, False
        self._runs: list[_Run] = []
        self._types: dict[str, str] = {}

    def write(self, record: Record) -> None:
        if not isinstance(record, Row):
            self._own = not isinstance(record, Table)
        super().write(record)
        if self._count >= self._rules.row_group:
            self._flush()

    def _head(self, columns: tuple[str, ...]) -> None:
        self._columns = columns
        names = _distinct(columns)
        if len(set(columns)) < len(columns):
            self.context.report("columns of the same name were numbered")
        self._runs.append(_Run(names, self._own))

    def row(self, cells: Sequence[Any], *, header: bool = False) -> None:
        if not self._runs:
            self._head(tuple(f"column {number + 1}" for number in range(len(cells))))
        run = self._runs[-1]
        if len(cells) != len(run.names):
            raise InvalidSource(f"a row has {len(cells)} cells for {len(run.names)} columns")
        run.rows.append(cells)
        self._count += 1

    def gap(self) -> None:
        """Do nothing: one table has no gaps."""

    def end(self) -> None:
        self._flush()
        self._writer.close()

    def close(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(Exception):
                self._writer.close()  # the footer, if nothing came of the file: nobody takes it

    def _flush(self) -> None:
        writer = self._writer or self._open()
        if unknown := next((n for r in self._runs for n in r.names if n not in self._types), None):
            raise InvalidSource(
                f"parquet holds one table: the column {unknown[:80]!r} came after the first "
                f"{self._rules.row_group} rows (formats.parquet.row_group)"
            )
        if self._count:
            arrays = [self._array(name, list(_column(self._runs, name))) for name in self._types]
            table = self._arrow.Table.from_arrays(arrays, schema=self._schema)
            writer.write_table(table, row_group_size=self._count)
        last = self._runs[-1:]
        self._runs, self._count = [_Run(run.names, run.own) for run in last], 0

    def _open(self) -> Any:
        for kind in _KINDS.get(self._document.kind, ()):
            self._types |= {name: _OF_RECORDS[name] for name in COLUMNS[kind]}
        for run in self._runs:
            for name in run.names:
                if run.own:
                    self._types.setdefault(name, _OF_RECORDS[name])
                elif name not in self._types:
                    self._types[name] = _type_of(_kinds(_column(self._runs, name)))
        self._types |= {n: kind for n, kind in self._rules.types.items() if n in self._types}
        arrow = self._arrow
        types = {
            "text": arrow.string(), "number": arrow.float64(), "integer": arrow.int64(),
            "boolean": arrow.bool_(),
        }  # fmt: skip
        fields = [arrow.field(name, types[kind]) for name, kind in self._types.items()]
        self._schema = arrow.schema(fields, metadata=self._facts())
        out = _Out(self.sink)
        self._writer = self._library.ParquetWriter(out, self._schema, compression="zstd")
        return self._writer

    def _facts(self) -> dict[str, bytes] | None:
        if not self.context.include_metadata:
            return None
        document, facts = self._document, facts_of(self._document, self.context)
        known = {
            "title": title_of(document),
            "author": document.author,
            "description": document.description,
            "language": document.language,
            "created_at": document.created_at.isoformat() if document.created_at else None,
            "exported_at": self.context.now.isoformat(),
            "facts": json.dumps({name: str(value) for name, value in facts}),
        }
        return {name: utf8(value) for name, value in known.items() if value}

    def _array(self, name: str, values: list[Any]) -> Any:
        kinds, wanted = _kinds(values), self._types[name]
        if wanted == "text":
            if kinds - {str}:
                self.context.report("columns of several types became text")
            values = [None if value is None else _text(value) for value in values]
        elif not kinds <= _FITS[wanted]:
            found = ", ".join(sorted(kind.__name__ for kind in kinds - _FITS[wanted]))
            raise self._unfit(name, found)
        try:
            return self._arrow.array(values, type=self._schema.field(name).type)
        except (self._arrow.ArrowInvalid, OverflowError) as exc:
            raise self._unfit(name, "a number that is too large") from exc

    def _unfit(self, name: str, found: str) -> InvalidSource:
        return InvalidSource(
            f"the column {name[:80]!r} holds {self._types[name]}, by its first "
            f"{self._rules.row_group} rows, and then {found}; name its type in "
            "formats.parquet.types"
        )


class _Out:
    """A file that cannot seek; once a write has failed, it takes no more."""

    closed = False

    def __init__(self, sink: ByteSink) -> None:
        self._sink, self._failed = sink, False

    def write(self, data: Any) -> int:
        block = bytes(data)
        if not self._failed:
            self._failed = True
            self._sink.write(block)
            self._failed = False
        return len(block)

    def flush(self) -> None:
        """Do nothing: the sink passes on whole blocks."""

    def close(self) -> None:
        """Do nothing: the sink is not ours."""


def _column(runs: Sequence[_Run], name: str) -> Iterator[Any]:
    for run in runs:
        if name in run.names:
            at = run.names.index(name)
            yield from (row[at] for row in run.rows)
        else:
            yield from (None for _ in run.rows)


def _kinds(values: Iterator[Any] | list[Any]) -> frozenset[type]:
    found = set(map(type, values)) - {type(None)}
    return frozenset(next(base for base in _PLAIN if issubclass(kind, base)) for kind in found)


def _type_of(kinds: frozenset[type]) -> str:
    fitting = (name for name, fits in _FITS.items() if kinds and kinds <= fits)
    return next(fitting, "text")


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else shown(value)
    return text if text.isascii() else utf8(text).decode()


def _distinct(columns: Sequence[str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for column in columns:
        name, number = _text(column), 2
        while name in found:
            name, number = f"{_text(column)} ({number})", number + 1
        found[name] = None
    return tuple(found)
