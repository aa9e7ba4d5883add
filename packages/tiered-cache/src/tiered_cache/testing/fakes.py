"""A shared level that fails when it is told to."""

import asyncio
from collections.abc import Mapping, Sequence

from ..adapters.memory import MemoryRemote
from ..errors import BackendError
from ..ports import Read, TagVersion, Write


class FlakyRemote(MemoryRemote):
    """A shared level in memory that fails while ``down`` is true, or hangs while ``frozen`` is."""

    down = False
    frozen = False

    async def _fault(self) -> None:
        if self.frozen:
            await asyncio.Event().wait()
        if self.down:
            raise BackendError("down for a test", retryable=True)

    async def read(self, keys: Sequence[str], tags: Sequence[str], *, fences: bool = True) -> Read:
        """Fail, hang or read."""
        await self._fault()
        return await super().read(keys, tags, fences=fences)

    async def write(self, items: Sequence[Write]) -> Sequence[bool]:
        """Fail, hang or write."""
        await self._fault()
        return await super().write(items)

    async def delete(self, keys: Sequence[str]) -> int:
        """Fail, hang or delete."""
        await self._fault()
        return await super().delete(keys)

    async def bump(self, tags: Sequence[str], *, soft: bool = False) -> Mapping[str, TagVersion]:
        """Fail, hang or bump."""
        await self._fault()
        return await super().bump(tags, soft=soft)
