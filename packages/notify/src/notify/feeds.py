"""Live feeds: who waits for whose inbox, and the doorbell that wakes them."""

import asyncio
import contextlib
import functools
import itertools
import logging
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Generator
from typing import Any

from ._common.clock import Clock
from .errors import BackendError
from .models import InboxEvent
from .ports import Backplane, NotificationStore
from .records import to_event

logger = logging.getLogger(__name__)
_PAGE = 200
_HEAL = 20.0
_RETRY = 1.0
_TURNS = 20
Reader = Callable[[int], Coroutine[Any, Any, list[InboxEvent]]]


class _Room:
    """The feeds of one user: what is new is read once for all of them, before they are woken."""

    __slots__ = ("_again", "_page", "_reading", "bells", "heals", "tail", "turn")

    def __init__(self, turn: int) -> None:
        self.turn, self.heals, self.tail = turn, 0, 0
        self.bells: set[asyncio.Event] = set()
        self._page: tuple[int, list[InboxEvent]] | None = None
        self._reading: asyncio.Task[None] | None = None
        self._again = False

    def ring(self, read: Reader) -> None:
        """Wake the feeds; if there are several, as soon as one look has found what is new."""
        if len(self.bells) <= 1:
            self.wake()
        elif self._reading is not None:
            self._again = True
        else:
            self._reading = asyncio.get_running_loop().create_task(
                self._look(read), name="notify.page"
            )

    def page(self, place: int) -> list[InboxEvent] | None:
        """Return what comes after ``place``, if that is what was found last."""
        found = self._page
        return found[1] if found is not None and found[0] == place else None

    async def _look(self, read: Reader) -> None:
        try:
            place = self.tail
            while True:
                self._again = False
                try:
                    found = await read(place)
                except BackendError:
                    self.wake()  # each finds out by itself
                    return
                # who waits knows all up to here, or was rung
                if found:
                    self._page, place = (place, found), found[-1].seq
                    self._tell()
                if not self._again:
                    return
        finally:
            self._reading = None

    def wake(self) -> None:
        """Wake every feed, to look by itself."""
        self._page = None
        self._tell()

    def heal(self) -> None:
        """Wake every feed, to look also whether the sequence began anew."""
        self.heals += 1
        self.wake()

    def close(self) -> None:
        """Wake every feed, to end."""
        if self._reading is not None:
            self._reading.cancel()
        self.wake()

    def _tell(self) -> None:
        for bell in self.bells:
            bell.set()


class Feeds:
    """The open feeds of one instance; lives on its home loop."""

    def __init__(self, store: NotificationStore, backplane: Backplane, clock: Clock) -> None:
        """Read from ``store`` whenever ``backplane`` or this instance rings."""
        self._store, self._backplane, self._clock = store, backplane, clock
        self._rooms: dict[str, _Room] = {}
        self._closed = False
        self._turn = 0
        self._healing: asyncio.Task[None] | None = None
        self.count = 0

    def close(self) -> None:
        """End every feed."""
        self._closed = True
        if self._healing is not None:
            self._healing.cancel()
        for room in self._rooms.values():
            room.close()

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
        if users is None:
            for room in self._rooms.values():
                room.wake()
            return
        for user in users:
            if (known := self._rooms.get(user)) is not None:
                known.ring(functools.partial(self._read, user))

    def erased(self, user_id: str) -> None:
        """Let this process's feeds of a user begin anew; what they hold of before is forgotten."""
        if (room := self._rooms.get(user_id)) is not None:
            room.heal()

    async def listen(self) -> None:
        """Hear other processes until cancelled."""
        while True:
            try:
                await self._backplane.listen(self.heard)
            except BackendError as exc:
                logger.warning("backplane.failed", extra={"error": str(exc)})
                await self._clock.sleep(_RETRY)
                self.heard(None)

    async def _heal(self) -> None:
        """Ring by ourselves now and then, for rings that were lost; some of the users each time.

        One task for all feeds: a timer for each would cost more than the feed.
        """
        for turn in itertools.cycle(range(_TURNS)):
            await self._clock.sleep(_HEAL / _TURNS)
            for room in [each for each in self._rooms.values() if each.turn == turn]:
                room.heal()

    def _room(self, user_id: str) -> _Room:
        if (room := self._rooms.get(user_id)) is None:
            self._turn = (self._turn + 1) % _TURNS
            room = self._rooms[user_id] = _Room(self._turn)
        if self._healing is None and not self._closed:
            loop = asyncio.get_running_loop()
            self._healing = loop.create_task(self._heal(), name="notify.heal")
        return room

    @contextlib.contextmanager
    def _bell(self, user_id: str) -> Generator[tuple[asyncio.Event, _Room], None, None]:
        event, room = asyncio.Event(), self._room(user_id)
        room.bells.add(event)
        self.count += 1
        try:
            yield event, room
        finally:
            self.count -= 1
            room.bells.discard(event)
            if not room.bells:
                self._rooms.pop(user_id, None)
            if not self._rooms and self._healing is not None:
                self._healing.cancel()
                self._healing = None

    async def watch(
        self, user_id: str, since: int | None
    ) -> AsyncGenerator[InboxEvent | int, None]:
        """Yield the place where it begins, then every event after it, in order, once.

        Nothing is kept per feed: a slow reader reads later, from the store.
        """
        with self._bell(user_id) as (bell, room):
            # the bell hangs before the first look: what comes in between rings it
            first = await self._store.changes(user_id, since, _PAGE)
            heals, found = room.heals, [to_event(each) for each in first.events]
            place = first.seq if since is None else since
            if first.is_reset:
                place = 0  # the sequence began anew: the user was erased
                found = await self._read(user_id, place)
            yield place
            while not self._closed:
                for event in found:
                    place = event.seq
                    yield event
                if not found and room.heals != heals:
                    heals = room.heals
                    if await self._store.last_seq(user_id) < place:
                        place = 0  # as above, while we watched
                        found = await self._read(user_id, place)
                        continue
                room.tail = place
                if len(found) < _PAGE:  # else there may be more
                    await bell.wait()
                bell.clear()
                page = room.page(place)
                found = await self._read(user_id, place) if page is None else page

    async def _read(self, user_id: str, place: int) -> list[InboxEvent]:
        return [to_event(each) for each in await self._store.events(user_id, place, _PAGE)]
