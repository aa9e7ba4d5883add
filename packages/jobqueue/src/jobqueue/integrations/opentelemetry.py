"""Metrics of OpenTelemetry: instruments that read the workers' counters when they are collected.

Nothing happens on the path of a job. Spans need no call: they are made wherever the application has
set up a tracer provider.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .._common.extras import require
from ..service import JobQueue
from ..worker import Worker

Point = tuple[float, dict[str, str]]


def instrument(queue: JobQueue, *, meter_provider: Any = None) -> None:
    """Offer the figures of the workers of ``queue`` in this process as metrics.

    Call it once, where the handlers are registered; workers may start and end later. How queues
    stand (``pending``, …) is not among them: asking the broker takes I/O, which instruments must
    not do. ``metrics_port`` and the dashboard have those.

    Args:
        queue: Whose workers.
        meter_provider: Of OpenTelemetry; the global one if None.

    Raises:
        MissingExtraError: OpenTelemetry's API is not installed.
    """
    metrics: Any = require("opentelemetry.metrics", dist="jobqueue", extra="otel")
    meter = metrics.get_meter("jobqueue", meter_provider=meter_provider)

    def observed(read: Callable[[Worker], Iterable[Point]]) -> Any:
        def callback(_options: Any) -> Iterator[Any]:
            sums: dict[tuple[tuple[str, str], ...], float] = {}
            for worker in list(queue.running):
                for value, attributes in read(worker):
                    key = tuple(attributes.items())
                    sums[key] = sums.get(key, 0) + value
            for key, value in sums.items():
                yield metrics.Observation(value, dict(key))

        return [callback]

    count, gauge = meter.create_observable_counter, meter.create_observable_gauge
    for name, read, unit, text in _COUNTERS:
        count(name, callbacks=observed(read), unit=unit, description=text)
    level = meter.create_observable_up_down_counter
    level(
        "jobqueue.worker.in_flight",
        callbacks=observed(_in_flight),
        unit="{job}",
        description="Jobs that run.",
    )
    gauge(
        "jobqueue.worker.loop_lag",
        callbacks=observed(lambda worker: [(worker.counters.loop_lag, {})]),
        unit="s",
        description="How late the worker's event loop answers.",
    )


def _named(queue: str, name: str) -> dict[str, str]:
    return {"messaging.destination.name": queue, "jobqueue.job.name": name}


def _attempts(worker: Worker) -> Iterator[Point]:
    for queue, name, tally in worker.counters.tallies:
        for outcome, count in tally.outcomes.items():
            yield count, {**_named(queue, name), "jobqueue.job.outcome": outcome}


def _run_time(worker: Worker) -> Iterator[Point]:
    for queue, name, tally in worker.counters.tallies:
        yield tally.run_time.total, _named(queue, name)


def _wait_time(worker: Worker) -> Iterator[Point]:
    for queue, name, tally in worker.counters.tallies:
        yield tally.wait_time.total, _named(queue, name)


def _in_flight(worker: Worker) -> Iterator[Point]:
    for (queue, name), count in worker.in_flight.items():
        yield count, _named(queue, name)


def _errors(worker: Worker) -> Iterator[Point]:
    yield worker.counters.broker_errors, {"jobqueue.call": "step"}
    yield worker.counters.heartbeat_errors, {"jobqueue.call": "heartbeat"}


def _refused(worker: Worker) -> Iterator[Point]:
    yield worker.counters.refused, {}


_COUNTERS = (
    ("jobqueue.worker.attempts", _attempts, "{attempt}", "Attempts that ended, by outcome."),
    ("jobqueue.worker.run_time", _run_time, "s", "Time that attempts ran, in all."),
    ("jobqueue.worker.wait_time", _wait_time, "s", "Time that jobs were due before, in all."),
    ("jobqueue.worker.broker_errors", _errors, "{error}", "Calls that failed by the broker."),
    ("jobqueue.worker.refused", _refused, "{outcome}", "Outcomes that came after the lease."),
)
