"""What a worker counts: plain integers, read by metrics whenever somebody asks."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

BOUNDS: Final = (
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0,
)  # fmt: skip
"""Upper bounds of the histograms' buckets, in seconds; one more bucket holds what is longer."""
UNKNOWN: Final = "(unknown)"
OTHER: Final = "(other)"
_MOST = 1000


class Histogram:
    """How many values fell into which bucket, and their sum in seconds."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        """Hold nothing yet."""
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Take in one value; less than 0 counts as 0."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        if seconds > 0:
            self.total += seconds


class Tally:
    """What became of the attempts at the jobs of one name in one queue.

    ``lost`` are those whose lease was gone before they ended: the job was cancelled, or the worker
    fell silent for too long.
    """

    __slots__ = ("completed", "failed", "lost", "released", "retried", "run_time", "wait_time")

    def __init__(self) -> None:
        """Start from 0."""
        self.completed = self.failed = self.retried = self.released = self.lost = 0
        self.run_time, self.wait_time = Histogram(), Histogram()

    def end(self, kind: str | None, seconds: float) -> None:
        """Count an attempt that ran ``seconds``; ``kind`` is its outcome's, None if lost."""
        if kind == "completed":
            self.completed += 1
        elif kind == "failed":
            self.failed += 1
        elif kind == "retry":
            self.retried += 1
        elif kind == "released":
            self.released += 1
        else:
            self.lost += 1
        self.run_time.observe(seconds)

    @property
    def outcomes(self) -> Mapping[str, int]:
        """The attempts by how they ended."""
        return {
            "completed": self.completed,
            "failed": self.failed,
            "retried": self.retried,
            "released": self.released,
            "lost": self.lost,
        }


@dataclass(slots=True)
class Counters:
    """The figures of one worker since its start. Written by its threads, read from any.

    Attributes:
        refused: Outcomes that the broker refused, since the lease was lost; they are among the
            attempts that :class:`Tally` counts as ended.
        broker_errors: Steps that failed because of the broker.
        heartbeat_errors: Renewals of the leases that failed.
        loop_blocked: Heartbeats that found the event loop blocked since the one before.
        loop_lag: Seconds that the event loop took to answer the last heartbeat.
    """

    refused: int = 0
    broker_errors: int = 0
    heartbeat_errors: int = 0
    loop_blocked: int = 0
    loop_lag: float = 0.0
    _tallies: dict[tuple[str, str], Tally] = field(default_factory=dict[tuple[str, str], Tally])

    def tally(self, queue: str, name: str, known: Iterable[str]) -> Tally:
        """Return where to count attempts at jobs called ``name`` of ``queue``.

        Names come out of messages: those without a handler share one tally, and so does what is
        over 1,000 pairs, so that nobody can make us remember without end.
        """
        found = self._tallies.get((queue, name))
        return found or self._new(queue, name if name in known else UNKNOWN)

    def _new(self, queue: str, name: str) -> Tally:
        key = (queue, name)
        if key not in self._tallies and len(self._tallies) >= _MOST:
            key = (OTHER, OTHER)
        return self._tallies.setdefault(key, Tally())

    @property
    def tallies(self) -> list[tuple[str, str, Tally]]:
        """Queue, name and figures, in the order of queue and name."""
        found = list(self._tallies.items())  # at once: the worker may add one meanwhile
        return [(*key, tally) for key, tally in sorted(found, key=lambda each: each[0])]
