"""Many exports in one archive, item by item."""

import asyncio
import hashlib
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Protocol

import msgspec

from ..engine import Produce, Produced, produce
from ..errors import StorageError
from ..feeding import Bridge
from ..filenames import unique
from ..sink import Control, Sink
from .archive import Archive
from .drafts import Blob, Drafts
from .single import Single, Write, again_if_lost, describe

_MOST_KEPT = 1 << 28
Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Member:
    """One file of a batch: what it is called, how it is made, the name of its template."""

    name: str
    recipe: Single
    template: str | None = None


class Log(Protocol):
    """Keeps the finished items of a batch where other processes find them."""

    def entry(self, number: int) -> Entry | None:
        """Return what is known of an item that is finished and kept."""
        ...

    def load(self, number: int, write: Write) -> None:
        """Give the bytes of such an item to ``write``.

        Raises:
            StorageError: They are not there any more.
        """
        ...

    def keep(self, number: int, entry: Entry, blob: Blob | None) -> None:
        """Keep an item soon; without ``blob`` it only counts. Counted once it is kept."""
        ...

    def drain(self) -> None:
        """Wait until everything is kept."""
        ...


@dataclass(frozen=True)
class Batch:
    """Many sources in one ZIP, with a manifest of what became of each.

    Members are rendered one by one and copied into the archive when they are whole: one that fails
    leaves nothing in it. Names and dates are fixed by the job. If the batch does not come to its
    end, the members that are whole are kept for the next try: by a ``log`` for any process, else
    for this one (of 256 MiB). ``on_progress`` runs on ``loop``.
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

    def make(
        self, write: Write, control: Control, render: Produce = produce, log: Log | None = None
    ) -> Produced:
        """Write the archive.

        Raises:
            ExportError: It was stopped or grew too large; a member that fails is only reported.
        """
        finished = self.kept.pop() if self.kept else _Finished()
        sink = Sink(write, control, max_size=self.max_size)
        try:
            return _Packing(self, sink, control, finished, render, log).run()
        except BaseException:
            self.kept[:] = [finished]
            raise

    def tell(self, control: Control, number: int) -> None:
        """Say that ``number`` members are done; waits for the caller's ``on_progress``."""
        control.records = number
        if self.on_progress is not None:
            report = partial(self.on_progress, number, len(self.members))
            Bridge(self.loop, control).tell(report)


class _Packing:
    """One attempt at a batch."""

    def __init__(
        self,
        batch: Batch,
        sink: Sink,
        control: Control,
        finished: "_Finished",
        render: Produce,
        log: Log | None,
    ) -> None:
        self._batch, self._sink, self._control = batch, sink, control
        self._finished, self._produce, self._log = finished, render, log

    def run(self) -> Produced:
        members, control = self._batch.members, self._control
        control.total, taken = len(members), {"manifest.json"}
        manifest: list[Entry] = []
        archive = Archive(self._sink, self._batch.now)
        for number, member in enumerate(members, 1):
            name = unique(member.name, taken)
            taken.add(name.casefold())
            entry, blob = self._finished_before(number) or self._rendered(number, member)
            if blob is not None:
                if blob.data is None:
                    archive.add(name, blob.size, blob.blocks())
                else:
                    archive.add_whole(name, blob.data)
            manifest.append({"name": name, **entry})
            if self._log is None:
                self._batch.tell(control, number)
        if self._log is not None:
            self._log.drain()
        listing = {"version": 1, "created_at": self._batch.now, "items": manifest}
        text = msgspec.json.format(msgspec.json.encode(listing), indent=2)
        archive.add_whole("manifest.json", text)
        archive.close()
        failed = sum(entry["status"] == "failed" for entry in manifest)
        if failed:
            control.report(f"{failed} of {len(manifest)} items failed; see manifest.json")
        return Produced(self._sink.size, self._sink.finish(), None, len(manifest))

    def _finished_before(self, number: int) -> tuple[Entry, Blob] | None:
        """Return a member that an earlier attempt finished."""
        if self._log is None:
            return self._finished.get(number)
        if (entry := self._log.entry(number)) is None:
            return None
        drafts, digest = self._finished.drafts, hashlib.sha256()

        def write(data: bytes) -> None:
            digest.update(data)
            drafts.write(data)

        self._make_room()
        drafts.begin(self._control)
        try:
            self._log.load(number, write)
        except StorageError:
            return None  # somebody deleted it: it is rendered again
        blob = drafts.finish()
        if (blob.size, digest.hexdigest()) != (entry["size"], entry["sha256"]):
            return None
        self._log.keep(number, entry, None)
        return entry, blob

    def _rendered(self, number: int, member: Member) -> tuple[Entry, Blob | None]:
        source, order = member.recipe.source, member.recipe.order
        entry: dict[str, Any] = {
            "source_type": source.type,
            "source_id": source.id.encode("utf-8", "replace").decode(),
            "format": order.format.name,
        }
        control, drafts = self._control, self._finished.drafts
        inner = Control(whole=control)
        self._make_room()

        def attempt() -> Produced:
            drafts.begin(control)
            return member.recipe.make(drafts.write, inner, self._produce)

        try:
            made = again_if_lost(member.recipe, inner, attempt)
        except Exception as exc:  # noqa: BLE001  one bad item must not cost the others
            control.check()
            entry |= {"status": "failed", "error": describe(exc)}
            if self._log is not None:
                self._log.keep(number, entry, None)
            return entry, None
        entry |= {"status": "completed", "size": made.size, "sha256": made.sha256}
        if inner.warnings:
            entry["warnings"] = inner.notes()
        blob = drafts.finish()
        if self._log is None:
            self._finished.add(number, entry, blob)
        else:
            self._log.keep(number, entry, blob)
        return entry, blob

    def _make_room(self) -> None:
        if self._finished.drafts.size > _MOST_KEPT:
            if self._log is not None:
                self._log.drain()
            self._finished.clear()


class _Finished:
    """The whole members of a batch that has not ended, on the disk of this process."""

    def __init__(self) -> None:
        self.drafts = Drafts()
        self._members: dict[int, tuple[Entry, Blob]] = {}

    def get(self, number: int) -> tuple[Entry, Blob] | None:
        return self._members.get(number)

    def add(self, number: int, entry: Entry, blob: Blob) -> None:
        self.drafts.store(blob)
        self._members[number] = entry, blob

    def clear(self) -> None:
        self._members.clear()
        self.drafts.clear()
