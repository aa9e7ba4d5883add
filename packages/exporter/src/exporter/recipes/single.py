"""What a job does in its thread: load one source and render it."""

import asyncio
import inspect
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Iterable,
    Iterator,
    Mapping,
)
from dataclasses import dataclass
from typing import Any, Protocol

from .._common.telemetry import correlated
from ..documents import Document, Item
from ..engine import Order, Produce, Produced, bounded, produce
from ..errors import ConfigurationError, ExportError, ExportNotFound
from ..feeding import Bridge
from ..models import ExportSource
from ..ports import Loader
from ..sink import Control
from ..sources import to_document

Write = Callable[[bytes], object]


class Recipe(Protocol):
    """Something that can be made, and made again for a retry."""

    @property
    def repeatable(self) -> bool:
        """Whether it can be made a second time."""
        ...

    def make(self, write: Write, control: Control, render: Produce = produce) -> Produced:
        """Make it in the calling thread; ``render`` may use another process."""
        ...


@dataclass(frozen=True)
class Single:
    """One source in one format.

    Attributes:
        source: What is exported.
        order: How.
        loader: What gets the data for ``source.id``, where the source has none.
        loop: Where loaders and asynchronous records run.
        correlation: Restored around them.
    """

    source: ExportSource
    order: Order
    loader: Loader | None
    loop: asyncio.AbstractEventLoop | None
    correlation: str | None = None

    @property
    def repeatable(self) -> bool:
        """Whether the data can be read a second time."""
        data = self.source.data
        records = data.records if isinstance(data, Document) else data
        once = isinstance(records, Iterator | AsyncIterator)
        return not once

    def make(self, write: Write, control: Control, render: Produce = produce) -> Produced:
        """Load and render; see :func:`exporter.engine.produce`."""
        with correlated(self.correlation):
            bridge = Bridge(self.loop, control)
            data = self._load(bridge)
            with bounded():
                document = to_document(self.source.type, data)
            control.total = document.total
            return render(
                self.order,
                document,
                self._items(document, bridge),
                write,
                control,
                resolve=bridge.resolve,
                data=data if isinstance(data, Mapping) else None,
            )

    def _load(self, bridge: Bridge) -> Any:
        if self.source.data is not None:
            return self.source.data
        if self.loader is None:
            raise ConfigurationError(
                f"source {self.source.type!r} has no data and no loader; give data=…, or register "
                f"one with @export_service.source({self.source.type!r})"
            )
        if inspect.iscoroutinefunction(self.loader) or inspect.isasyncgenfunction(self.loader):
            data = bridge.resolve(_called(self.loader, self.source.id))
        else:
            data = bridge.resolve(self.loader(self.source.id))
        if data is None:
            raise ExportNotFound(f"the loader found no {self.source.type} {self.source.id[:80]!r}")
        return data

    def _items(self, document: Document, bridge: Bridge) -> Iterable[Item]:
        records = document.records
        return bridge.items(records) if isinstance(records, AsyncIterable) else records


async def _called(loader: Loader, source_id: str) -> Any:
    found = loader(source_id)
    return await found if inspect.isawaitable(found) else found


def again_if_lost(recipe: Recipe, control: Control, attempt: Callable[[], Produced]) -> Produced:
    """Return what ``attempt`` makes, once more if the process that rendered it died.

    Only once: a document may be what kills the process.
    """
    try:
        return attempt()
    except ExportError as exc:
        if exc.reason != "worker_lost" or not recipe.repeatable:
            raise
    control.restart()
    control.report("the process that rendered the export died; it was rendered again")
    return attempt()


def describe(exc: BaseException) -> str:
    """Return type and message on one line of at most 500 characters."""
    text = " ".join(str(exc).encode("utf-8", "replace").decode().split())
    return f"{type(exc).__name__}: {text}"[:500] if text else type(exc).__name__
