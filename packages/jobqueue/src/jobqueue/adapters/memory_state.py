"""The jobs of a memory broker: what the other brokers do on their servers, in plain Python."""

import heapq
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from ..models import JobStatus
from ..ports import Lease, Limit, Outcome, Record, WorkerCall
from .memory_gates import Entry, Gates

UNFINISHED = {JobStatus.PENDING, JobStatus.DELAYED, JobStatus.PROCESSING}


@dataclass
class State:
    """Every job, and what finds them. Heaps keep stale entries, which are skipped."""

    jobs: dict[str, Record] = field(default_factory=dict)
    order: dict[str, int] = field(default_factory=dict)
    ready: dict[str, list[Entry]] = field(default_factory=dict)
    delayed: list[Entry] = field(default_factory=list)
    leased: dict[str, Record] = field(default_factory=dict)
    unique: dict[str, str] = field(default_factory=dict)
    ticks: dict[str, float] = field(default_factory=dict)
    paused: set[str] = field(default_factory=set)
    workers: dict[str, float] = field(default_factory=dict)
    ended: list[tuple[float, str]] = field(default_factory=list)
    sequence: Iterator[int] = field(default_factory=lambda: count(1))
    blocked: dict[str, set[str]] = field(default_factory=dict)
    children: dict[str, list[str]] = field(default_factory=dict)
    gates: Gates = field(init=False)

    def __post_init__(self) -> None:
        """Let parked jobs out into ``ready``."""
        self.gates = Gates(lambda job_id: self._make_ready(self.jobs[job_id]))

    def add(self, job: Record, now: float) -> None:
        """Take in a new job whose parents are known."""
        job.created_at = now
        if job.run_at is None and job.delay > 0:
            job.run_at = now + job.delay
        self.jobs[job.id], self.order[job.id] = job, next(self.sequence)
        if job.unique_key is not None:
            self.unique[job.unique_key] = job.id
        parents = [self.jobs[parent] for parent in dict.fromkeys(job.depends_on)]
        if waits := {each.id for each in parents if each.status in UNFINISHED}:
            job.status, self.blocked[job.id] = JobStatus.DELAYED, waits
            for parent_id in waits:
                self.children.setdefault(parent_id, []).append(job.id)
        else:
            self.place(job, now)
        for parent in parents:
            if parent.status in {JobStatus.FAILED, JobStatus.CANCELLED}:
                self._suffer(job, parent, now)

    def place(self, job: Record, now: float) -> None:
        """Make a job wait for its time, or for a worker."""
        if job.run_at is not None and job.run_at > now:
            job.status = JobStatus.DELAYED
            heapq.heappush(self.delayed, (job.run_at, self.order[job.id], job.id))
        else:
            job.status = JobStatus.PENDING
            self._make_ready(job)

    def _make_ready(self, job: Record) -> None:
        heapq.heappush(self.ready.setdefault(job.queue, []), self._entry(job))

    def _entry(self, job: Record) -> Entry:
        aged = job.created_at - job.priority * job.aging
        return (aged if job.aging else -float(job.priority), self.order[job.id], job.id)

    def finish(self, outcome: Outcome, now: float) -> bool:
        """Take in how an attempt ended; False if its lease is lost."""
        job = self.leased.get(outcome.lease.id)
        if job is None or job.fence != outcome.lease.fence:
            return False
        if outcome.kind in {"completed", "failed"}:
            job.result, job.progress = outcome.result, outcome.lease.progress
            if outcome.kind == "completed":
                job.progress = 100.0
            self.end(job, JobStatus(outcome.kind), now, outcome.error)
            return True
        self.free(job)
        if outcome.kind == "released":
            job.attempts -= 1
        else:
            job.error, job.run_at = outcome.error, now + outcome.delay
        self.place(job, now)
        return True

    def free(self, job: Record) -> None:
        """Take back a lease, or a place among those that wait for room."""
        self.leased.pop(job.id, None)
        job.lease_until = job.worker = None
        self.gates.leave(job)

    def end(self, job: Record, status: JobStatus, now: float, error: str | None) -> None:
        """Set a job's final status and tell those that depend on it."""
        self.free(job)
        job.status, job.finished_at, job.error = status, now, error
        self._let_go(job, now)
        if status is JobStatus.COMPLETED:
            self.ended.append((now, job.queue))
            if len(self.ended) > 10_000:
                del self.ended[: bisect_left(self.ended, (now - 60, ""))]
            if job.result_ttl == 0:
                self.forget(job, now)

    def _let_go(self, job: Record, now: float) -> None:
        self.blocked.pop(job.id, None)
        if job.unique_key is not None and self.unique.get(job.unique_key) == job.id:
            del self.unique[job.unique_key]
        for child in self.children.pop(job.id, ()):
            waiting = self.blocked.get(child, set())
            if job.id not in waiting:  # it ended by itself, or is another job of that id by now
                continue
            waiting.discard(job.id)
            if job.status is not JobStatus.COMPLETED:
                self._suffer(self.jobs[child], job, now)
            if not waiting and self.blocked.pop(child, None) is not None:
                self.place(self.jobs[child], now)

    def _suffer(self, child: Record, parent: Record, now: float) -> None:
        if child.on_parent_failure == "run" or child.status.is_final:
            return
        to = JobStatus.FAILED if child.on_parent_failure == "fail" else JobStatus.CANCELLED
        self.end(child, to, now, f"ParentFailed: job {parent.id!r} {parent.status}")

    def promote(self, now: float) -> None:
        """Make delayed jobs pending that are due."""
        while self.delayed and self.delayed[0][0] <= now:
            due, _, job_id = heapq.heappop(self.delayed)
            job = self.jobs.get(job_id)
            if job is not None and job.status is JobStatus.DELAYED and job.run_at == due:
                self.place(job, now)

    def reclaim(self, now: float) -> None:
        """Take back leases that ran out."""
        for job in [each for each in self.leased.values() if (each.lease_until or 0) < now]:
            if job.attempts >= job.max_attempts:
                message = f"LeaseExpired: the worker vanished in attempt {job.attempts}"
                self.end(job, JobStatus.FAILED, now, message)
                continue
            self.free(job)
            job.run_at = None
            self.place(job, now)

    def claim(self, queue: str, slots: int, call: WorkerCall, now: float) -> Iterator[Record]:
        """Lease the best jobs of a queue to a worker."""
        heap = self.ready.get(queue)
        while heap and slots > 0 and queue not in self.paused:
            entry = heapq.heappop(heap)
            job = self.jobs.get(entry[2])
            if job is None or job.status is not JobStatus.PENDING or self.gates.is_parked(job):
                continue
            # a job may stand in the heap twice: only what it is now counts
            if entry != self._entry(job) or not self._passes(job, entry, call.limits, now):
                continue
            job.status, job.started_at, job.worker = JobStatus.PROCESSING, now, call.worker
            job.attempts, job.fence = job.attempts + 1, job.fence + 1
            job.lease_until = now + call.lease
            self.leased[job.id] = job
            slots -= 1
            yield job

    def _passes(self, job: Record, entry: Entry, limits: Mapping[str, Limit], now: float) -> bool:
        due = self.gates.pass_one(job, entry, limits.get(job.name), now)
        if due is not None and due > now:
            job.run_at = due
            self.place(job, now)
        return due == now

    def next_due(self, now: float, *, leases: bool) -> float | None:
        """Return the seconds until a delayed job is due or, with ``leases``, one runs out."""
        times = [self.delayed[0][0]] if self.delayed else []
        if leases:
            times += [each.lease_until for each in self.leased.values() if each.lease_until]
        return max(0.0, min(times) - now) if times else None

    def lost(self, held: Sequence[Lease]) -> list[str]:
        """Return the ids of leases that are gone."""
        return [
            lease.id
            for lease in held
            if (job := self.leased.get(lease.id)) is None or job.fence != lease.fence
        ]

    def forget(self, job: Record, now: float) -> None:
        """Delete a job; an unfinished one counts as cancelled for those that depend on it."""
        if job.status in UNFINISHED:
            job.status = JobStatus.CANCELLED
        self.free(job)
        self._let_go(job, now)
        del self.jobs[job.id], self.order[job.id]
