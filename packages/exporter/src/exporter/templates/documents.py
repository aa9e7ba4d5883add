"""Templates of documents, rendered by an engine in a process of its own."""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..documents import Citation, Document, Record, Row, Section, Segment, Table
from ..ports import RenderContext
from ..presentation import facts_of, title_of
from ..settings import TemplateSettings
from ..texts import clean, shown, stamp
from .process import Job, TemplateProcess

_KINDS: dict[type, str] = {
    Segment: "segment", Section: "section", Citation: "citation", Table: "table", Row: "row",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class DocumentTemplate:
    """A template file and the engine that fills it, by name.

    Attributes:
        engine: As in the entry points ``exporter.engines``.
        name: What it was asked for by.
        path: The file.
        limits: What the process may use.
    """

    engine: str
    name: str
    path: Path
    limits: TemplateSettings

    def stream(
        self,
        document: Document,
        records: Iterator[Record],
        context: RenderContext,
        check: Callable[[], None],
    ) -> Iterator[bytes]:
        """Yield the file, once the engine has made it.

        Raises:
            TemplateError: The engine failed, or went over its limits.
            MissingExtraError: The engine's library is not installed.
        """
        job = Job(self.engine, self.name, str(self.path), context.now.timestamp())
        with TemplateProcess(job, self.limits, check) as process:
            process.send(facts_for(document, context))
            for record in records:
                process.send(plain_record(record))
            yield from process.blocks()


def facts_for(document: Document, context: RenderContext) -> dict[str, Any]:
    """Return what templates see beside the records."""
    made = document.created_at
    facts = facts_of(document, context) if context.include_metadata else []
    names = ("title", "kind", "author", "description", "language")
    return {
        "title": title_of(document),
        "document": {
            **{name: plain(getattr(document, name)) for name in names},
            "created_at": made.isoformat() if made else None,
        },
        "metadata": plain(document.metadata),
        "facts": [[clean(label), clean(value)] for label, value in facts],
        "include_metadata": context.include_metadata,
        "now": context.now.isoformat(),
        "data": plain(document.data or {}),
    }


def plain_record(record: Record) -> dict[str, Any]:
    """Return a record as a mapping of plain values, with ``kind``; segments with ``time`` too."""
    made = {
        field.name: plain(getattr(record, field.name))
        for field in dataclasses.fields(record)
        if field.name != "rows"
    }
    if isinstance(record, Segment):
        made["time"] = stamp(record.start)
    return {"kind": _KINDS[type(record)], **made}


def plain(value: Any) -> Any:
    """Return ``value`` as JSON can hold it: texts cleaned, numbers finite, the rest as text."""
    if isinstance(value, Mapping):
        return {clean(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = dataclasses.fields(value)
        return {field.name: plain(getattr(value, field.name)) for field in fields}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or (isinstance(value, int) and value.bit_length() < 64):
        return value
    return clean(shown(value))
