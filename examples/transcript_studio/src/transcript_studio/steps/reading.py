"""Transcript pages through tiered-cache: read often, changed seldom."""

import asyncio
from typing import Any

from tiered_cache import CacheProvider

from ..library import Library


class Reader:
    """Transcripts as plain mappings, cached in every process and dropped when they change."""

    def __init__(self, cache: CacheProvider, library: Library) -> None:
        """Read from ``library`` through ``cache``."""

        @cache.cached(ttl=3600, tags=["transcripts"], key="transcript:{transcript_id}")
        async def read(transcript_id: str) -> dict[str, Any] | None:
            found = await asyncio.to_thread(library.load, transcript_id)
            return None if found is None else found.to_dict()

        self._read: Any = read

    async def read(self, transcript_id: str) -> dict[str, Any] | None:
        """Return a transcript, or None."""
        found: dict[str, Any] | None = await self._read(transcript_id)
        return found

    async def changed(self, transcript_id: str) -> None:
        """Forget a transcript in every process."""
        await self._read.invalidate(transcript_id)
