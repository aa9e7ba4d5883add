"""Formats: documents become bytes."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Protocol

from ..documents import Document, Record
from ..settings import FormatSettings
from ..texts import utf8


class ByteSink(Protocol):
    """Where a format writes: it counts, hashes, limits and can be cancelled. Never seeks."""

    def write(self, data: bytes, /) -> int:
        """Take ``data`` and return its length.

        Raises:
            ExportTooLarge: The file has grown over its limit.
            ExportCancelled: The export was cancelled.
            ExportError: Its time is over.
        """
        ...

    def flush(self) -> None:
        """Do nothing that matters: bytes are passed on in pieces of their own size."""


@dataclass(frozen=True, slots=True)
class RenderContext:
    """What a format knows beside the document.

    Attributes:
        include_metadata: Whether the title block and the like are wanted.
        settings: The settings of the format.
        now: The time that the file carries: same input, same bytes.
        report: Notes what had to be changed in the data: ``report("reversed times")``.
    """

    include_metadata: bool = True
    settings: FormatSettings = field(default_factory=FormatSettings)
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))
    report: Callable[[str], None] = lambda _: None


class Renderer(ABC):
    """Turns one document into the bytes of a format; runs in one worker thread.

    The engine calls ``begin`` once, ``write`` for each record, ``end`` once, and ``close``. It
    checks cancellation, time and size between records and in the sink. Register subclasses with
    ``register_format`` or the entry point ``exporter.formats``.

    Attributes:
        format: Its name, lower case.
        content_type: The media type.
        extension: Of file names, without the dot; the format's name if empty.
        pages: Pages written, where the format has pages; None otherwise.
    """

    format: ClassVar[str]
    content_type: ClassVar[str]
    extension: ClassVar[str] = ""
    pages: int | None = None

    def __init__(self, sink: ByteSink, context: RenderContext) -> None:
        """Write to ``sink``; nothing is written yet."""
        self.sink, self.context = sink, context

    def put(self, text: str) -> None:
        """Write ``text`` as UTF-8; lone surrogates become U+FFFD."""
        self.sink.write(utf8(text))

    @abstractmethod
    def begin(self, document: Document) -> None:
        """Write what stands before the records. ``document.records`` are not to be read."""

    @abstractmethod
    def write(self, record: Record) -> None:
        """Write one record. A ``Table`` comes without rows; they follow as ``Row``."""

    @abstractmethod
    def end(self) -> None:
        """Write what stands after the records."""

    def close(self) -> None:
        """Let go of what is held; called last in any case, also after a failure."""


@dataclass(frozen=True, slots=True)
class ExportFormatDefinition:
    """A format as one function from data to bytes, for documents that fit into memory.

    Attributes:
        format: Its name, lower case.
        content_type: The media type.
        extension: Of file names, without the dot; the format's name if empty.
        export: Takes the data as a mapping, returns ``str`` or ``bytes``; may be ``async``.
    """

    format: str
    content_type: str
    extension: str = ""
    export: Callable[[dict[str, Any]], str | bytes | Awaitable[str | bytes]] | None = None


class TemplateEngine(ABC):
    """Fills a template with data, for formats that are more than text.

    Register subclasses under the entry point ``exporter.engines``, by the extension of their
    templates. ``render`` runs in a process of its own, without network, within the limits of the
    settings ``templates``; it is ended by force where an export is cancelled or takes too long. So
    subclasses are made without arguments, from an importable module.

    Attributes:
        formats: The names of the formats that it makes.
    """

    formats: ClassVar[tuple[str, ...]]

    @abstractmethod
    def render(self, template: Path, data: Mapping[str, Any]) -> bytes:
        """Return the whole file.

        Args:
            template: The file of the template; it may use others in its folder, and no more.
            data: ``title``, ``document``, ``metadata``, ``facts``, ``include_metadata``, ``now``
                (ISO 8601), ``data`` and ``records``; ``segments``, ``sections``, ``citations`` and
                ``rows`` are the records of one kind. Plain values, without control characters.

        Raises:
            TemplateError: The template is wrong; other exceptions are reported as one.
        """
