"""Jobs in a SQLite file that every process of a machine shares: the embedded broker."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import msgspec

from .._common.clock import Clock, SystemClock
from .._common.sql import Database
from .._common.sql_lanes import Row
from .._common.sql_statements import Params
from .._common.sqlite import CHANGES
from .._common.urls import query_of, scheme_of
from ..errors import BackendError, ConfigurationError, QueueFull
from ..models import JobFilters, JobStatus, Page, QueueStats
from ..ports import FORMAT, Broker, Capabilities, Enqueued, Outcome, Record, Step, WorkerCall
from . import sql_tables as sql

_LOOK = 0.05
_UPKEEP = 4


def _step(call: WorkerCall, now: float) -> list[tuple[str, Params]]:
    """Return a worker's statements: ends, upkeep, claims, and two questions."""
    until, worker = now + call.lease, call.worker
    upkeep: list[tuple[str, Params]] = [
        (sql.PROMOTE, {"now": now}),
        (sql.FAIL_EXPIRED, {"now": now}),
        (sql.RECLAIM, {"now": now}),
        (sql.ALIVE, {"worker": worker, "until": until}),
    ]
    claims: list[tuple[str, Params]] = [
        (sql.CLAIM, {"queue": queue, "slots": n, "now": now, "until": until, "worker": worker})
        for queue, n in call.slots.items()
        if n > 0
    ]
    asks: list[tuple[str, Params]] = [(sql.HELD, {"worker": worker}), (sql.NEXT_DUE, {})]
    return [*(_end(outcome, now) for outcome in call.outcomes), *upkeep, *claims, *asks]


def _extension(call: WorkerCall, now: float) -> list[tuple[str, Params]]:
    until = now + call.lease
    held: list[tuple[str, Params]] = [
        (
            sql.EXTEND,
            {"id": held.id, "fence": held.fence, "until": until, "progress": held.progress},
        )
        for held in call.held
    ]
    alive: list[tuple[str, Params]] = [
        (sql.ALIVE, {"worker": call.worker, "until": until}),
        (sql.FORGET_WORKERS, {"now": now - 60}),
    ]
    return [*held, *alive]


def _fault(message: str, *, retryable: bool = False) -> Exception:
    full = "disk is full" in message
    return (QueueFull if full else BackendError)(message, retryable=retryable or full)


