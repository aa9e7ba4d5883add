"""From settings to the parts of a tracker."""

from collections.abc import Callable
from dataclasses import dataclass

from .._common.clock import Clock, new_id
from ..handle.flusher import Flusher
from ..models import ProgressOptions
from ..ports import Backplane, ProgressStore, Record
from ..registry import backplane_from_url, store_from_url
from ..settings import Settings
from ..storing.kept_updates import KeptUpdates
from ..storing.operations import Counters, Operations
from ..storing.read_cache import CachedStore
from ..watching.topics import Spawn, Topics


@dataclass(frozen=True, slots=True)
class Parts:
    """What a configured tracker works with."""

    store: ProgressStore
    backplane: Backplane | None
    operations: Operations
    topics: Topics
    flusher: Flusher
    kept: KeptUpdates


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
    table = settings.storage.table
    bell = backplane or backplane_from_url(realtime.backplane, plain, clock=clock, table=table)
    told = bell if realtime.enabled else None
    # the memory store is a cache already, and without a backplane nobody tells of changes
    cached = settings.cache.enabled and plain.capabilities.shared and told is not None
    cache = CachedStore(plain, ttl=settings.cache.ttl, clock=clock) if cached else None
    kept = cache or plain
    operations = Operations(
        store=kept, backplane=told, settings=settings, clock=clock, new_id=new_id,
        counters=counters, sleep=clock.sleep,
    )  # fmt: skip

    def twin() -> Operations:
        # in real time whatever the clock: nobody could move a fake one in the background
        return Operations(
            store=kept.twin(), backplane=None if told is None else told.twin(),
            settings=settings, clock=clock, new_id=new_id, counters=counters,
        )  # fmt: skip

    return Parts(
        store=kept,
        backplane=told,
        operations=operations,
        topics=Topics(operations, told, cache, clock=clock, spawn=spawn),
        flusher=Flusher(twin, make_record, settings),
        kept=KeptUpdates(operations, spawn),
    )
