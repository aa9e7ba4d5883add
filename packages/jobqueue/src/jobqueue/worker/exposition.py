"""Prometheus' text format, version 0.0.4: the figures of a worker and of its queues.

The format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from itertools import accumulate

from ..models import JobStatus, QueueStats
from .counters import BOUNDS, Counters, Histogram

Labels = Mapping[str, str]
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class Exposition:
    """Lines of one answer, metric by metric."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._lines: list[str] = []

    def __str__(self) -> str:
        """Return the answer."""
        return "".join(f"{line}\n" for line in self._lines)

    def metric(
        self, name: str, kind: str, text: str, samples: Iterable[tuple[Labels, float]]
    ) -> None:
        """Add a metric with its samples; without any it is left out."""
        lines = [f"{name}{_labels(labels)} {_number(value)}" for labels, value in samples]
        if lines:
            self._lines += [f"# HELP {name} {text}", f"# TYPE {name} {kind}", *lines]

    def histogram(self, name: str, text: str, samples: Iterable[tuple[Labels, Histogram]]) -> None:
        """Add a histogram for each of ``samples``."""
        lines: list[str] = []
        for labels, each in samples:
            # a copy: the worker goes on counting, and buckets and count must agree
            sums = list(accumulate(list(each.counts)))
            for bound, count in zip([*map(_number, BOUNDS), "+Inf"], sums, strict=True):
                lines.append(f"{name}_bucket{_labels({**labels, 'le': bound})} {count}")
            lines.append(f"{name}_sum{_labels(labels)} {_number(each.total)}")
            lines.append(f"{name}_count{_labels(labels)} {sums[-1]}")
        if lines:
            self._lines += [f"# HELP {name} {text}", f"# TYPE {name} histogram", *lines]


def _labels(labels: Labels) -> str:
    pairs = [f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items()]
    return f"{{{','.join(pairs)}}}" if pairs else ""


def _number(value: float) -> str:
    return repr(value) if isinstance(value, int) or value % 1 else str(int(value))


def add_queues(page: Exposition, stats: Mapping[str, QueueStats], workers: int) -> None:
    """Add how queues stand, by their names."""
    page.metric(
        "jobqueue_jobs",
        "gauge",
        "Jobs that the broker keeps.",
        [
            ({"queue": name, "status": str(status)}, asdict(each)[status])
            for name, each in stats.items()
            for status in JobStatus
        ],
    )
    page.metric(
        "jobqueue_oldest_pending_age_seconds",
        "gauge",
        "How long the oldest pending job has been due; 0 without one.",
        [({"queue": name}, each.oldest_pending_age or 0.0) for name, each in stats.items()],
    )
    page.metric(
        "jobqueue_throughput",
        "gauge",
        "Jobs completed a second over the last minute, by all workers.",
        [({"queue": name}, each.throughput) for name, each in stats.items()],
    )
    page.metric("jobqueue_workers", "gauge", "Workers that are alive.", [({}, workers)])


def add_worker(
    page: Exposition, counters: Counters, in_flight: Mapping[tuple[str, str], int]
) -> None:
    """Add what this worker did, by queue and name of its jobs."""
    tallies = [({"queue": queue, "name": name}, each) for queue, name, each in counters.tallies]
    page.metric(
        "jobqueue_worker_attempts_total",
        "counter",
        "Attempts that ended in this worker; lost ones had no lease any more.",
        [
            ({**labels, "outcome": outcome}, count)
            for labels, each in tallies
            for outcome, count in each.outcomes.items()
        ],
    )
    page.histogram(
        "jobqueue_worker_run_seconds",
        "How long attempts ran.",
        [(labels, each.run_time) for labels, each in tallies],
    )
    page.histogram(
        "jobqueue_worker_wait_seconds",
        "How long jobs had been due when their attempts began.",
        [(labels, each.wait_time) for labels, each in tallies],
    )
    page.metric(
        "jobqueue_worker_in_flight",
        "gauge",
        "Jobs that run in this worker.",
        [({"queue": queue, "name": name}, n) for (queue, name), n in sorted(in_flight.items())],
    )
    _add_health(page, counters)


def _add_health(page: Exposition, counters: Counters) -> None:
    page.metric(
        "jobqueue_worker_broker_errors_total",
        "counter",
        "Calls that failed because of the broker: steps, and renewals of the leases.",
        [
            ({"call": "step"}, counters.broker_errors),
            ({"call": "heartbeat"}, counters.heartbeat_errors),
        ],
    )
    for name, kind, text, value in (
        ("refused_total", "counter", "Outcomes that came after the lease.", counters.refused),
        ("loop_blocked_total", "counter", "Blocked event loops seen.", counters.loop_blocked),
        ("loop_lag_seconds", "gauge", "How late the event loop answers.", counters.loop_lag),
    ):
        page.metric(f"jobqueue_worker_{name}", kind, text, [({}, value)])
