"""The list of exports in the memory of one process."""

import copy
from collections.abc import Mapping

import msgspec

from ..._common.clock import Clock, SystemClock
from ...models import ExportFilters, Page
from ...ports import HistoryCapabilities, HistoryStore, JobRecord
from .selection import matches


class MemoryHistory(HistoryStore):
    """Keeps records in a dict, in the order of their creation."""

    capabilities = HistoryCapabilities(notes=True)

    def __init__(self, *, clock: Clock | None = None) -> None:
        """Start empty.

        Args:
            clock: Tells when used tokens may be forgotten.
        """
        self._clock = clock or SystemClock()
        self._records: dict[str, JobRecord] = {}
        self._numbers: dict[str, int] = {}
        self._count = 0
        self._keys: dict[tuple[str | None, str], str] = {}
        self._used: dict[str, float] = {}
        self._notes: dict[str, dict[str, str]] = {}

    async def create(self, record: JobRecord) -> JobRecord:
        if (key := record.idempotency_key) is not None:
            if known := self._keys.get((record.user_id, key)):
                return _copy(self._records[known])
            self._keys[record.user_id, key] = record.id
        self._count += 1
        self._records[record.id], self._numbers[record.id] = _copy(record), self._count
        return record

    async def get(self, job_id: str) -> JobRecord | None:
        found = self._records.get(job_id)
        return None if found is None else _copy(found)

    async def save(self, record: JobRecord) -> bool:
        known = self._records.get(record.id)
        if known is None or known.fence != record.fence:
            return False
        record.fence += 1
        self._records[record.id] = _copy(record)
        return True

    async def list_records(
        self, filters: ExportFilters, limit: int, cursor: str | None
    ) -> Page[JobRecord]:
        before = self._count + 1 if cursor is None else int(cursor)
        found = [
            record
            for record in reversed(self._records.values())
            if self._numbers[record.id] < before and matches(record, filters)
        ]
        page = [_copy(record) for record in found[:limit]]
        more = len(found) > limit
        return Page.of(page, str(self._numbers[page[-1].id]) if more else None)

    async def delete(self, job_id: str) -> bool:
        record = self._records.pop(job_id, None)
        if record is None:
            return False
        self._numbers.pop(job_id, None)
        self._notes.pop(job_id, None)
        if record.idempotency_key is not None:
            self._keys.pop((record.user_id, record.idempotency_key), None)
        return True

    async def add_notes(self, job_id: str, notes: Mapping[str, str]) -> bool:
        if job_id not in self._records:
            return False
        kept = self._notes.setdefault(job_id, {})
        kept.update({name: text for name, text in notes.items() if name not in kept})
        return True

    async def get_notes(self, job_id: str, prefix: str = "") -> dict[str, str]:
        kept = self._notes.get(job_id, {})
        return {name: kept[name] for name in sorted(kept) if name.startswith(prefix)}

    async def drop_notes(self, job_id: str) -> None:
        self._notes.pop(job_id, None)

    async def due(self, now: float, limit: int) -> list[JobRecord]:
        found = [
            record
            for record in self._records.values()
            if (record.lease_until is not None and record.lease_until < now)
            or (record.delete_at is not None and record.delete_at < now)
        ]
        return [_copy(record) for record in found[:limit]]

    async def use_once(self, token: str, until: float) -> bool:
        if token in self._used:
            return False
        self._used[token] = until
        return True

    async def forget_used(self, now: float) -> None:
        self._used = {token: until for token, until in self._used.items() if until > now}


def _copy(record: JobRecord) -> JobRecord:
    return msgspec.structs.replace(
        record,
        warnings=list(record.warnings),
        metadata=dict(record.metadata),
        attached=copy.deepcopy(record.attached),
    )
