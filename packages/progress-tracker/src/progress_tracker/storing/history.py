"""What earlier operations of a kind teach: how long one takes, and what part each stage has."""

import statistics
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from .._common.clock import Clock
from ..errors import BackendError
from ..models import ProgressStatus
from ..ports import Filters, ProgressStore, Record

RUNS = 20
"""How many of the newest completed operations are looked at."""
_FRESH = 60.0
_KINDS = 256
_LEAST, _MOST = 0.001, 1000.0


@dataclass(slots=True)
class Durations:
    """The typical duration of each kind, asked for at most once a minute."""

    clock: Clock
    _known: OrderedDict[str, tuple[float, float | None]] = field(default_factory=OrderedDict)

    async def of(self, kind: str, store: ProgressStore) -> float | None:
        """Return the median of the seconds that the newest ones took; None if there are none.

        The store's failure is no reason for whoever only wants to begin: None then, too.
        """
        until, value = self._known.get(kind, (0.0, None))
        if until > self.clock.monotonic():
            return value
        try:
            value = duration(await newest(store, kind, RUNS))
        except BackendError:
            return None
        self._known[kind] = (self.clock.monotonic() + _FRESH, value)
        self._known.move_to_end(kind)
        while len(self._known) > _KINDS:
            self._known.popitem(last=False)
        return value


async def newest(store: ProgressStore, kind: str, runs: int) -> Sequence[Record]:
    """Return the newest completed operations of a kind."""
    return await store.list_records(
        Filters(kind=kind, statuses=(ProgressStatus.COMPLETED,)), runs, None
    )


def duration(runs: Sequence[Record]) -> float | None:
    """Return the median of the seconds from start to end; None without any."""
    spent = [
        each.completed_at - (each.state.started_at or each.created_at)
        for each in runs
        if each.completed_at is not None
    ]
    return max(0.0, statistics.median(spent)) if spent else None


def weights(runs: Sequence[Record], stages: Sequence[str] | None) -> dict[str, float]:
    """Return the stages' weights by the medians of their durations; their mean is 1.

    A stage of which nothing is known has the mean's weight. Empty if nothing is known of any.
    """
    spent: dict[str, list[float]] = {}
    for record in runs:
        for each in record.state.stages:
            if each.started_at is None or each.completed_at is None or each.skipped:
                continue
            spent.setdefault(each.name, []).append(max(0.0, each.completed_at - each.started_at))
    names = list(spent) if stages is None else list(stages)
    known = {name: statistics.median(spent[name]) for name in names if name in spent}
    mean = statistics.fmean(known.values()) if known else 0.0
    if mean <= 0:
        return {}
    return {name: round(min(_MOST, max(_LEAST, known.get(name, mean) / mean)), 3) for name in names}
