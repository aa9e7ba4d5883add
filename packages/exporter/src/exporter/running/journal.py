"""The journal of a batch: its finished items, kept in storage and history while it runs."""

import asyncio
import json
import logging
import queue
import threading
from collections.abc import Mapping
from typing import Any

import msgspec

from ..errors import ExportError, StorageError
from ..feeding import Bridge
from ..ports import NOTE_LENGTH, HistoryStore, Storage
from ..recipes import Batch, Blob
from .ledger import items_folder
from .runs import Run

logger = logging.getLogger(__name__)
ITEM = "item-"
_GROUP_BYTES, _AHEAD_BYTES, _PIECE = 1 << 22, 1 << 22, 1 << 20
_LOOK, _TRIES = 0.05, 3
Entry = Mapping[str, Any]
_Item = tuple[int, Entry, Blob | None]


class _Kept(msgspec.Struct):
    """A finished item as the history has it: in which file it is, from which byte on."""

    key: str
    start: int
    entry: dict[str, Any]


class Journal:
    """Keeps finished items in a thread of its own, as many at once as wait.

    The bytes are whole in the storage before the history speaks of them. An item counts as done,
    for progress too, when the history has it: then no process makes it again.
    """

    def __init__(
        self,
        run: Run,
        history: HistoryStore,
        storage: Storage,
        token: str,
        known: Mapping[int, _Kept],
    ) -> None:
        """Know the items of earlier attempts; ``token`` keeps the files of attempts apart."""
        assert isinstance(run.recipe, Batch)
        self._batch, self._job, self._control = run.recipe, run.record.id, run.control
        self._history, self._storage, self._token = history, storage, token
        self._known, self._files, self._count = known, 0, 0
        self._bridge = Bridge(asyncio.get_running_loop(), run.control)
        self._waiting: queue.SimpleQueue[_Item] = queue.SimpleQueue()
        self._open, self._ahead, self._lock = 0, 0, threading.Condition()
        self._thread: threading.Thread | None = None
        self._error: Exception | None = None
        self._lost = False

    @classmethod
    async def opened(
        cls, run: Run, history: HistoryStore, storage: Storage, token: str
    ) -> "Journal":
        """Return the journal of a batch that is about to run, with what is in it."""
        notes = await history.get_notes(run.record.id, ITEM)
        known = {
            int(name.removeprefix(ITEM)): msgspec.json.decode(text, type=_Kept)
            for name, text in notes.items()
        }
        return cls(run, history, storage, token, known)

    # -- for the rendering thread --------------------------------------------------------------

    def entry(self, number: int) -> Entry | None:
        """Return what is known of an item that is finished and kept."""
        found = self._known.get(number)
        return None if found is None else found.entry

    def load(self, number: int, write: Any) -> None:
        """Give the bytes of such an item to ``write``, in pieces of a MiB.

        Raises:
            StorageError: They are not there any more.
        """
        found = self._known[number]
        at, end = found.start, found.start + int(found.entry["size"])
        while at < end:
            piece = self._bridge.resolve(self._read(found.key, at, min(end, at + _PIECE)))
            if not piece:
                raise StorageError(f"item {number} is not whole")
            write(piece)
            at += len(piece)

    async def _read(self, key: str, start: int, end: int) -> bytes:
        return b"".join([block async for block in self._storage.read(key, start, end)])

    def keep(self, number: int, entry: Entry, blob: Blob | None) -> None:
        """Keep an item soon; without ``blob`` it only counts."""
        size = 0 if blob is None else blob.size
        with self._lock:
            while self._ahead > _AHEAD_BYTES and self._error is None:
                self._lock.wait(_LOOK)
                self._control.check()
            self._raise()
            self._ahead += size
            self._open += 1
            self._waiting.put((number, entry, blob))
            if self._thread is None:
                name = f"export-items-{self._job}"
                self._thread = threading.Thread(target=self._work, name=name, daemon=True)
                self._thread.start()

    def drain(self) -> None:
        """Wait until everything is kept."""
        with self._lock:
            while self._open and self._error is None:
                self._lock.wait(_LOOK)
                self._control.check()
        self._raise()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    # -- the thread that keeps -----------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._open or self._error is not None:
                    self._thread = None
                    self._lock.notify_all()
                    return
            group = self._group()
            try:
                self._control.check()
                self._store([each for each in group if each[2] is not None])
                for _ in group:
                    self._count += 1
                    self._batch.tell(self._control, self._count)
            except Exception as exc:  # noqa: BLE001  raised in the thread that renders
                self._error = exc
            with self._lock:
                self._open -= len(group)
                self._ahead -= sum(blob.size for *_, blob in group if blob is not None)
                self._lock.notify_all()

    def _group(self) -> list[_Item]:
        group, size = [self._waiting.get()], 0
        while size < _GROUP_BYTES:
            blob = group[-1][2]
            size += 0 if blob is None else blob.size
            try:
                group.append(self._waiting.get_nowait())
            except queue.Empty:
                break
        return group

    def _store(self, group: list[_Item]) -> None:
        if not group or self._lost:
            return
        for left in reversed(range(_TRIES)):
            try:
                notes = self._written(group)
                self._bridge.resolve(self._history.add_notes(self._job, notes))
            except ExportError as exc:
                self._control.check()
                if left and getattr(exc, "retryable", False):
                    continue
                # the batch itself may still come to its end: only a process that dies costs more
                self._lost = True
                self._control.report("finished items could not be kept for other processes")
                extra = {"job_id": self._job, "error_type": type(exc).__name__}
                logger.warning("batch.not_kept", extra=extra)
            return

    def _written(self, group: list[_Item]) -> dict[str, str]:
        key = f"{items_folder(self._job)}{self._token}-{self._files}"
        self._files += 1
        notes, start = dict[str, str](), 0
        with self._storage.open_writer(key, "application/octet-stream") as writer:
            for number, entry, blob in group:
                assert blob is not None
                for block in blob.blocks():
                    self._control.check()
                    writer.write(block)
                kept = _Kept(key, start, dict(entry))
                start += blob.size
                text = json.dumps(msgspec.to_builtins(kept))
                if len(text) <= NOTE_LENGTH:
                    notes[f"{ITEM}{number:05d}"] = text
            writer.commit()
        return notes
