"""What the queue must reach, and whether it did."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

from .contenders import OURS, RAW
from .results import Figure, Results

MEASURES: Final = {
    "drain": "no-op jobs, results kept: jobs a second",
    "drain-off": "no-op jobs, results off: jobs a second",
    "enqueue": "enqueue one by one, awaited: jobs a second",
    "enqueue-many": "enqueue_many, a thousand a call: jobs a second",
    "latency": "idle latency: milliseconds from enqueue to the handler, median",
    "recovery": "seconds from SIGKILL of a worker to the next run of its job",
    "import": "import over bare asyncio: milliseconds",
    "backlog": "claim of ten over a million queued jobs: milliseconds",
}
FASTER_IS_MORE: Final = frozenset({"drain", "drain-off", "enqueue", "enqueue-many"})


@dataclass(frozen=True)
class Bar:
    """One demand.

    Attributes:
        measure: Of what.
        backend: Where.
        limit: At least (rates) or at most (times) this.
        what: What is compared with it: the figure itself, or a ratio.
        value: Returns that from the results; None if it was not measured.
    """

    measure: str
    backend: str
    limit: float
    what: str
    value: Callable[[Results, "Bar"], float | None]

    @property
    def at_least(self) -> bool:
        """Whether more is better."""
        return self.measure in FASTER_IS_MORE


def ours(results: Results, measure: str, backend: str, variant: str = "tuned") -> Figure | None:
    """Return our own figure."""
    found = [each for each in results.of(measure, backend) if each.peer == OURS]
    return next((each for each in found if each.variant == variant), None)


def best_peer(results: Results, measure: str, backend: str) -> Figure | None:
    """Return the best figure of the others, the raw client left out."""
    known = [
        each
        for each in results.of(measure, backend)
        if each.peer not in {OURS, RAW} and each.median is not None
    ]
    choose = max if measure in FASTER_IS_MORE else min
    return choose(known, key=lambda each: each.median or 0.0, default=None)


def _own(results: Results, bar: Bar) -> float | None:
    found = ours(results, bar.measure, bar.backend)
    return found.median if found else None


def _against(other: Figure | None, results: Results, bar: Bar) -> float | None:
    own = _own(results, bar)
    return own / other.median if own and other and other.median else None


def _against_best(results: Results, bar: Bar) -> float | None:
    return _against(best_peer(results, bar.measure, bar.backend), results, bar)


def _against_raw(results: Results, bar: Bar) -> float | None:
    raw = [each for each in results.of(bar.measure, bar.backend) if each.peer == RAW]
    return _against(raw[0] if raw else None, results, bar)


def _extra(name: str, variant: str = "tuned") -> Callable[[Results, Bar], float | None]:
    def value(results: Results, bar: Bar) -> float | None:
        found = ours(results, bar.measure, bar.backend, variant)
        return found.extra.get(name) if found else None

    return value


def _claim_ratio(results: Results, bar: Bar) -> float | None:
    found = ours(results, bar.measure, bar.backend)
    if found is None or "claim_ms_over_all" not in found.extra:
        return None
    return float(found.extra["claim_ms_over_all"] / found.extra["claim_ms_over_thousand"])


def _growth(results: Results, bar: Bar) -> float | None:
    found = ours(results, bar.measure, bar.backend)
    if found is None or "memory_mib_end" not in found.extra:
        return None
    return float(found.extra["memory_mib_end"] / found.extra["memory_mib_early"])


def _default(results: Results, bar: Bar) -> float | None:
    found = ours(results, bar.measure, bar.backend, "default")
    return found.median if found else None


_JOBS, _BEST = "jobs/s", "x the best peer"
BARS: Final = (
    Bar("drain", "redis", 28_000, _JOBS, _own),
    Bar("drain", "redis", 7, _BEST, _against_best),
    Bar("drain", "postgres", 30_000, _JOBS, _own),
    Bar("drain", "postgres", 1.3, _BEST, _against_best),
    Bar("drain", "sqlite", 5_000, _JOBS, _own),
    Bar("drain-off", "redis", 40_000, _JOBS, _own),
    Bar("drain-off", "redis", 5, _BEST, _against_best),
    Bar("drain-off", "postgres", 35_000, _JOBS, _own),
    Bar("enqueue-many", "redis", 70_000, _JOBS, _own),
    Bar("enqueue-many", "postgres", 90_000, _JOBS, _own),
    Bar("enqueue", "redis", 0.8, "x a raw LPUSH loop", _against_raw),
    Bar("enqueue", "postgres", 0.8, "x a raw INSERT loop", _against_raw),
    Bar("latency", "redis", 1.2, "ms, median", _extra("p50", "default")),
    Bar("latency", "redis", 3, "ms, 99th percentile", _extra("p99", "default")),
    Bar("latency", "postgres", 2.5, "ms, median", _extra("p50", "default")),
    Bar("latency", "postgres", 6, "ms, 99th percentile", _extra("p99", "default")),
    Bar("recovery", "redis", 12, "s", _default),
    Bar("recovery", "postgres", 12, "s", _default),
    Bar("import", "memory", 60, "ms", _own),
    Bar("backlog", "redis", 2, "x a claim over a thousand", _claim_ratio),
    Bar("backlog", "postgres", 2, "x a claim over a thousand", _claim_ratio),
    Bar("backlog", "sqlite", 2, "x a claim over a thousand", _claim_ratio),
    Bar("backlog", "redis", 1.1, "x the worker's memory early on", _growth),
    Bar("backlog", "postgres", 1.1, "x the worker's memory early on", _growth),
    Bar("backlog", "sqlite", 1.1, "x the worker's memory early on", _growth),
)


def judge(results: Results) -> Iterator[dict[str, Any]]:
    """Yield, for each bar that was measured, what was reached and whether that is enough."""
    for bar in BARS:
        value = bar.value(results, bar)
        if value is None:
            continue
        met = value >= bar.limit if bar.at_least else value <= bar.limit
        told = {name: part for name, part in asdict(bar).items() if name != "value"}
        yield {**told, "at_least": bar.at_least, "measured": value, "met": met}
