"""A shared level in memory that takes a turn of the event loop before each call, and after it."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from tiered_cache.ports import Read, TagVersion, Write
from tiered_cache.testing import MemoryRemote


class SteppingRemote(MemoryRemote):
    """Each call takes a turn of the loop before it is made, and one after it."""

    async def turn(self) -> None:
        """Let others go on; for tests to do something at that point."""
        await asyncio.sleep(0)

    async def read(self, keys: Sequence[str], tags: Sequence[str], *, fences: bool = True) -> Read:
        return await self._step(super().read(keys, tags, fences=fences))

    async def write(self, items: Sequence[Write]) -> Sequence[bool]:
        return await self._step(super().write(items))

    async def delete(self, keys: Sequence[str]) -> int:
        return await self._step(super().delete(keys))

    async def bump(self, tags: Sequence[str], *, soft: bool = False) -> Mapping[str, TagVersion]:
        return await self._step(super().bump(tags, soft=soft))

    async def acquire(self, name: str, token: str, ttl: float) -> bool:
        return await self._step(super().acquire(name, token, ttl))

    async def release(self, name: str, token: str) -> bool:
        return await self._step(super().release(name, token))

    async def _step(self, call: Any) -> Any:
        try:
            await self.turn()
        except asyncio.CancelledError:
            call.close()
            raise
        result = await call
        await self.turn()
        return result
