"""Transcript pages through tiered-cache: read often, changed seldom."""

import asyncio
import logging
from typing import Any

from tiered_cache import CacheProvider

from ..editing import revision_of
from ..library import Library

logger = logging.getLogger(__name__)


class Reader:
    """Transcripts as plain mappings, cached in every process and dropped when they change."""

    def __init__(self, cache: CacheProvider, library: Library) -> None:
        """Read from ``library`` through ``cache``."""

        @cache.cached(
            ttl=3600, tags=["transcript:{transcript_id}"], key="transcript:{transcript_id}"
        )
        async def read(transcript_id: str) -> dict[str, Any] | None:
            found = await asyncio.to_thread(library.load, transcript_id)
            if found is None:
                return None
            plain = found.to_dict()
            return plain | {"revision": revision_of(plain)}

        self._cache, self._read = cache, read

    async def read(self, transcript_id: str) -> dict[str, Any] | None:
        """Return a transcript, or None."""
        return await self._read(transcript_id)

    async def changed(self, transcript_id: str) -> None:
        """Forget a transcript in every process."""
        await self._cache.invalidate([f"transcript:{transcript_id}"])
        logger.info("studio.cache_invalidated", extra={"transcript_id": transcript_id})
