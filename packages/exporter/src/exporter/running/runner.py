"""The runner: jobs wait for a slot, run, renew their leases, end as the history allows."""

import asyncio
import contextlib
import logging
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Coroutine, Generator
from typing import Any

from .._common.clock import Clock, NewId
from ..engine import Produced, produce
from ..errors import ExportCancelled, ExportError
from ..models import ExportStatus
from ..ports import HistoryStore, JobRecord, Storage
from ..recipes import Batch, Recipe, describe
from ..settings import Settings
from .heartbeat import Heartbeat
from .journal import Journal
from .ledger import Ledger
from .processes import ProcessPool
from .runs import Counts, Run
from .threads import GRACE, made_in_thread

logger = logging.getLogger(__name__)
GONE = "the process that ran the export is gone"
_KEPT = 256
Spawn = Callable[[Coroutine[Any, Any, Any], str], "asyncio.Task[Any]"]


class Runner(Ledger):
    """Runs jobs on the home loop: each in a thread of its own, a few at once.

    The history decides: a change that lost its race against another process's is dropped, and so
    is the file that it speaks of.
    """

    def __init__(
        self,
        storage: Storage,
        history: HistoryStore,
        settings: Settings,
        *,
        clock: Clock,
        new_id: NewId,
        spawn: Spawn,
        counts: Counts,
    ) -> None:
        """Prepare; the first job starts the heartbeat."""
        super().__init__(storage, history, settings, clock=clock, counts=counts)
        self._new_id, self._spawn = new_id, spawn
        self.runs: dict[str, Run] = {}
        self._kept: OrderedDict[str, Recipe] = OrderedDict()
        jobs = settings.jobs
        self.pool = ProcessPool(jobs.worker_memory) if jobs.executor == "processes" else None
        self._render = produce if self.pool is None else self.pool.produce
        self._fresh()

    def _fresh(self) -> None:
        self._slots = asyncio.Semaphore(self.settings.jobs.workers)
        self._places: set[object] = set()
        self._heart: asyncio.Task[Any] | None = None
        self._keeper: asyncio.Task[Any] | None = None

    def detach(self) -> None:
        """Forget what ran on a loop or in a process that is gone."""
        for run in self.runs.values():
            run.control.stop(ExportError("the event loop was closed", reason="interrupted"))
        self.runs, self._bells = {}, defaultdict(set)
        self._fresh()

    @property
    def queued(self) -> int:
        """How many jobs of this process wait."""
        return sum(not run.active for run in self.runs.values())

    @contextlib.contextmanager
    def place(self) -> Generator[None, None, None]:
        """Keep a place in the queue while a job is stored; :meth:`start` it within.

        Raises:
            ExportError: ``jobs.queue_size`` are taken (``busy``).
        """
        taken, place = self.queued + len(self._places), object()
        if taken >= self.settings.jobs.queue_size:
            raise ExportError(f"{taken} exports wait already (jobs.queue_size)", reason="busy")
        self._places.add(place)
        try:
            yield
        finally:
            self._places.discard(place)

    def start(self, record: JobRecord, recipe: Recipe) -> None:
        """Run a pending job of this process as soon as a slot is free."""
        run = self.runs[record.id] = Run(record, recipe)
        if recipe.repeatable:
            self._kept[record.id] = recipe
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        self._spawn(self._run(run), f"export {record.id}")
        if self._heart is None or self._heart.done():
            beat = Heartbeat(self.runs, self.history, self.settings.jobs.lease, self.clock)
            self._heart = self._spawn(beat.run(self.ring), "export heartbeat")

    def kept(self, job_id: str) -> Recipe | None:
        """Return how the job was made, if that is still known here."""
        return self._kept.get(job_id)

    def forget(self, job_id: str) -> None:
        """Forget how the job was made."""
        self._kept.pop(job_id, None)

    async def ended(self, record: JobRecord) -> bool:
        """End a job whose process is gone: nobody here runs it, and its lease is over.

        Returns:
            Whether it was ended here and now.
        """
        until = record.lease_until
        overdue = until is not None and until < self.clock.time()
        if not overdue or record.status.is_final or record.id in self.runs:
            return False
        return await self.interrupt(
            record.id, ExportError(GONE, reason="interrupted"), overdue=True
        )

    def watch_over(self, keep: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Call ``keep`` now and every ``cleanup.interval`` seconds, unless cleanup is off."""
        if not self.settings.cleanup.enabled:
            return
        if self._keeper is None or self._keeper.done():
            self._keeper = self._spawn(self._keep(keep), "export cleanup")

    async def _keep(self, keep: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        while True:
            try:
                await keep()
            except ExportError as exc:
                logger.warning("cleanup.failed", extra={"error": describe(exc)})
            await self.clock.sleep(self.settings.cleanup.interval)

    async def finish(self) -> None:
        """Wait ``jobs.shutdown_timeout`` for the jobs of this process, then interrupt them."""
        until = time.monotonic() + self.settings.jobs.shutdown_timeout
        while self.runs and time.monotonic() < until:  # noqa: ASYNC110  ends by time too
            await asyncio.sleep(0.01)
        error = ExportError("interrupted: the service was closed", reason="interrupted")
        for run in list(self.runs.values()):
            run.control.stop(error)
            if not run.active:
                await self.interrupt(run.record.id, error)
        until = time.monotonic() + 2 * GRACE
        if self.pool is not None:
            await asyncio.to_thread(self.pool.close)
        while self.runs and time.monotonic() < until:  # noqa: ASYNC110  as above
            await asyncio.sleep(0.01)

    async def _run(self, run: Run) -> None:
        record = run.record
        try:
            async with self._slots:
                if not run.control.stopped and await self._begin(run):
                    await self._make(run)
        except asyncio.CancelledError:
            run.control.stop(ExportError("the service was closed", reason="interrupted"))
            raise
        finally:
            self.runs.pop(record.id, None)
            self.ring(record.id)

    async def _begin(self, run: Run) -> bool:
        record, now = run.record, self.clock.time()
        record.status, record.started_at = ExportStatus.PROCESSING, now
        record.attempts += 1
        record.lease_until = now + self.settings.jobs.lease
        # unguessable and new for each attempt: two attempts never meet in one file
        record.key = f"{record.id}-{self._new_id()}/{record.filename}"
        if not await self.settled(record, ExportStatus.PENDING, record.attempts - 1):
            return False
        # the same control: a stop may have been sent while the record was stored
        run.control.limit(self.settings.jobs.timeout)
        run.active = True
        return True

    async def _make(self, run: Run) -> None:
        record = run.record
        produced: Produced | None = None
        error: BaseException | None = None
        try:
            if isinstance(run.recipe, Batch) and self.keeps_items:
                run.log = await Journal.opened(run, self.history, self.storage, self._new_id())
            produced = await made_in_thread(
                run, self.storage, self.settings.jobs.timeout, self._render
            )
        except asyncio.CancelledError:
            with contextlib.suppress(Exception):
                await asyncio.shield(self.dispose(record.key))
            raise
        except Exception as exc:  # noqa: BLE001  a user's code may raise anything
            error = exc
        run.active = False
        await self._end(run, produced, error)

    async def _end(self, run: Run, produced: Produced | None, error: BaseException | None) -> None:
        record, control, now = run.record, run.control, self.clock.time()
        key, downloads = record.key, self.settings.downloads
        record.completed_at, record.lease_until = now, None
        record.warnings = control.notes()
        record.progress = max(record.progress, control.progress)
        if produced is not None:
            record.status, record.progress, record.error = ExportStatus.COMPLETED, 100.0, None
            record.reason = None
            record.size, record.sha256 = produced.size, produced.sha256
            record.pages, record.records = produced.pages, produced.records
            record.delete_at = now + record.ttl + downloads.retention
        else:
            cancelled = isinstance(error, ExportCancelled)
            record.status = ExportStatus.CANCELLED if cancelled else ExportStatus.FAILED
            record.error = describe(error) if error is not None and not cancelled else None
            record.reason = error.reason if isinstance(error, ExportError) else None
            record.key, record.delete_at = None, now + downloads.retention
        if not await self.settled(record, ExportStatus.PROCESSING, record.attempts):
            # cancelled, deleted, or taken for dead by another process: then there is no file
            await self.dispose(key)
            return
        if produced is None:
            await self.dispose(key)
        else:
            await self.clear(record)
        self._note(record, produced, error)

    def _note(
        self, record: JobRecord, produced: Produced | None, error: BaseException | None
    ) -> None:
        extra = {"job_id": record.id, "export_format": record.format}
        if produced is not None:
            self.counts.completed += 1
            self.counts.bytes_written += produced.size
            self.forget(record.id)
            logger.info("export.completed", extra={**extra, "size": produced.size})
        elif record.status is ExportStatus.CANCELLED:
            self.counts.cancelled += 1
            logger.info("export.cancelled", extra=extra)
        else:
            self.counts.failed += 1
            # a message may quote the user's data: only the type is logged
            logger.warning("export.failed", extra={**extra, "error_type": type(error).__name__})
