"""Jobs in the memory of one process: the default, and the model for tests."""

import asyncio
import heapq
import threading
from bisect import bisect_left
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count

import msgspec

from .._common.clock import Clock, SystemClock, wait_event
from ..models import JobFilters, JobStatus, Page, QueueStats
from ..ports import Broker, Capabilities, Enqueued, Lease, Outcome, Record, Step, WorkerCall

_UNFINISHED = {JobStatus.PENDING, JobStatus.DELAYED, JobStatus.PROCESSING}


@dataclass
class _State:
    """What twins share. Guarded by ``lock``; heaps keep stale entries, which are skipped."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    jobs: dict[str, Record] = field(default_factory=dict)
    order: dict[str, int] = field(default_factory=dict)
    ready: dict[str, list[tuple[int, int, str]]] = field(default_factory=dict)
    delayed: list[tuple[float, int, str]] = field(default_factory=list)
    leased: dict[str, Record] = field(default_factory=dict)
    unique: dict[str, str] = field(default_factory=dict)
    ticks: dict[str, float] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    workers: dict[str, float] = field(default_factory=dict)
    ended: list[float] = field(default_factory=list)
    sequence: Iterator[int] = field(default_factory=lambda: count(1))
    bells: list[Callable[[], None]] = field(default_factory=list)

    def ring(self) -> None:
        for bell in self.bells:
            bell()


class MemoryBroker(Broker):
    """Keeps jobs in dicts and heaps; twins on other event loops share them."""

    capabilities = Capabilities()

    def __init__(self, *, clock: Clock | None = None, state: object = None) -> None:
        """Start empty.

        Args:
            clock: Decides leases and delays.
            state: What ``twin`` passes on; leave it out.
        """
        self._clock = clock or SystemClock()
        self._state = state if isinstance(state, _State) else _State()
        self._event = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._state.bells.append(self._ring)

    def twin(self) -> "MemoryBroker":
        return MemoryBroker(clock=self._clock, state=self._state)

    async def enqueue(self, records: Sequence[Record]) -> Sequence[Enqueued]:
        with self._changing() as state:
            return [self._add(state, record) for record in records]

    def _add(self, state: _State, record: Record) -> Enqueued:
        if (known := state.jobs.get(record.id)) is not None:
            return Enqueued(_copy(known), "same_id")
        if record.unique_key is not None and (holder := state.unique.get(record.unique_key)):
            return Enqueued(_copy(state.jobs[holder]), "same_key")
        now, made = self._clock.time(), _copy(record)
        made.created_at = now
        if made.run_at is None and made.delay > 0:
            made.run_at = now + made.delay
        state.jobs[made.id], state.order[made.id] = made, next(state.sequence)
        if made.unique_key is not None:
            state.unique[made.unique_key] = made.id
        self._queue(state, made, now)
        return Enqueued(_copy(made), "created")

    def _queue(self, state: _State, job: Record, now: float) -> None:
        place = state.order[job.id]
        if job.run_at is not None and job.run_at > now:
            job.status = JobStatus.DELAYED
            heapq.heappush(state.delayed, (job.run_at, place, job.id))
        else:
            job.status = JobStatus.PENDING
            heap = state.ready.setdefault(job.queue, [])
            heapq.heappush(heap, (-job.priority, place, job.id))

    async def step(self, call: WorkerCall) -> Step:
        # from here on: what comes after this look must end the wait that follows it
        self._loop = asyncio.get_running_loop()
        with self._changing(ring=False) as state:
            now = self._clock.time()
            state.workers[call.worker] = now + call.lease
            refused = [o.lease.id for o in call.outcomes if not self._finish(state, o, now)]
            self._promote(state, now)
            self._reclaim(state, now)
            claimed = [
                record
                for queue, slots in call.slots.items()
                for record in self._claim(state, queue, slots, call, now)
            ]
            claimed.sort(key=lambda each: (-each.priority, state.order[each.id]))
            return Step(claimed, refused, _lost(state, call.held), self._next_due(state, now))

    def _finish(self, state: _State, outcome: Outcome, now: float) -> bool:
        job = state.leased.get(outcome.lease.id)
        if job is None or job.fence != outcome.lease.fence:
            return False
        if outcome.kind in {"completed", "failed"}:
            job.result, job.progress = outcome.result, outcome.lease.progress
            if outcome.kind == "completed":
                job.progress = 100.0
            self._end(state, job, JobStatus(outcome.kind), now, outcome.error)
            return True
        del state.leased[job.id]
        job.lease_until = job.worker = None
        if outcome.kind == "released":
            job.attempts -= 1
        else:
            job.error, job.run_at = outcome.error, now + outcome.delay
        self._queue(state, job, now)
        return True

    def _end(
        self, state: _State, job: Record, status: JobStatus, now: float, error: str | None
    ) -> None:
        state.leased.pop(job.id, None)
        job.status, job.finished_at, job.error = status, now, error
        job.lease_until = job.worker = None
        if job.unique_key is not None and state.unique.get(job.unique_key) == job.id:
            del state.unique[job.unique_key]
        if status is JobStatus.COMPLETED:
            state.ended.append(now)
            if len(state.ended) > 10_000:
                del state.ended[: bisect_left(state.ended, now - 60)]

    def _promote(self, state: _State, now: float) -> None:
        while state.delayed and state.delayed[0][0] <= now:
            due, _, job_id = heapq.heappop(state.delayed)
            job = state.jobs.get(job_id)
            if job is not None and job.status is JobStatus.DELAYED and job.run_at == due:
                self._queue(state, job, now)

    def _reclaim(self, state: _State, now: float) -> None:
        for job in [each for each in state.leased.values() if (each.lease_until or 0) < now]:
            if job.attempts >= job.max_attempts:
                message = f"LeaseExpired: the worker vanished in attempt {job.attempts}"
                self._end(state, job, JobStatus.FAILED, now, message)
                continue
            del state.leased[job.id]
            job.lease_until = job.worker = job.run_at = None
            self._queue(state, job, now)

    def _claim(
        self, state: _State, queue: str, slots: int, call: WorkerCall, now: float
    ) -> Iterator[Record]:
        heap = state.ready.get(queue)
        while heap and slots > 0 and queue not in state.paused:
            priority, _, job_id = heapq.heappop(heap)
            job = state.jobs.get(job_id)
            if job is None or job.status is not JobStatus.PENDING or job.priority != -priority:
                continue
            job.status, job.started_at, job.worker = JobStatus.PROCESSING, now, call.worker
            job.attempts, job.fence = job.attempts + 1, job.fence + 1
            job.lease_until = now + call.lease
            state.leased[job.id] = job
            slots -= 1
            yield _copy(job)

    def _next_due(self, state: _State, now: float) -> float | None:
        times = [state.delayed[0][0]] if state.delayed else []
        times += [each.lease_until for each in state.leased.values() if each.lease_until]
        return max(0.0, min(times) - now) if times else None

    async def extend(self, call: WorkerCall) -> Sequence[str]:
        with self._changing(ring=False) as state:
            now = self._clock.time()
            state.workers[call.worker] = now + call.lease
            lost = _lost(state, call.held)
            for lease in call.held:
                if lease.id not in lost:
                    job = state.leased[lease.id]
                    job.lease_until, job.progress = now + call.lease, lease.progress
            return lost

    async def wait(self, timeout: float) -> None:
        self._loop = asyncio.get_running_loop()
        await wait_event(self._event, timeout, self._clock)
        self._event.clear()

    async def get(self, job_id: str) -> Record | None:
        with self._state.lock:
            job = self._state.jobs.get(job_id)
            return None if job is None else _copy(job)

    async def list_jobs(self, filters: JobFilters, limit: int, cursor: str | None) -> Page[Record]:
        with self._state.lock:
            state, below = self._state, float("inf") if cursor is None else int(cursor)
            found = [
                _copy(job)
                for job in reversed(state.jobs.values())
                if state.order[job.id] < below and _matches(job, filters)
            ][: limit + 1]
            more = str(state.order[found[limit - 1].id]) if len(found) > limit else None
            return Page.of(found[:limit], more)

    async def change(self, job_id: str, to: JobStatus) -> bool:
        with self._changing() as state:
            job, now = state.jobs.get(job_id), self._clock.time()
            if job is None:
                return False
            if to is JobStatus.CANCELLED and job.status in _UNFINISHED:
                self._end(state, job, to, now, job.error)
                return True
            if to is JobStatus.PENDING and job.status in {JobStatus.FAILED, JobStatus.CANCELLED}:
                if job.unique_key is not None:
                    if job.unique_key in state.unique:
                        return False
                    state.unique[job.unique_key] = job.id
                job.attempts, job.run_at, job.finished_at = 0, None, None
                self._queue(state, job, now)
                return True
            return False

    async def remove(self, job_ids: Sequence[str]) -> int:
        with self._changing() as state:
            known = [state.jobs.get(job_id) for job_id in dict.fromkeys(job_ids)]
            free = [job for job in known if job and job.status is not JobStatus.PROCESSING]
            for job in free:
                self._forget(state, job)
            return len(free)

    def _forget(self, state: _State, job: Record) -> None:
        if job.unique_key is not None and state.unique.get(job.unique_key) == job.id:
            del state.unique[job.unique_key]
        del state.jobs[job.id], state.order[job.id]

    async def purge(self, statuses: Sequence[JobStatus], before: float, limit: int) -> int:
        with self._changing() as state:
            now = self._clock.time()
            old = [
                job
                for job in state.jobs.values()
                if job.status.is_final
                and (
                    (job.status in statuses and (job.finished_at or 0) < before)
                    or (
                        job.result_ttl is not None and (job.finished_at or 0) + job.result_ttl < now
                    )
                )
            ][:limit]
            for job in old:
                self._forget(state, job)
            return len(old)

    async def tick(self, name: str, at: float, records: Sequence[Record]) -> bool:
        with self._changing() as state:
            if state.ticks.get(name, float("-inf")) >= at:
                return False
            state.ticks[name] = at
            for record in records:
                self._add(state, record)
            return True

    async def last_tick(self, name: str) -> float | None:
        return self._state.ticks.get(name)

    async def set_paused(self, queue: str, *, paused: bool) -> None:
        with self._changing() as state:
            (state.paused.add if paused else state.paused.discard)(queue)

    async def stats(self, queue: str | None) -> QueueStats:
        with self._state.lock:
            state, now = self._state, self._clock.time()
            jobs = [job for job in state.jobs.values() if queue is None or job.queue == queue]
            counts = {str(status): 0 for status in JobStatus}
            for job in jobs:
                counts[job.status] += 1
            waiting = [j.run_at or j.created_at for j in jobs if j.status is JobStatus.PENDING]
            return QueueStats(
                **counts,
                workers=sum(until > now for until in state.workers.values()),
                oldest_pending_age=max(0.0, now - min(waiting)) if waiting else None,
                throughput=(len(state.ended) - bisect_left(state.ended, now - 60)) / 60,
            )

    def detach(self) -> None:
        self._event, self._loop = asyncio.Event(), None

    @contextmanager
    def _changing(self, *, ring: bool = True) -> Generator[_State, None, None]:
        with self._state.lock:
            yield self._state
            if ring:
                self._state.ring()

    def _ring(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            with suppress(RuntimeError):  # closed this very moment: the job is stored all the same
                self._loop.call_soon_threadsafe(self._event.set)


def _copy(record: Record) -> Record:
    return msgspec.structs.replace(record)


def _lost(state: _State, held: Sequence[Lease]) -> list[str]:
    leased = state.leased
    return [
        lease.id
        for lease in held
        if (job := leased.get(lease.id)) is None or job.fence != lease.fence
    ]


def _matches(job: Record, filters: JobFilters) -> bool:
    after, before = filters.created_after, filters.created_before
    return (
        filters.name in {None, job.name}
        and filters.queue in {None, job.queue}
        and (not filters.statuses or job.status in filters.statuses)
        and (after is None or job.created_at >= after.timestamp())
        and (before is None or job.created_at < before.timestamp())
    )
