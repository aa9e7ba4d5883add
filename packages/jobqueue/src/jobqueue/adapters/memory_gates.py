"""Limits of a memory broker: which jobs of one name and key may run now.

A job that finds no room is parked, out of the way of later claims. Of those of a key, at most one
of each queue is let out at a time, as its ``next``: it waits for its claim, or until the period
allows one. Of each queue, so that one that is paused, or that no worker serves, does not hold up
others.
"""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from ..ports import Limit, Record

Entry = tuple[float, int, str]
Key = tuple[str, str]
_SWEEP = 60.0


def key_of(job: Record) -> Key:
    """Return what a limit counts a job under."""
    return job.name, job.limit_key or ""


@dataclass
class Gate:
    """The jobs of one name and key.

    Attributes:
        running: Those that hold a lease.
        starts: When the latest began, oldest first.
        parked: Those of each queue that wait for room, best first, with stale entries.
        waiting: The ids of the parked.
        next: Which of each queue was let out.
        expires: When the starts matter no more.
    """

    running: set[str] = field(default_factory=set)
    starts: deque[float] = field(default_factory=deque)
    parked: dict[str, list[Entry]] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    next: dict[str, str] = field(default_factory=dict)
    expires: float = 0.0


class Gates:
    """The gates of all keys."""

    def __init__(self, let_out: Callable[[str], None]) -> None:
        """``let_out`` makes a parked job ready to be claimed."""
        self._let_out = let_out
        self._known: dict[Key, Gate] = {}
        self._swept = 0.0

    def is_parked(self, job: Record) -> bool:
        """Whether a job waits for room."""
        gate = self._known.get(key_of(job))
        return gate is not None and job.id in gate.waiting

    def pass_one(self, job: Record, entry: Entry, limit: Limit | None, now: float) -> float | None:
        """Return ``now`` if the job may run, a later time to wait for, or None if it is parked."""
        self._sweep(now)
        gate = self._known.get(key_of(job))
        if gate is None:
            if limit is None:
                return now
            gate = self._known[key_of(job)] = Gate()
        if limit is not None:
            if limit.concurrency is not None and len(gate.running) >= limit.concurrency:
                self._park(gate, job, entry)
                return None
            if (due := _due(gate, limit, now)) > now:
                if gate.next.get(job.queue, job.id) != job.id:
                    self._park(gate, job, entry)
                    return None
                gate.next[job.queue] = job.id
                return due
            if limit.starts is not None:
                gate.starts.append(now)
                gate.expires = now + limit.period
        gate.running.add(job.id)
        self._leave(gate, job)
        return now

    def _park(self, gate: Gate, job: Record, entry: Entry) -> None:
        heapq.heappush(gate.parked.setdefault(job.queue, []), entry)
        gate.waiting.add(job.id)
        if gate.next.get(job.queue) == job.id:
            del gate.next[job.queue]

    def leave(self, job: Record) -> None:
        """Note that a job runs no more, or will not."""
        if (gate := self._known.get(key_of(job))) is not None:
            gate.running.discard(job.id)
            self._leave(gate, job)

    def _sweep(self, now: float) -> None:
        """Forget, once a minute, the gates of keys that nobody uses any more."""
        if now < self._swept + _SWEEP:
            return
        self._swept = now
        for key, gate in list(self._known.items()):
            if not (gate.running or gate.waiting or gate.next) and gate.expires <= now:
                del self._known[key]

    def _leave(self, gate: Gate, job: Record) -> None:
        gate.waiting.discard(job.id)
        if gate.next.get(job.queue) == job.id:
            del gate.next[job.queue]
        for queue, line in list(gate.parked.items()):
            while line and queue not in gate.next:
                best = heapq.heappop(line)[2]
                if best in gate.waiting:
                    gate.waiting.discard(best)
                    gate.next[queue] = best
                    self._let_out(best)
            if not line:
                del gate.parked[queue]


def _due(gate: Gate, limit: Limit, now: float) -> float:
    if limit.starts is None:
        return now
    while len(gate.starts) > limit.starts:
        gate.starts.popleft()
    full = len(gate.starts) == limit.starts
    return max(now, gate.starts[0] + limit.period) if full else now
