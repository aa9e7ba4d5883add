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
from dataclasses import dataclass, field
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

_MOST_KEPT = 1 << 28
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

    Members are rendered one by one into a temporary file and copied into the archive when they are
    whole: one that fails leaves nothing in it. Names and dates are fixed by the job. If the batch
    does not come to its end, the members that are whole (of 256 MiB) are kept for the next try.
    ``on_progress`` runs on ``loop``.
    """

    members: list[Member]
    now: datetime
    max_size: int
    loop: asyncio.AbstractEventLoop
    on_progress: Callable[[int, int], Coroutine[Any, Any, object]] | None = None
    kept: "list[_Finished]" = field(default_factory=list["_Finished"], compare=False)

    @property
    def repeatable(self) -> bool:
        """Whether every member can be made a second time."""
        return all(member.recipe.repeatable for member in self.members)

    def make(self, write: Write, control: Control, render: Produce = produce) -> Produced:
        """Write the archive.

        Raises:
            ExportError: It was stopped or grew too large; a member that fails is only reported.
        """
        finished = self.kept.pop() if self.kept else _Finished()
        try:
            return self._make(
                Sink(write, control, max_size=self.max_size), finished, control, render
            )
        except BaseException:
            self.kept[:] = [finished]
            raise

    def _make(
        self, sink: Sink, finished: "_Finished", control: Control, render: Produce
    ) -> Produced:
        control.total, taken = len(self.members), {"manifest.json"}
        manifest: list[dict[str, Any]] = []
        bridge = Bridge(self.loop, control)
        with zipfile.ZipFile(_stream(sink), "w") as archive:
            for number, member in enumerate(self.members, 1):
                name = unique(member.name, taken)
                entry = finished.entry(number) or self._render(
                    number, member, finished, control, render
                )
                if entry["status"] == "completed":
                    size = entry["size"]
                    with archive.open(self._info(name), "w", force_zip64=size > 1 << 31) as target:
                        finished.copy(number, target.write)
                manifest.append({"name": name, **entry})
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

    def _render(
        self, number: int, member: Member, finished: "_Finished", control: Control, render: Produce
    ) -> dict[str, Any]:
        source, order = member.recipe.source, member.recipe.order
        entry: dict[str, Any] = {
            "source_type": source.type,
            "source_id": source.id.encode("utf-8", "replace").decode(),
            "format": order.format.name,
        }
        inner = Control(whole=control)

        def attempt() -> Produced:
            return member.recipe.make(finished.begin(control), inner, render)

        try:
            made = again_if_lost(member.recipe, inner, attempt)
        except Exception as exc:  # noqa: BLE001  one bad item must not cost the others
            control.check()
            return {**entry, "status": "failed", "error": describe(exc)}
        notes = {"warnings": inner.notes()} if inner.warnings else {}
        facts = {"status": "completed", "size": made.size, "sha256": made.sha256}
        return finished.add(number, {**entry, **facts, **notes})

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


class _Finished:
    """The whole members of a batch that has not ended, in one temporary file without a name."""

    def __init__(self) -> None:
        import tempfile  # here: it costs every importer of the package two milliseconds

        self._file = tempfile.TemporaryFile()  # noqa: SIM115  closed with this object
        self._entries: dict[int, tuple[dict[str, Any], int]] = {}
        self._end = 0

    def __del__(self) -> None:
        self._file.close()

    def entry(self, number: int) -> dict[str, Any] | None:
        """Return what is known of a member that is there."""
        found = self._entries.get(number)
        return None if found is None else found[0]

    def begin(self, control: Control) -> Write:
        """Return what takes the bytes of one more member, in place of one that did not end."""
        if self._end > _MOST_KEPT:
            self._entries, self._end = {}, 0
        self._file.seek(self._end)
        self._file.truncate()

        def write(data: bytes) -> None:
            control.check()
            self._file.write(data)

        return write

    def add(self, number: int, entry: dict[str, Any]) -> dict[str, Any]:
        """Keep the member that was written last."""
        self._entries[number] = entry, self._end
        self._end += entry["size"]
        return entry

    def copy(self, number: int, write: Write) -> None:
        """Give the bytes of a member to ``write``."""
        entry, start = self._entries[number]
        self._file.seek(start)
        left = entry["size"]
        while left and (block := self._file.read(min(left, 1 << 17))):
            write(block)
            left -= len(block)


def describe(exc: BaseException) -> str:
    """Return type and message on one line of at most 500 characters."""
    text = " ".join(str(exc).encode("utf-8", "replace").decode().split())
    return f"{type(exc).__name__}: {text}"[:500] if text else type(exc).__name__
