"""Before each call: the index is open, and the keyword side knows what the store knows.

The position in the store's changes moves on when they are taken over, not when they are read: a
fault or a cancellation in between leaves them to the next call.
"""

import asyncio

from ..asking import Sides
from ..ports import Changes, Position
from ..text.tokens import load_stemmer


class CatchUp:
    """Brings the keyword side to where the store is. Used on the home loop."""

    def __init__(self, sides: Sides, *, create: bool) -> None:
        """Follow ``sides.store``; ``create`` says whether a missing index may be made."""
        self._sides, self._create = sides, create
        self._opened = False
        self._lock = asyncio.Lock()
        self._taking: asyncio.Task[None] | None = None

    def follow(self, sides: Sides) -> None:
        """Follow another store, which is open."""
        self._sides = sides

    @property
    def position(self) -> Position:
        """How far both sides are; another one means that answers may differ."""
        return self._sides.keywords.position

    async def __call__(self) -> None:
        """Open the index and take over what is new in it.

        Raises:
            ConfigurationError: The index belongs to another model, or is missing.
            BackendError: The store or the keyword side failed.
        """
        store, keywords = self._sides.store, self._sides.keywords
        async with self._lock:
            if self._taking is not None:
                # left running by a call that was cancelled; a fault of it is met again below
                await asyncio.wait([self._taking])
                self._taking = None
            if not self._opened:
                dimension = await self._sides.vectors.dimension()
                model = self._sides.vectors.embedder.model_id
                await store.open(model, dimension, create=self._create)
                await asyncio.to_thread(load_stemmer, self._sides.settings.language)
                self._opened = True
            while True:
                changes = await store.refresh(keywords.position)
                if not (changes.reset or changes.upserted or changes.deleted):
                    return
                # a task of its own: calls with short timeouts would begin a long one for ever
                self._taking = asyncio.create_task(self._take(changes), name="semsearch.catch_up")
                await asyncio.shield(self._taking)
                self._taking = None
                if not (changes.reset and keywords.capabilities.kept):
                    return
                # comparing takes its time, and what others wrote meanwhile may have been undone

    async def _take(self, changes: Changes) -> None:
        await self._sides.keywords.apply(changes)
        self._sides.keywords.position = changes.position

    def detach(self) -> None:
        """Forget the old event loop, without I/O."""
        if self._taking is not None and not self._taking.done():
            self._sides.keywords.position = None  # half of it may be there
        self._opened, self._taking, self._lock = False, None, asyncio.Lock()

    async def aclose(self) -> None:
        """Wait for what a cancelled call left running."""
        if self._taking is not None:
            await asyncio.wait([self._taking])
