"""Jobs in the memory of one process: the default, and the model for tests."""

import asyncio
import threading
from bisect import bisect_left
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import msgspec

from .._common.clock import Clock, SystemClock, wait_event
from ..models import JobFilters, JobStatus, Page, QueueStats
from ..ports import Broker, Capabilities, Enqueued, Record, Step, WorkerCall
from .memory_state import UNFINISHED, State


@dataclass
class _Shared:
    """What twins share: the jobs under a lock, and whom to wake."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    state: State = field(default_factory=State)
    bells: list[Callable[[], None]] = field(default_factory=list)

    def ring(self) -> None:
        for bell in self.bells:
            bell()


class MemoryBroker(Broker):
    """Keeps jobs in dicts and heaps; twins on other event loops share them."""

    capabilities = Capabilities()

    def __init__(self, *, clock: Clock | None = None, shared: object = None) -> None:
        """Start empty.

        Args:
            clock: Decides leases and delays.
            shared: What ``twin`` passes on; leave it out.
        """
        self._clock = clock or SystemClock()
        self._shared = shared if isinstance(shared, _Shared) else _Shared()
        self._event = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._shared.bells.append(self._ring)

    def twin(self) -> "MemoryBroker":
        return MemoryBroker(clock=self._clock, shared=self._shared)

    async def enqueue(self, records: Sequence[Record]) -> Sequence[Enqueued]:
        with self._changing() as state:
            return [self._add(state, record) for record in records]

    def _add(self, state: State, record: Record) -> Enqueued:
        if (known := state.jobs.get(record.id)) is not None:
            return Enqueued(_copy(known), "same_id")
        if record.unique_key is not None and (holder := state.unique.get(record.unique_key)):
            return Enqueued(_copy(state.jobs[holder]), "same_key")
        if not state.jobs.keys() >= set(record.depends_on):
            return Enqueued(record, "no_parent")
        made = _copy(record)
        state.add(made, self._clock.time())
        return Enqueued(_copy(made), "created")

    async def step(self, call: WorkerCall) -> Step:
        # from here on: what comes after this look must end the wait that follows it
        self._loop = asyncio.get_running_loop()
        with self._changing(ring=bool(call.outcomes)) as state:
            now = self._clock.time()
            state.workers[call.worker] = now + call.lease
            refused = [each.lease.id for each in call.outcomes if not state.finish(each, now)]
            state.promote(now)
            if call.reclaims:
                state.reclaim(now)
            claimed = [
                job
                for queue, slots in call.slots.items()
                for job in state.claim(queue, slots, call, now)
            ]
            claimed.sort(key=lambda each: (-each.priority, state.order[each.id]))
            made = [_copy(each) for each in claimed]
            return Step(
                made, refused, state.lost(call.held), state.next_due(now, leases=call.reclaims)
            )

    async def extend(self, call: WorkerCall) -> Sequence[str]:
        with self._changing(ring=False) as state:
            now = self._clock.time()
            state.workers[call.worker] = now + call.lease
            lost = state.lost(call.held)
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
        with self._shared.lock:
            job = self._shared.state.jobs.get(job_id)
            return None if job is None else _copy(job)

    async def list_jobs(self, filters: JobFilters, limit: int, cursor: str | None) -> Page[Record]:
        with self._shared.lock:
            state, below = self._shared.state, float("inf") if cursor is None else int(cursor)
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
            if to is JobStatus.CANCELLED and job.status in UNFINISHED:
                state.end(job, to, now, job.error)
                return True
            if to is JobStatus.PENDING and job.status in {JobStatus.FAILED, JobStatus.CANCELLED}:
                if job.unique_key is not None:
                    if job.unique_key in state.unique:
                        return False
                    state.unique[job.unique_key] = job.id
                job.attempts, job.run_at, job.finished_at = 0, None, None
                state.place(job, now)
                return True
            return False

    async def remove(self, job_ids: Sequence[str]) -> int:
        with self._changing() as state:
            known = [state.jobs.get(job_id) for job_id in dict.fromkeys(job_ids)]
            free = [job for job in known if job and job.status is not JobStatus.PROCESSING]
            for job in free:
                state.forget(job, self._clock.time())
            return len(free)

    async def purge(self, statuses: Sequence[JobStatus], before: float, limit: int) -> int:
        with self._changing() as state:
            now = self._clock.time()
            old = [
                job
                for job in state.jobs.values()
                if (job.status in statuses and (job.finished_at or 0) < before)
                or _is_over(job, now)
            ][:limit]
            for job in old:
                state.forget(job, now)
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
        return self._shared.state.ticks.get(name)

    async def set_paused(self, queue: str, *, paused: bool) -> None:
        with self._changing() as state:
            (state.paused.add if paused else state.paused.discard)(queue)

    async def queues(self) -> Mapping[str, bool]:
        with self._shared.lock:
            state = self._shared.state
            names = {job.queue for job in state.jobs.values()} | state.paused
            return {name: name in state.paused for name in sorted(names)}

    async def time(self) -> float:
        return self._clock.time()

    async def stats(self, queue: str | None) -> QueueStats:
        with self._shared.lock:
            state, now = self._shared.state, self._clock.time()
            jobs = [job for job in state.jobs.values() if queue is None or job.queue == queue]
            counts = {str(status): 0 for status in JobStatus}
            for job in jobs:
                counts[job.status] += 1
            lately = state.ended[bisect_left(state.ended, (now - 60, "")) :]
            waiting = [j.run_at or j.created_at for j in jobs if j.status is JobStatus.PENDING]
            return QueueStats(
                **counts,
                workers=sum(until > now for until in state.workers.values()),
                oldest_pending_age=max(0.0, now - min(waiting)) if waiting else None,
                throughput=sum(queue in {None, each} for _, each in lately) / 60,
            )

    def detach(self) -> None:
        self._event, self._loop = asyncio.Event(), None

    @contextmanager
    def _changing(self, *, ring: bool = True) -> Generator[State, None, None]:
        with self._shared.lock:
            yield self._shared.state
            if ring:
                self._shared.ring()

    def _ring(self) -> None:
        if self._loop is not None and not self._loop.is_closed():
            with suppress(RuntimeError):  # closed this very moment: the job is stored all the same
                self._loop.call_soon_threadsafe(self._event.set)


def _copy(record: Record) -> Record:
    return msgspec.structs.replace(record)


def _is_over(job: Record, now: float) -> bool:
    kept = job.status in {JobStatus.COMPLETED, JobStatus.CANCELLED} and job.result_ttl is not None
    return kept and (job.finished_at or 0) + (job.result_ttl or 0) < now


def _matches(job: Record, filters: JobFilters) -> bool:
    after, before = filters.created_after, filters.created_before
    return (
        filters.name in {None, job.name}
        and filters.queue in {None, job.queue}
        and (not filters.statuses or job.status in filters.statuses)
        and (after is None or job.created_at >= after.timestamp())
        and (before is None or job.created_at < before.timestamp())
    )
