"""The read cache: a store in front of a store."""

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence

from .._common.clock import Clock
from ..models import Page
from ..ports import Beat, Created, Filters, Overdue, Position, ProgressStore, Record, Write, Written

_SIZE = 256


class CachedStore(ProgressStore):
    """Answers ``get`` from memory for ``ttl`` seconds, unless it hears of a change.

    Own writes, also those of a twin, change the entry at once; other processes' are heard by the
    backplane: whoever listens to it asks for ``cached()`` and calls ``forget``. All other reads go
    to the store, and drop the entries that they find changed: whoever has read a state reads none
    that is older.
    """

    def __init__(
        self,
        inner: ProgressStore,
        *,
        ttl: float,
        clock: Clock,
        entries: "OrderedDict[str, tuple[float, Record]] | None" = None,
    ) -> None:
        """Stand in front of ``inner``.

        Args:
            inner: The store; closed with this one.
            ttl: Seconds that an entry is used.
            clock: Decides when it is over.
            entries: What ``twin`` passes on; leave it out.
        """
        self.inner, self._ttl, self._clock = inner, ttl, clock
        self._entries = OrderedDict[str, tuple[float, Record]]() if entries is None else entries
        # what the wrapped store can do, it can do behind a cache
        self.capabilities = inner.capabilities  # type: ignore[misc]  # the port's is per class
        self._listening = False

    def twin(self) -> "CachedStore":
        """Return a twin with the same entries."""
        return CachedStore(
            self.inner.twin(), ttl=self._ttl, clock=self._clock, entries=self._entries
        )

    def listening(self, *, now: bool) -> None:
        """Say whether changes of other processes are heard; while not, nothing is cached."""
        self._listening = now
        self._entries.clear()

    def cached(self) -> list[str]:
        """Return the ids whose changes must be heard."""
        return list(self._entries)

    def forget(self, ids: Collection[str] | None) -> None:
        """Drop entries; all of them if None. Safe for threads."""
        if ids is None:
            self._entries.clear()
            return
        for id in ids:
            self._entries.pop(id, None)

    async def get(self, id: str) -> Record | None:
        """Return the cached record, else what the store has."""
        entry = self._entries.get(id)
        if entry is not None and entry[0] > self._clock.monotonic():
            return entry[1]
        if not self._listening:
            return await self.inner.get(id)
        until = self._clock.monotonic() + self._ttl
        # entered before the read, so that a change during it is heard and drops the entry
        marker = self._entries[id] = (0.0, _NOBODY)
        found = await self.inner.get(id)
        if self._entries.get(id) is marker:
            if found is None:
                self._entries.pop(id, None)
            else:
                self._entries[id] = (until, found)
        while len(self._entries) > _SIZE:
            self._entries.popitem(last=False)
        return found

    def _seen(self, ids: Collection[str], found: Mapping[str, Position]) -> None:
        """Drop the entries of ``ids`` that are not at the position where they were found."""
        for id in ids:
            entry = self._entries.get(id)
            if entry is not None and entry[1].position != found.get(id):
                self._entries.pop(id, None)

    async def create(self, record: Record) -> Created:
        """Create, and drop what is cached of it and its ancestors."""
        made = await self.inner.create(record)
        self.forget([record.id, *record.ancestors])
        return made

    async def write(self, writes: Sequence[Write]) -> Sequence[Written]:
        """Write, and drop what is cached of them and their ancestors."""
        try:
            return await self.inner.write(writes)
        finally:
            for each in writes:
                self.forget([each.record.id, *each.record.ancestors])

    async def get_many(self, ids: Collection[str]) -> Mapping[str, Record]:
        """Ask the store."""
        found = await self.inner.get_many(ids)
        self._seen(ids, {id: record.position for id, record in found.items()})
        return found

    async def positions(self, ids: Collection[str]) -> Mapping[str, Position]:
        """Ask the store."""
        found = await self.inner.positions(ids)
        self._seen(ids, found)
        return found

    async def touch(self, beats: Sequence[Beat]) -> Sequence[bool | None]:
        """Ask the store."""
        return await self.inner.touch(beats)

    async def list_records(self, filters: Filters, limit: int, cursor: str | None) -> Page[Record]:
        """Ask the store."""
        page = await self.inner.list_records(filters, limit, cursor)
        found = {record.id: record.position for record in page}
        self._seen(found, found)
        return page

    async def delete(self, id: str) -> Sequence[str]:
        """Delete, and drop everything."""
        gone = await self.inner.delete(id)
        self.forget(None)  # the ancestors' sums changed too
        return gone

    async def overdue(
        self, now: float, completed_before: float, failed_before: float, limit: int
    ) -> Overdue:
        """Ask the store."""
        return await self.inner.overdue(now, completed_before, failed_before, limit)

    async def setup(self) -> None:
        """Set up the store."""
        await self.inner.setup()

    def schema_sql(self) -> str:
        """Return the store's schema."""
        return self.inner.schema_sql()

    async def aclose(self) -> None:
        """Drop everything and close the store."""
        self._entries.clear()
        await self.inner.aclose()

    def detach(self) -> None:
        """Drop everything and detach the store."""
        self._entries.clear()
        self.inner.detach()


_NOBODY = Record(id="")
