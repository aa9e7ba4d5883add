"""What the brokers of all databases have in common."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from ..._common.sql import Database
from ...models import JobFilters, JobStatus, Page, QueueStats
from ...ports import Broker, Enqueued, Record, Step, WorkerCall
from . import asking, changing, gates, stepping
from .enqueuing import enqueue
from .joining import run_on
from .plans import Plan, Time, Words
from .rows import readable, record_of

if TYPE_CHECKING:
    from sqlalchemy import Connection

T = TypeVar("T")


class SQLBroker(Broker):
    """Jobs in the tables of a SQL database; what differs is told by ``words``."""

    words: Words
    _db: Database
    _time: Time

    @abstractmethod
    async def _run(self, plan: Callable[[], Plan[T]]) -> T:
        """Run a plan in a transaction of its own; a function makes it anew for each try."""

    @abstractmethod
    def _ring(self) -> None:
        """Wake who waits in this process."""

    async def _write(self, plan: Callable[[], Plan[T]]) -> T:
        """Run a plan that may leave something to do for those who wait."""
        made = await self._run(plan)
        self._ring()
        return made

    async def enqueue(self, records: Sequence[Record]) -> Sequence[Enqueued]:
        return await self._write(lambda: enqueue(self.words, self._time, records))

    def insert(self, connection: "Connection", records: Sequence[Record]) -> Sequence[Enqueued]:
        return run_on(connection, enqueue(self._joining(), self._time, records))

    def _joining(self) -> Words:
        """Return the words within a transaction that is not ours to repeat."""
        return self.words

    async def step(self, call: WorkerCall) -> Step:
        return await self._run(lambda: stepping.step(self.words, self._time, call))

    async def extend(self, call: WorkerCall) -> Sequence[str]:
        return await self._run(lambda: stepping.extend(self.words, self._time, call))

    async def get(self, job_id: str) -> Record | None:
        rows = await self._db.fetch(asking.BY_ID, {"id": job_id})
        return record_of(rows[0]) if rows else None

    async def list_jobs(self, filters: JobFilters, limit: int, cursor: str | None) -> Page[Record]:
        rows = await self._db.fetch(*asking.listing(filters, limit, cursor))
        more = str(rows[limit - 1][0]) if len(rows) > limit else None
        return Page.of(readable([row[1:] for row in rows[:limit]]), more)

    async def change(self, job_id: str, to: JobStatus) -> bool:
        return await self.change_many([job_id], to) == 1

    async def change_many(self, job_ids: Sequence[str], to: JobStatus) -> int:
        return await self._write(lambda: changing.change(self.words, self._time, job_ids, to))

    async def remove(self, job_ids: Sequence[str]) -> int:
        return await self._write(lambda: changing.remove(self.words, self._time, job_ids))

    async def purge(self, statuses: Sequence[JobStatus], before: float, limit: int) -> int:
        return await self._run(
            lambda: changing.purge(self.words, self._time, statuses, before, limit)
        )

    async def tick(self, name: str, at: float, records: Sequence[Record]) -> bool:
        return await self._write(lambda: changing.tick(self.words, self._time, name, at, records))

    async def last_tick(self, name: str) -> float | None:
        rows = await self._db.fetch(asking.LAST_TICK, {"name": name})
        return float(rows[0][0]) if rows and rows[0][0] is not None else None

    async def set_paused(self, queue: str, *, paused: bool) -> None:
        plan = gates.pause if paused else gates.resume
        await self._write(lambda: plan(self.words, queue))

    async def queues(self) -> Mapping[str, bool]:
        used = await self._db.fetch(asking.QUEUES)
        paused = {row[0] for row in await self._db.fetch(asking.PAUSED)}
        return {name: name in paused for name in sorted({row[0] for row in used} | paused)}

    async def time(self) -> float:
        return await self._run(self._time.now)

    async def stats(self, queue: str | None) -> QueueStats:
        now = await self.time()
        steps = asking.figures(queue, now)
        if self.words.scanning:
            steps.insert(0, (self.words.scanning, {}))
        counts, oldest, done, workers = (await self._db.batch(steps))[-4:]
        age = oldest[0][0]
        known = set(JobStatus)
        return QueueStats(
            **{str(row[0]): int(row[1]) for row in counts if row[0] in known},
            workers=int(workers[0][0]),
            oldest_pending_age=None if age is None else max(0.0, now - age),
            throughput=int(done[0][0]) / 60,
        )

    def preload(self) -> None:
        self._db.prepare("SELECT 1")

    async def setup(self) -> None:
        await self._db.setup()

    def schema_sql(self) -> str:
        return self._db.schema.script(self._db)

    async def aclose(self) -> None:
        await self._db.aclose()