class SQLBroker(Broker):
    """Jobs in SQLite (WAL). A step is one transaction and one hop to the driver's thread.

    Other processes' changes are seen by ``PRAGMA data_version``, a microsecond's look at shared
    memory, twenty times a second while idle.
    """

    capabilities = Capabilities(durable=True, shared=True)

    def __init__(self, url: str, *, synchronous: str = "FULL", clock: Clock | None = None) -> None:
        """Use the file of ``sqlite:///relative.db`` or ``sqlite:////absolute.db``.

        Args:
            url: The file; the first call opens it and creates the tables.
            synchronous: SQLite's setting. FULL survives a loss of power, NORMAL only a crash.
            clock: Decides leases and delays: the machine's, which all workers share.
        """
        if scheme_of(url) != "sqlite":
            raise ConfigurationError(f"not a SQLite URL: {scheme_of(url)!r}")
        self._url, self._synchronous = url, synchronous
        self._clock = clock or SystemClock()
        self._bell = asyncio.Event()
        self._seen = -1
        self._db = Database(url, sql.SCHEMA, dist="jobqueue", fault=_fault, synchronous=synchronous)

    @classmethod
    def from_url(cls, url: str, *, clock: Clock | None = None) -> "SQLBroker":
        """Return a broker for ``sqlite:///file.db?synchronous=NORMAL``.

        Raises:
            ConfigurationError: The option or its value is unknown.
        """
        options = query_of(url, allowed=frozenset({"synchronous"}))
        mode = options.get("synchronous", "FULL").upper()
        if mode not in {"OFF", "NORMAL", "FULL", "EXTRA"}:
            raise ConfigurationError(
                f"synchronous must be OFF, NORMAL, FULL or EXTRA, not {mode!r}"
            )
        return cls(url, synchronous=mode, clock=clock)

    def twin(self) -> "SQLBroker":
        return SQLBroker(self._url, synchronous=self._synchronous, clock=self._clock)

    async def enqueue(self, records: Sequence[Record]) -> Sequence[Enqueued]:
        now = self._clock.time()
        made = [_placed(record, now) for record in records]
        rows = await self._write([(sql.INSERT, _params(record)) for record in made])
        return [
            Enqueued(record, "created") if created else await self._existing(record)
            for record, created in zip(made, rows, strict=True)
        ]

    async def _existing(self, record: Record) -> Enqueued:
        if found := await self.get(record.id):
            return Enqueued(found, "same_id")
        if rows := await self._db.fetch(sql.BY_KEY, {"key": record.unique_key}):
            return Enqueued(_record(rows[0]), "same_key")
        # the holder of the key ended between the two statements
        return (await self.enqueue([record]))[0]

    async def step(self, call: WorkerCall) -> Step:
        now = 0.0

        def steps() -> list[tuple[str, Params]]:
            nonlocal now
            now = self._clock.time()
            return _step(call, now)

        rows = await self._db.batch(steps)
        done, first = rows[: len(call.outcomes)], len(call.outcomes) + _UPKEEP
        taken = sorted(
            (row for part in rows[first:-2] for row in part), key=lambda r: (-r[5], r[0])
        )
        held = {(row[0], row[1]) for row in rows[-2]}
        times = [moment for moment in rows[-1][0] if moment is not None]
        return Step(
            claimed=[_record(row[1:]) for row in taken],
            refused=[o.lease.id for o, row in zip(call.outcomes, done, strict=True) if not row],
            lost=[lease.id for lease in call.held if (lease.id, lease.fence) not in held],
            next_due=max(0.0, min(times) - now) if times else None,
        )

    async def extend(self, call: WorkerCall) -> Sequence[str]:
        rows = await self._db.batch(lambda: _extension(call, self._clock.time()))
        return [held.id for held, row in zip(call.held, rows, strict=False) if not row]

    async def wait(self, timeout: float) -> None:
        deadline = self._clock.monotonic() + timeout
        while not self._bell.is_set() and (left := deadline - self._clock.monotonic()) > 0:
            version = int((await self._db.fetch(CHANGES))[0][0])
            if version != self._seen:
                self._seen = version
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, _LOOK)):
                    await self._bell.wait()
        self._bell.clear()

    async def get(self, job_id: str) -> Record | None:
        rows = await self._db.fetch(sql.BY_ID, {"id": job_id})
        return _record(rows[0]) if rows else None

    async def list_jobs(self, filters: JobFilters, limit: int, cursor: str | None) -> Page[Record]:
        where, params = _where(filters)
        params |= {"cursor": 1 << 62 if cursor is None else int(cursor), "limit": limit + 1}
        text = (
            f"SELECT seq, {sql.COLUMNS} FROM jobqueue_jobs WHERE seq < :cursor {where} "  # noqa: S608  own words
            "ORDER BY seq DESC LIMIT :limit"
        )
        rows = await self._db.fetch(text, params)
        more = str(rows[limit - 1][0]) if len(rows) > limit else None
        return Page.of([_record(row[1:]) for row in rows[:limit]], more)

    async def change(self, job_id: str, to: JobStatus) -> bool:
        if to is JobStatus.CANCELLED:
            steps = [(sql.CANCEL, {"id": job_id, "now": self._clock.time()})]
        else:
            steps = [(sql.RETRY, {"id": job_id})]
        return bool((await self._write(steps))[0])

    async def remove(self, job_ids: Sequence[str]) -> int:
        rows = await self._write([(sql.REMOVE, {"id": job_id}) for job_id in job_ids])
        return sum(map(len, rows))

    async def purge(self, statuses: Sequence[JobStatus], before: float, limit: int) -> int:
        steps: list[tuple[str, Params]] = [
            (sql.PURGE_TTL, {"now": self._clock.time(), "limit": limit})
        ]
        steps += [
            (sql.PURGE, {"status": str(status), "before": before, "limit": limit})
            for status in statuses
        ]
        return sum(map(len, await self._db.batch(steps)))

    async def tick(self, name: str, at: float, records: Sequence[Record]) -> bool:
        now = self._clock.time()
        async with self._db.transaction() as transaction:
            if not await transaction.fetch(sql.TICK, {"name": name, "at": at}):
                return False
            for record in records:
                await transaction.fetch(sql.INSERT, _params(_placed(record, now)))
        self._bell.set()
        return True

    async def last_tick(self, name: str) -> float | None:
        rows = await self._db.fetch(sql.LAST_TICK, {"name": name})
        return float(rows[0][0]) if rows else None

    async def set_paused(self, queue: str, *, paused: bool) -> None:
        await self._write([(sql.PAUSE if paused else sql.RESUME, {"queue": queue})])

    async def stats(self, queue: str | None) -> QueueStats:
        now = self._clock.time()
        counts, oldest, done, workers = await self._db.batch(
            [
                (sql.COUNTS, {"queue": queue}),
                (sql.OLDEST, {"queue": queue}),
                (sql.DONE_SINCE, {"queue": queue, "since": now - 60}),
                (sql.WORKERS, {"now": now}),
            ]
        )
        age = oldest[0][0]
        return QueueStats(
            **{str(row[0]): int(row[1]) for row in counts},
            workers=int(workers[0][0]),
            oldest_pending_age=None if age is None else max(0.0, now - age),
            throughput=int(done[0][0]) / 60,
        )

    async def setup(self) -> None:
        await self._db.setup()

    def schema_sql(self) -> str:
        return sql.SCHEMA.script(self._db)

    async def aclose(self) -> None:
        await self._db.aclose()

    def detach(self) -> None:
        self._db.detach()
        self._bell = asyncio.Event()

    async def _write(self, steps: Sequence[tuple[str, Params]]) -> list[list[Row]]:
        rows = await self._db.batch(steps)
        self._bell.set()
        return rows


