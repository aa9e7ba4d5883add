"""From settings to the parts of a tracker."""

from collections.abc import Callable
from dataclasses import dataclass

from ._common.clock import Clock, new_id
from .backlog import Backlog
from .caching import CachedStore
from .engine import Counters, Engine
from .hub import Hub, Spawn
from .lane import Lane
from .models import ProgressOptions
from .ports import Backplane, ProgressStore, Record
from .registry import backplane_from_url, store_from_url
from .settings import Settings


@dataclass(frozen=True, slots=True)
class Parts:
    """What a configured tracker works with."""

    store: ProgressStore
    backplane: Backplane | None
    engine: Engine
    hub: Hub
    lane: Lane
    backlog: Backlog


def build(
    settings: Settings,
    *,
    store: ProgressStore | None,
    backplane: Backplane | None,
    clock: Clock,
    counters: Counters,
    make_record: Callable[[ProgressOptions], Record],
    spawn: Spawn,
) -> Parts:
    """Construct what ``settings`` describe around the adapters that are given; no I/O.

    Raises:
        ConfigurationError: A scheme or option is unknown.
        MissingExtraError: A library is not installed.
    """
    realtime = settings.realtime
    plain = store or store_from_url(settings.storage.url(), table=settings.storage.table)
    bell = backplane or backplane_from_url(realtime.backplane, plain, clock=clock)
    told = bell if realtime.enabled else None
    # the memory store is a cache already, and without a backplane nobody tells of changes
    cached = settings.cache.enabled and plain.capabilities.shared and told is not None
    cache = CachedStore(plain, ttl=settings.cache.ttl, clock=clock) if cached else None
    kept = cache or plain
    engine = Engine(
        store=kept, backplane=told, settings=settings, clock=clock, new_id=new_id,
        counters=counters, sleep=clock.sleep,
    )  # fmt: skip

    def twin() -> Engine:
        # in real time whatever the clock: nobody could move a fake one in the background
        return Engine(
            store=kept.twin(), backplane=None if told is None else told.twin(),
            settings=settings, clock=clock, new_id=new_id, counters=counters,
        )  # fmt: skip

    return Parts(
        store=kept,
        backplane=told,
        engine=engine,
        hub=Hub(engine, told, cache, clock=clock, spawn=spawn),
        lane=Lane(twin, make_record, settings),
        backlog=Backlog(engine, spawn),
    )
