"""Live feeds: who waits for whose inbox, and the doorbell that wakes them."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Collection, Generator

from ._common.clock import Clock, wait_event
from .errors import BackendError
from .models import InboxEvent
from .ports import Backplane, NotificationStore
from .records import to_event

logger = logging.getLogger(__name__)
_PAGE = 200
_HEAL = 20.0
_RETRY = 1.0


class Feeds:
    """The open feeds of one instance; lives on its home loop."""

    def __init__(self, store: NotificationStore, backplane: Backplane, clock: Clock) -> None:
        """Read from ``store`` whenever ``backplane`` or this instance rings."""
        self._store, self._backplane, self._clock = store, backplane, clock
        self._waiting: dict[str, set[asyncio.Event]] = {}
        self._closed = False
        self.count = 0

    def close(self) -> None:
        """End every feed."""
        self._closed = True
        self.heard(None)

    async def changed(self, users: Collection[str]) -> None:
        """Wake the feeds of ``users`` here and, after that, elsewhere."""
        self.heard(users)
        try:
            await self._backplane.publish(users)
        except BackendError as exc:
            # the change is stored: others find it at their next look
            logger.warning("backplane.failed", extra={"error": str(exc)})

    def heard(self, users: Collection[str] | None) -> None:
        """Wake the feeds of ``users``; None wakes all."""
        for user in self._waiting if users is None else users:
            for event in self._waiting.get(user, ()):
                event.set()

    async def listen(self) -> None:
        """Hear other processes until cancelled."""
        while True:
            try:
                await self._backplane.listen(self.heard)
            except BackendError as exc:
                logger.warning("backplane.failed", extra={"error": str(exc)})
                await self._clock.sleep(_RETRY)
                self.heard(None)

    @contextlib.contextmanager
    def _bell(self, user_id: str) -> Generator[asyncio.Event, None, None]:
        event = asyncio.Event()
        bells = self._waiting.setdefault(user_id, set())
        bells.add(event)
        self.count += 1
        try:
            yield event
        finally:
            self.count -= 1
            bells.discard(event)
            if not bells:
                self._waiting.pop(user_id, None)

    async def watch(
        self, user_id: str, since: int | None
    ) -> AsyncGenerator[InboxEvent | int, None]:
        """Yield the place where it begins, then every event after it, in order, once.

        Nothing is kept per feed: a slow reader reads later, from the store.
        """
        with self._bell(user_id) as bell:
            # the bell hangs before the first look: what comes in between rings it
            last = await self._store.last_seq(user_id)
            place = last if since is None else since
            if place > last:
                place = 0  # the sequence began anew: the user was erased
            yield place
            while not self._closed:
                bell.clear()
                found = await self._store.events(user_id, place, _PAGE)
                for record in found:
                    place = record.seq
                    yield to_event(record)
                if found or await wait_event(bell, _HEAL, self._clock):
                    continue
                if await self._store.last_seq(user_id) < place:
                    place = 0  # as above, while we watched
