"""The figures of the last ten minutes, as points of the dashboard's charts."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..models import Job, Latencies, QueueStats
from ..models.wire import camel
from ..service.latencies import ended_at, summarize

SPAN = 600.0
_SPACING = 2.0
_STEP = 10.0
_WINDOW = 60.0


@dataclass(frozen=True, slots=True)
class Point:
    """How the queues did at a moment.

    Attributes:
        number: Grows by one from point to point.
        at: Seconds since the epoch, by the broker's clock.
        completed: Jobs a second, over the minute before.
        failed: Jobs a second, over the minute before as far as somebody looked.
        backlog: Pending and due jobs; None where nobody looked then.
        latencies: Of the jobs that ended in the minute before.
    """

    number: int
    at: float
    completed: float | None
    failed: float | None
    backlog: int | None
    latencies: Latencies

    def to_json(self) -> dict[str, Any]:
        """Return what the page draws."""
        names = ("wait_p50", "wait_p95", "run_p50", "run_p95")
        return {
            "at": self.at,
            "completed": self.completed,
            "failed": self.failed,
            "backlog": self.backlog,
            **{camel(name): getattr(self.latencies, name) for name in names},
        }


class History:
    """Points in their order, at most three hundred."""

    def __init__(self) -> None:
        """Hold none."""
        self._points: deque[Point] = deque()
        self._failures: deque[tuple[float, int]] = deque()
        self._failed = 0
        self.number = 0

    def since(self, number: int) -> list[Point]:
        """Return the points after that of ``number``."""
        return [each for each in self._points if each.number > number]

    def is_due(self, at: float) -> bool:
        """Whether the last point is old enough for another one."""
        return not self._points or at - self._points[-1].at >= _SPACING

    def add(self, at: float, total: QueueStats, latencies: Latencies) -> None:
        """Add the point of now."""
        self._append(
            at, total.throughput, self._failing(at, total.failed), total.pending, latencies
        )

    def _failing(self, at: float, failed: int) -> float | None:
        seen = self._failures
        # dead letters that were retried or purged meanwhile make it too low, never negative
        seen.append((at, max(0, failed - self._failed) if seen else 0))
        self._failed = failed
        while seen[0][0] < at - _WINDOW:
            seen.popleft()
        length = at - seen[0][0]
        return sum(count for when, count in seen if when > seen[0][0]) / length if length else None

    def _append(
        self,
        at: float,
        completed: float | None,
        failed: float | None,
        backlog: int | None,
        latencies: Latencies,
    ) -> None:
        self.number += 1
        self._points.append(Point(self.number, at, completed, failed, backlog, latencies))
        while self._points[0].at < at - SPAN:
            self._points.popleft()

    def fill(self, jobs: Sequence[Job], now: float, *, complete: bool) -> None:
        """Begin with what is known from ended jobs about the time before anybody looked.

        Args:
            jobs: They are the ones that were enqueued last.
            now: By the broker's clock.
            complete: Whether they are all; else the time before the first of them is unknown.
        """
        self._failures.clear()
        start = max(now - SPAN, self._points[-1].at + _STEP if self._points else 0.0)
        ends = [(end.timestamp(), job) for job in jobs if (end := ended_at(job)) is not None]
        if not complete:
            start = max(start, min(end for end, _ in ends) + _WINDOW if ends else now)
        for at in _moments(start, now):
            lately = [job for end, job in ends if at - _WINDOW < end <= at]
            done = sum(job.failed_at is None for job in lately)
            bad = len(lately) - done
            self._append(at, done / _WINDOW, bad / _WINDOW, None, summarize(lately))


def _moments(start: float, now: float) -> Iterator[float]:
    at = start
    while at < now - _STEP / 2:
        yield at
        at += _STEP