def _placed(record: Record, now: float) -> Record:
    """Return ``record`` with the broker's time and the status that follows from it."""
    run_at = now + record.delay if record.run_at is None and record.delay > 0 else record.run_at
    delayed = run_at is not None and run_at > now
    status = JobStatus.DELAYED if delayed else JobStatus.PENDING
    return msgspec.structs.replace(record, delay=0.0, created_at=now, run_at=run_at, status=status)


def _params(record: Record) -> dict[str, Any]:
    return {**{name: getattr(record, name) for name in sql.FIELDS}, "status": str(record.status)}


def _record(row: Row) -> Record:
    values: dict[str, Any] = dict(zip(sql.FIELDS, row, strict=True))
    record = Record(**values)
    record.status = JobStatus(record.status)
    if record.version > FORMAT + 1:
        raise BackendError(
            f"job {record.id!r} has format {record.version}; this release reads up to {FORMAT + 1}"
        )
    return record


def _end(outcome: Outcome, now: float) -> tuple[str, Params]:
    held: dict[str, Any] = {"id": outcome.lease.id, "fence": outcome.lease.fence}
    if outcome.kind in {"completed", "failed"}:
        progress = 100.0 if outcome.kind == "completed" else outcome.lease.progress
        values: dict[str, Any] = {"now": now, "result": outcome.result, "progress": progress}
        return sql.END, {**held, **values, "status": outcome.kind, "error": outcome.error}
    delayed = outcome.kind == "retry" and outcome.delay > 0
    values = {
        "status": "delayed" if delayed else "pending",
        "run_at": now + outcome.delay if delayed else None,
        "given_back": int(outcome.kind == "released"),
    }
    return sql.AGAIN, {**held, **values, "error": outcome.error}


def _where(filters: JobFilters) -> tuple[str, dict[str, Any]]:
    tests: dict[str, tuple[str, Any]] = {}
    if filters.name is not None:
        tests["name"] = "name = :name", filters.name
    if filters.queue is not None:
        tests["queue"] = "queue = :queue", filters.queue
    if filters.created_after is not None:
        tests["after"] = "created_at >= :after", filters.created_after.timestamp()
    if filters.created_before is not None:
        tests["before"] = "created_at < :before", filters.created_before.timestamp()
    params = {name: value for name, (_, value) in tests.items()}
    words = [test for test, _ in tests.values()]
    if statuses := filters.statuses:
        params |= {f"s{i}": str(status) for i, status in enumerate(statuses)}
        words.append(f"status IN ({', '.join(f':s{i}' for i in range(len(statuses)))})")
    return "".join(f"AND {word} " for word in words), params
