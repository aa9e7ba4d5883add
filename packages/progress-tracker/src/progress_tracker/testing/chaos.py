"""Adapters that fail on purpose."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..errors import BackendError
from ..models import Page
from ..ports import (
    Beat,
    Created,
    Filters,
    Overdue,
    ProgressStore,
    Record,
    Write,
    Written,
)


class ChaosStore(ProgressStore):
    """A store in front of a store that fails when it is told to. Twins fail with it.

    Attributes:
        faults: Shared by twins: ``down`` fails every call before it reaches the store,
            ``lose_answers`` fails that many writes after they did.
    """

    def __init__(self, inner: ProgressStore, faults: dict[str, Any] | None = None) -> None:
        """Stand in front of ``inner``."""
        self.inner = inner
        self.faults = {"down": False, "lose_answers": 0, "calls": 0} if faults is None else faults
        self.capabilities = inner.capabilities  # type: ignore[misc]  # as the wrapped one

    def twin(self) -> "ChaosStore":
        """Return a twin that fails at the same times."""
        return ChaosStore(self.inner.twin(), self.faults)

    def _before(self) -> None:
        self.faults["calls"] += 1
        if self.faults["down"]:
            raise BackendError("the store is down on purpose", retryable=True)

    def _after(self) -> None:
        if self.faults["lose_answers"] > 0:
            self.faults["lose_answers"] -= 1
            raise BackendError("the answer was lost on purpose", retryable=True)

    async def create(self, record: Record) -> Created:
        """Create, or fail."""
        self._before()
        made = await self.inner.create(record)
        self._after()
        return made

    async def write(self, writes: Sequence[Write]) -> Sequence[Written]:
        """Write, or fail."""
        self._before()
        made = await self.inner.write(writes)
        self._after()
        return made

    async def get_many(self, ids: Collection[str]) -> Mapping[str, Record]:
        """Read, or fail."""
        self._before()
        return await self.inner.get_many(ids)

    async def touch(self, beats: Sequence[Beat]) -> Sequence[bool | None]:
        """Touch, or fail."""
        self._before()
        return await self.inner.touch(beats)

    async def list_records(self, filters: Filters, limit: int, cursor: str | None) -> Page[Record]:
        """List, or fail."""
        self._before()
        return await self.inner.list_records(filters, limit, cursor)

    async def delete(self, id: str) -> Sequence[str]:
        """Delete, or fail."""
        self._before()
        return await self.inner.delete(id)

    async def overdue(
        self, now: float, completed_before: float, failed_before: float, limit: int
    ) -> Overdue:
        """Look, or fail."""
        self._before()
        return await self.inner.overdue(now, completed_before, failed_before, limit)

    async def aclose(self) -> None:
        """Close the wrapped store."""
        await self.inner.aclose()

    def detach(self) -> None:
        """Detach the wrapped store."""
        self.inner.detach()
