"""Operations in the memory of one process: the default, and the model for tests."""

import asyncio
import threading
from bisect import insort
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from ..models import Page, ProgressStatus
from ..ports import (
    Backplane,
    Beat,
    Capabilities,
    Created,
    Filters,
    Overdue,
    Position,
    ProgressStore,
    Record,
    Ring,
    Write,
    Written,
)
from . import tallies
from .page_cursors import after, cursor_of

_PROCESSING = ProgressStatus.PROCESSING


@dataclass
class _State:
    """What twins share; guarded by ``lock``. ``order`` is sorted, oldest first."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    records: dict[str, Record] = field(default_factory=dict)
    order: list[tuple[float, str]] = field(default_factory=list)
    children: dict[str, set[str]] = field(default_factory=dict)


class MemoryStore(ProgressStore):
    """Keeps records in a dict; twins on other event loops share it."""

    capabilities = Capabilities()

    def __init__(self, *, state: object = None) -> None:
        """Start empty.

        Args:
            state: What ``twin`` passes on; leave it out.
        """
        self._state = state if isinstance(state, _State) else _State()

    def twin(self) -> "MemoryStore":
        return MemoryStore(state=self._state)

    async def create(self, record: Record) -> Created:
        with self._state.lock:
            records = self._state.records
            if (known := records.get(record.id)) is not None:
                return Created("created" if known.token == record.token else "exists", known)
            if record.parent_id is not None and record.parent_id not in records:
                return Created("no_parent", None)
            made = tallies.created(records, record)
            insort(self._state.order, (made.created_at, made.id))
            if made.parent_id is not None:
                self._state.children.setdefault(made.parent_id, set()).add(made.id)
            return Created("created", made)

    async def write(self, writes: Sequence[Write]) -> Sequence[Written]:
        with self._state.lock:
            return [tallies.written(self._state.records, each.record) for each in writes]

    async def get_many(self, ids: Collection[str]) -> Mapping[str, Record]:
        records = self._state.records
        return {id: found for id in ids if (found := records.get(id)) is not None}

    async def positions(self, ids: Collection[str]) -> Mapping[str, Position]:
        return {id: record.position for id, record in (await self.get_many(ids)).items()}

    async def touch(self, beats: Sequence[Beat]) -> Sequence[bool | None]:
        with self._state.lock:
            return [self._touch(each) for each in beats]

    def _touch(self, beat: Beat) -> bool | None:
        found = self._state.records.get(beat.id)
        if found is None or found.status.is_final:
            return None
        if (found.epoch, found.writer) != (beat.epoch, beat.writer):
            return None
        self._state.records[beat.id] = msgspec.structs.replace(found, stale_at=beat.stale_at)
        return found.cancel_requested

    async def list_records(self, filters: Filters, limit: int, cursor: str | None) -> Page[Record]:
        below = after(cursor)
        with self._state.lock:
            found: list[Record] = []
            for place in reversed(self._state.order):
                record = self._state.records[place[1]]
                if (below is None or place < below) and _matches(record, filters):
                    found.append(record)
                    if len(found) > limit:
                        break
        return Page.of(found[:limit], cursor_of(found, limit))

    async def delete(self, id: str) -> Sequence[str]:
        with self._state.lock:
            gone = self._state.records.get(id)
            if gone is None:
                return []
            tallies.lift(self._state.records, gone, None, gone.ancestors, gone.updated_at)
            if gone.parent_id is not None:
                self._state.children.get(gone.parent_id, set()).discard(id)
            return self._remove(id)

    def _remove(self, id: str) -> list[str]:
        removed, rest = list[str](), [id]
        while rest:
            one = rest.pop()
            rest += self._state.children.pop(one, ())
            record = self._state.records.pop(one)
            self._state.order.remove((record.created_at, one))
            removed.append(one)
        return removed

    async def overdue(
        self, now: float, completed_before: float, failed_before: float, limit: int
    ) -> Overdue:
        with self._state.lock:
            records = list(self._state.records.values())
        stalled = [
            each.id
            for each in records
            if each.status is _PROCESSING and each.stale_at is not None and each.stale_at < now
        ]
        expired = [
            each.id
            for each in records
            if each.status.is_final
            and each.parent_id is None
            and (each.completed_at or 0.0)
            < (failed_before if each.status is ProgressStatus.FAILED else completed_before)
        ]
        return Overdue(stalled[:limit], expired[:limit])


def _matches(record: Record, filters: Filters) -> bool:
    return (
        filters.user_id in {None, record.user_id}
        and filters.parent_id in {None, record.parent_id}
        and filters.kind in {None, record.kind}
        and (not filters.statuses or record.status in filters.statuses)
    )


@dataclass
class _Bells:
    """The listeners of one backplane, on any event loop; keyed by their adapter object."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    rings: dict[int, tuple[asyncio.AbstractEventLoop, Ring]] = field(default_factory=dict)

    def ring(self, ids: Collection[str]) -> None:
        with self.lock:
            listeners = list(self.rings.values())
        for loop, ring in listeners:
            try:
                loop.call_soon_threadsafe(ring, ids)
            except RuntimeError:
                # its loop is closed: whoever listens next replaces it
                continue


class MemoryBackplane(Backplane):
    """Bells within one process; twins on other event loops hear each other."""

    capabilities = Capabilities()

    def __init__(self, *, bells: object = None) -> None:
        """Start with no listener.

        Args:
            bells: What ``twin`` passes on; leave it out.
        """
        self._bells = bells if isinstance(bells, _Bells) else _Bells()

    def twin(self) -> "MemoryBackplane":
        return MemoryBackplane(bells=self._bells)

    async def publish(self, ids: Collection[str]) -> None:
        self._bells.ring(ids)

    async def listen(self, ring: Ring, wanted: Callable[[], Collection[str]]) -> None:
        with self._bells.lock:
            self._bells.rings[id(self)] = (asyncio.get_running_loop(), ring)

    async def aclose(self) -> None:
        self.detach()

    def detach(self) -> None:
        self._bells.rings.pop(id(self), None)
