"""The ledger: what the history says of jobs decides, and who waits for a change is woken."""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from .._common.clock import Clock
from ..errors import ExportError, StorageError
from ..models import ExportStatus
from ..ports import HistoryStore, JobRecord, Storage
from ..recipes import describe
from ..settings import Settings
from .runs import Counts

BATCH = "batch"  # the type of source of a job that has items


class Ledger:
    """Changes records, and removes the files that no record speaks of (any more)."""

    def __init__(
        self,
        storage: Storage,
        history: HistoryStore,
        settings: Settings,
        *,
        clock: Clock,
        counts: Counts,
    ) -> None:
        """Nobody waits yet."""
        self.storage, self.history, self.settings = storage, history, settings
        self.clock, self.counts = clock, counts
        self._bells: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    @contextlib.contextmanager
    def bell(self, job_id: str) -> Any:
        """Yield an event that rings whenever this process changes the job."""
        event = asyncio.Event()
        self._bells[job_id].add(event)
        try:
            yield event
        finally:
            self._bells[job_id].discard(event)
            if not self._bells[job_id]:
                del self._bells[job_id]

    def ring(self, job_id: str) -> None:
        """Wake who waits for the job."""
        for event in self._bells.get(job_id, ()):
            event.set()

    async def save(self, record: JobRecord) -> bool:
        """Store a change if nobody else made one since ``record`` was read."""
        begun = time.perf_counter()
        saved = await self.history.save(record)
        self.counts.writes += 1
        self.counts.writing += time.perf_counter() - begun
        self.ring(record.id)
        return saved

    async def change(self, job_id: str, edit: Callable[[JobRecord], bool]) -> JobRecord | None:
        """Apply ``edit`` to the newest record until it is stored.

        ``edit`` returns False to leave the record as it is; then, and if there is none, None comes
        back.
        """
        while True:
            record = await self.history.get(job_id)
            if record is None or not edit(record):
                return None
            if await self.save(record):
                return record

    async def interrupt(self, job_id: str, error: ExportError, *, overdue: bool = False) -> bool:
        """Mark a job failed that nobody runs any more, and drop its file; return whether it was.

        With ``overdue`` only if its lease is over: another process may have taken it meanwhile.
        """
        key: str | None = None

        def edit(record: JobRecord) -> bool:
            nonlocal key
            now, until = self.clock.time(), record.lease_until
            if record.status.is_final or (overdue and (until is None or until >= now)):
                return False
            key = record.key
            record.status, record.completed_at, record.lease_until = ExportStatus.FAILED, now, None
            record.error, record.reason, record.key = describe(error), error.reason, None
            record.delete_at = now + self.settings.downloads.retention
            return True

        if await self.change(job_id, edit) is None:
            return False
        self.counts.failed += 1
        await self.dispose(key)
        return True

    async def settled(self, record: JobRecord, was: ExportStatus, attempts: int) -> bool:
        """Store ``record`` if nobody but our own heartbeat changed it meanwhile."""
        while not await self.save(record):
            newest = await self.history.get(record.id)
            if newest is None or newest.status is not was or newest.attempts != attempts:
                return False
            record.fence = newest.fence
        return True

    async def dispose(self, key: str | None) -> None:
        """Delete a file that no record speaks of."""
        if key is not None:
            with contextlib.suppress(StorageError):
                await self.storage.delete(key)

    # -- the items of batches ------------------------------------------------------------------

    @property
    def keeps_items(self) -> bool:
        """Whether the finished items of batches outlive this process."""
        history, storage = self.history.capabilities, self.storage.capabilities
        wanted = self.settings.jobs.resumable_batches
        return wanted and history.durable and history.notes and storage.durable

    async def clear(self, record: JobRecord) -> None:
        """Remove what is kept of the items of a batch."""
        able = self.history.capabilities.notes and self.storage.capabilities.durable
        if record.items is None or not able:
            return
        with contextlib.suppress(ExportError):  # else again when the record is deleted
            kept = [file.key async for file in self.storage.list_keys(items_folder(record.id))]
            for key in kept:
                await self.storage.delete(key)
            await self.history.drop_notes(record.id)


def items_folder(job_id: str) -> str:
    """Return the prefix of the keys of files with finished items of a batch."""
    return f"{job_id}-items/"
