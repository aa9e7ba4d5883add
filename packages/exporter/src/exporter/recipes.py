"""What a job does in its thread: load one source and render it, or a batch into a ZIP."""

import asyncio
import inspect
import zipfile
from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
)
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from types import SimpleNamespace
from typing import Any, Protocol

import msgspec

from ._common.telemetry import correlated
from .documents import Document, Item
from .engine import Order, Produce, Produced, bounded, produce
from .errors import ConfigurationError, ExportError, ExportNotFound
from .feeding import Bridge
from .filenames import unique
from .models import ExportSource
from .ports import Loader
from .sink import Control, Sink
from .sources import to_document

_SPOOL = 1 << 20
_STORED = frozenset({"docx", "xlsx", "pdf", "zip", "png", "jpg", "gz", "parquet"})
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


@dataclass(frozen=True)
class Member:
    """One file of a batch: what it is called and how it is made."""

    name: str
    recipe: Single


@dataclass(frozen=True)
class Batch:
    """Many sources in one ZIP, with a manifest of what became of each.

    Members are rendered one by one into a spool and copied into the archive when they are whole:
    one that fails leaves nothing in it. Names and dates are fixed by the job. ``on_progress`` runs
    on ``loop``.
    """

    members: list[Member]
    now: datetime
    max_size: int
    loop: asyncio.AbstractEventLoop
    on_progress: Callable[[int, int], Coroutine[Any, Any, object]] | None = None

    @property
    def repeatable(self) -> bool:
        """Whether every member can be made a second time."""
        return all(member.recipe.repeatable for member in self.members)

    def make(self, write: Write, control: Control, render: Produce = produce) -> Produced:
        """Write the archive.

        Raises:
            ExportError: It was stopped or grew too large; a member that fails is only reported.
        """
        sink = Sink(write, control, max_size=self.max_size)
        control.total, taken = len(self.members), {"manifest.json"}
        manifest: list[dict[str, Any]] = []
        bridge = Bridge(self.loop, control)
        with zipfile.ZipFile(_stream(sink), "w") as archive:
            for number, member in enumerate(self.members, 1):
                name = unique(member.name, taken)
                manifest.append(self._add(archive, member, name, control, render))
                taken.add(name.casefold())
                control.records = number
                if self.on_progress is not None:
                    bridge.tell(partial(self.on_progress, number, len(self.members)))
            listing = {"version": 1, "created_at": self.now, "items": manifest}
            text = msgspec.json.format(msgspec.json.encode(listing), indent=2)
            archive.writestr(self._info("manifest.json"), text)
        failed = sum(entry["status"] == "failed" for entry in manifest)
        if failed:
            control.report(f"{failed} of {len(manifest)} items failed; see manifest.json")
        return Produced(sink.size, sink.finish(), None, len(manifest))

    def _add(
        self,
        archive: zipfile.ZipFile,
        member: Member,
        name: str,
        control: Control,
        render: Produce,
    ) -> dict[str, Any]:
        source, order = member.recipe.source, member.recipe.order
        entry: dict[str, Any] = {
            "name": name,
            "source_type": source.type,
            "source_id": source.id.encode("utf-8", "replace").decode(),
            "format": order.format.name,
        }
        inner = Control(whole=control)
        import tempfile  # here: it costs every importer of the package two milliseconds

        with tempfile.SpooledTemporaryFile(_SPOOL) as spool:

            def attempt() -> Produced:
                spool.seek(0)
                spool.truncate()
                return member.recipe.make(_checked(spool, inner), inner, render)

            try:
                made = again_if_lost(member.recipe, inner, attempt)
            except Exception as exc:  # noqa: BLE001  one bad item must not cost the others
                control.check()
                return {**entry, "status": "failed", "error": describe(exc)}
            spool.seek(0)
            with archive.open(self._info(name), "w", force_zip64=made.size > 1 << 31) as target:
                while block := spool.read(1 << 17):
                    target.write(block)
        notes = {"warnings": inner.notes()} if inner.warnings else {}
        return {**entry, "status": "completed", "size": made.size, "sha256": made.sha256, **notes}

    def _info(self, name: str) -> zipfile.ZipInfo:
        moment = max(self.now.astimezone(UTC).timetuple()[:6], (1980, 1, 1, 0, 0, 0))
        info = zipfile.ZipInfo(name, moment)
        packed = name.rpartition(".")[2].lower() in _STORED
        info.compress_type = zipfile.ZIP_STORED if packed else zipfile.ZIP_DEFLATED
        info.create_system, info.external_attr = 3, 0o600 << 16
        return info


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


def _stream(sink: Sink) -> Any:
    """Return what zipfile takes for an unseekable file: it asks for no more than these two."""
    return SimpleNamespace(write=sink.write, flush=sink.flush)


def _checked(spool: Any, control: Control) -> Write:
    def write(data: bytes) -> None:
        control.check()
        spool.write(data)

    return write


def describe(exc: BaseException) -> str:
    """Return type and message on one line of at most 500 characters."""
    text = " ".join(str(exc).encode("utf-8", "replace").decode().split())
    return f"{type(exc).__name__}: {text}"[:500] if text else type(exc).__name__
