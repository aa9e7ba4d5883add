"""Before each call: the index is open, and the keyword side knows what the store knows.

The position in the store's changes moves on when they are taken over, not when they are read: a
fault or a cancellation in between leaves them to the next call. Calls that only read go on without
a keyword side that fails: what it would say is out of date, so it is not asked.
"""

import asyncio
from dataclasses import replace

from .._common.clock import Clock
from ..asking import Sides
from ..errors import BackendError
from ..ports import Changes, Position
from ..text.tokens import load_stemmer
from .reading import read

_PAUSE = 5.0
"""Seconds in which those who read leave a keyword side that failed alone: a try takes its time."""


class CatchUp:
    """Brings the keyword side to where the store is. Used on the home loop.

    Attributes:
        behind: Why the keyword side is not where the store is; None if it is.
    """

    def __init__(self, sides: Sides, *, create: bool, clock: Clock) -> None:
        """Follow ``sides.store``; ``create`` says whether a missing index may be made."""
        self._sides, self._create, self._clock = sides, create, clock
        self.behind: BackendError | None = None
        self._again = 0.0
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

    async def reading(self) -> None:
        """Do the same where the keyword side may be ``behind``.

        Raises:
            ConfigurationError: The index belongs to another model, or is missing.
            BackendError: The store failed.
        """
        try:
            await self(patient=True)
        except BackendError as exc:
            if exc is not self.behind:
                raise
            self._again = self._clock.monotonic() + _PAUSE

    async def __call__(self, *, patient: bool = False) -> None:
        """Open the index and take over what is new in it.

        Args:
            patient: Whether a keyword side that failed just now is left alone for a while.

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
            if patient and self.behind is not None and self._clock.monotonic() < self._again:
                return
            while True:
                changes = await store.refresh(keywords.position)
                if not (changes.reset or changes.upserted or changes.deleted):
                    self.behind = None
                    return
                # a task of its own: calls with short timeouts would begin a long one for ever
                self._taking = asyncio.create_task(self._take(changes), name="semsearch.catch_up")
                try:
                    await asyncio.shield(self._taking)
                except BackendError as exc:
                    self.behind = exc
                    raise
                self._taking = self.behind = None
                if not (changes.reset and keywords.capabilities.kept):
                    return
                # comparing takes its time, and what others wrote meanwhile may have been undone

    async def _take(self, changes: Changes) -> None:
        store, keywords = self._sides.store, self._sides.keywords
        if any(each.unread for each in changes.upserted):
            needed = set(await keywords.lacking(changes.upserted)) if changes.reset else None
            told = await read(store, changes.upserted, needed)
            changes = replace(changes, upserted=told)
        await keywords.apply(changes)
        self._sides.keywords.position = changes.position

    def detach(self) -> None:
        """Forget the old event loop, without I/O."""
        if self._taking is not None and not self._taking.done():
            self._sides.keywords.position = None  # half of it may be there
        self._opened, self._taking, self._lock = False, None, asyncio.Lock()
        self.behind = None

    async def aclose(self) -> None:
        """Wait for what a cancelled call left running."""
        if self._taking is not None:
            await asyncio.wait([self._taking])
