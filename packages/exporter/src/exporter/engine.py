"""From a document to the bytes of a format: the loop that every export goes through."""

from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from .documents import Document, Item, Record
from .errors import ExportError, InvalidSource
from .formats import Format
from .ports import RenderContext
from .registry import FORMATS
from .settings import FormatSettings
from .sink import Control, Sink
from .sources import Flow
from .templates import Template
from .texts import utf8

# Renders a document: :func:`produce`, or what does it elsewhere.
Produce = Callable[..., "Produced"]
# Runs what a user's function returned, if it is awaitable, and gives back its result.
Resolve = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Order:
    """How one document is to be rendered.

    Attributes:
        format: The format.
        settings: Its settings.
        now: The time that the file carries.
        max_size: Bytes that it may have; None for any.
        template: A template in place of the format's own look.
        include_metadata: As in ``ExportOptions``.
    """

    format: Format
    settings: FormatSettings
    now: datetime
    max_size: int | None = None
    template: Template | None = None
    include_metadata: bool = True


@dataclass(frozen=True, slots=True)
class Produced:
    """What came out: size in bytes, SHA-256, pages if the format has them, records."""

    size: int
    sha256: str
    pages: int | None
    records: int


def produce(
    order: Order,
    document: Document,
    items: Iterable[Item],
    write: Callable[[bytes], object],
    control: Control,
    *,
    resolve: Resolve,
    data: Mapping[str, Any] | None = None,
) -> Produced:
    """Render ``document`` with ``items`` as its records; runs in the calling thread.

    Args:
        order: What to make.
        document: The facts.
        items: The records.
        write: Gets the bytes in blocks.
        control: Says when to stop; told of progress.
        resolve: Awaits what an ``async`` format returned.
        data: The mapping that the user gave, for formats of the whole data.

    Raises:
        ExportError: It was stopped, grew too large, or the data does not fit.
    """
    sink = Sink(write, control, max_size=order.max_size)
    context = RenderContext(
        order.include_metadata, order.settings, order.now, control.report, order.max_size
    )
    pages: int | None = None
    with bounded():
        if order.format.export is not None:
            whole = dict(data) if data is not None else _whole(order, document, items, control)
            sink.write(_bytes(order.format.name, resolve(order.format.export(whole))))
        elif order.template is not None:
            records = records_of(document, items, control)
            for block in order.template.stream(document, records, context, control.check):
                sink.write(block)
        else:
            assert order.format.renderer is not None
            with closing(order.format.renderer(sink, context)) as renderer:
                renderer.begin(document)
                renderer.write_all(records_of(document, items, control))
                control.check()
                renderer.end()
                pages = renderer.pages
    digest = sink.finish()
    return Produced(sink.size, digest, pages, control.records)


@contextmanager
def bounded() -> Generator[None, None, None]:
    """Turn running out of stack into an error about the data."""
    try:
        yield
    except RecursionError as exc:
        raise InvalidSource("the data is nested too deeply") from exc


def records_of(document: Document, items: Iterable[Item], control: Control) -> Iterator[Record]:
    """Yield the records that ``items`` stand for; count them, and look at the control."""
    flow = Flow(document.kind, control.report)
    # a look at the clock costs about as much as a short line of text
    for item in items:
        if (segment := flow.plain(item)) is not None:
            yield segment
            control.records += 1
            if not control.records % 32:
                control.check()
            continue
        for record in flow.records(item):
            yield record
            control.records += 1
            if not control.records % 32:
                control.check()


def _whole(
    order: Order, document: Document, items: Iterable[Item], control: Control
) -> dict[str, Any]:
    """Return the document as one mapping, by way of its JSON."""
    held: list[bytes] = []
    plain = Format("json", "application/json", "json", renderer=FORMATS.load("json"))
    inner = replace(order, format=plain, settings=FormatSettings())
    produce(inner, document, items, held.append, control, resolve=lambda value: value)
    found: dict[str, Any] = msgspec.json.decode(b"".join(held))
    return found


def _bytes(name: str, result: Any) -> bytes:
    if isinstance(result, str):
        return utf8(result)
    if isinstance(result, bytes | bytearray | memoryview):
        return bytes(result)
    kind = "an awaitable" if isinstance(result, Awaitable) else type(result).__name__
    raise ExportError(f"format {name!r} returned {kind}, not str or bytes", reason="format")
