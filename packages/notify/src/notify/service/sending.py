"""Sending: one or many, stored before the call returns. What is stored is ``notify.outgoing``'s."""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from .._common.clock import wait_event
from .._common.home import at_home
from .._common.telemetry import correlation_id
from ..arguments import seconds_to_wait
from ..errors import BackendError, IdempotencyConflict, InvalidNotification, TemplateError
from ..models import Notification, SendResult
from ..records import to_notification
from ..stored import Added, Entry
from .deliveries import Deliveries

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Session

_CHUNK = 500
_AT_ONCE = 2
"""Chunks that are stored at a time, where they have no user in common."""
_TRIES = 100
_REMEMBERED = 1000  # preferences, for senders that send to the same users
_SLICE = 50  # notifications between two turns of the event loop


class Sending(Deliveries):
    """The way in."""

    async def send(
        self,
        notification: Notification,
        *,
        session: "Session | AsyncSession | None" = None,
        wait: float | timedelta = 0.0,
    ) -> SendResult:
        """Store a notification and one delivery per channel in one transaction.

        When this returns it is in the user's inbox (if in-app is among its channels), and each
        other channel will be tried until it ends in a named state.

        Args:
            notification: What to send.
            session: The caller's SQLAlchemy session on the same database: it is stored when, and
                only when, that one commits. Its rows go out with the next look of a worker.
            wait: Seconds to wait for the deliveries to end; the result shows how far they came.

        Returns:
            The stored notification and its deliveries.

        Raises:
            InvalidNotification: A field is empty, too long, unsafe or unknown.
            IdempotencyConflict: Its id or key belongs to other content.
            TemplateError: Its template is missing or fails.
            UnsupportedOperationError: The store cannot join the session.
            ConfigurationError: ``wait`` is no time or ``session`` none, or the settings cannot be
                followed.
            BackendError: The store failed; send again with the same id or key.
        """
        seconds = seconds_to_wait(wait)
        await self._subscriptions.ready()
        result = await self._send(notification, session)
        return await self._wait(result, seconds) if seconds > 0 and session is None else result

    @at_home
    async def _send(self, notification: Notification, session: Any) -> SendResult:
        from ..outgoing import result_of

        if session is None and getattr(notification, "template", None) is None:
            return result_of(*await self._store_one(notification))
        entry = await self._parts.sender.prepare(notification)
        added = (await self._store_all([entry], session))[0]
        return result_of(entry, added)

    async def _store_one(self, notification: Notification) -> tuple[Entry, Added]:
        """Decide by the user's preferences as they were last; the store says if they are others.

        It looks at them in the transaction that stores: there is nothing to ask before.
        """
        started, user = self.clock.monotonic(), str(getattr(notification, "user_id", ""))
        held = self._wishes.get(user)
        for _ in range(_TRIES):
            known = {} if held is None else {user: held}
            entry = await self._parts.sender.prepare(notification, known)
            added = await self.store.add_under(entry, held)
            if isinstance(added, Added):
                await self._stored([added], started)
                return entry, added
            held = added.data
            self._remember(user, held)
        raise BackendError("the user's preferences change all the time; try again", retryable=True)

    def _remember(self, user_id: str, wishes: bytes | None) -> None:
        self._wishes.pop(user_id, None)
        if len(self._wishes) >= _REMEMBERED:
            self._wishes.clear()
        if wishes is not None:
            self._wishes[user_id] = wishes

    async def send_bulk(self, notifications: Iterable[Notification]) -> list[SendResult]:
        """Send many; what is wrong with one does not stop the others.

        Returns:
            One result per notification, in their order; ``error`` says why one was refused.

        Raises:
            InvalidNotification: It is one notification, or another thing that is not many.
            BackendError: The store failed; send all again with the same ids or keys.
        """
        given: Any = notifications
        if isinstance(given, str) or not hasattr(given, "__iter__"):
            what = type(given).__name__
            raise InvalidNotification(f"send_bulk takes a list of notifications, not {what}")
        await self._subscriptions.ready()
        return await self._send_bulk(list(notifications))

    @at_home
    async def _send_bulk(self, notifications: Sequence[Notification]) -> list[SendResult]:
        results: list[SendResult] = []
        storing: deque[_Chunk] = deque()
        try:
            for start in range(0, len(notifications), _CHUNK):
                # while the store works on some chunks the next one is made
                chunk = _Chunk(await self._prepare_all(notifications[start : start + _CHUNK]))
                done: list[_Chunk] = []
                while storing and (len(storing) == _AT_ONCE or any(map(chunk.touches, storing))):
                    await storing[0].stored()
                    done.append(storing.popleft())
                storing.append(chunk)
                chunk.begin(self._store_all)
                for each in done:
                    results += await each.results()
            for chunk in storing:
                await chunk.stored()
                results += await chunk.results()
        finally:
            for chunk in storing:
                await chunk.end()
        return results

    async def _prepare_all(
        self, notifications: Sequence[Notification]
    ) -> "list[Entry | SendResult]":
        known = await self.store.get_many_preferences(users_of(notifications))
        prepared: list[Entry | SendResult] = []
        prepare, part_of = self._parts.sender.prepare, correlation_id()
        for place, each in enumerate(notifications):
            if place % _SLICE == 0:
                await asyncio.sleep(0)
            try:
                prepared.append(await prepare(each, known, lambda: part_of))
            except (InvalidNotification, TemplateError) as exc:
                prepared.append(SendResult(each, error=exc))
        return prepared

    async def _store_all(self, entries: Sequence[Entry], session: Any) -> Sequence[Added]:
        started = self.clock.monotonic()
        added = await self.store.add(entries, session)
        await self._stored(added, started, rings=session is None)
        return added

    async def _stored(self, added: Sequence[Added], started: float, *, rings: bool = True) -> None:
        """Tell of what is stored: those who watch, the worker, and the figures."""
        self._latency = 0.9 * self._latency + 0.1 * (self.clock.monotonic() - started)
        fresh = [each for each in added if each.created]
        self._sent += len(fresh)
        users = {each.record.user_id for each in fresh if each.record.seq is not None}
        if users and rings:
            await self._parts.feeds.changed(users)
        if any(not each.status.is_final for one in fresh for each in one.deliveries):
            self._wake_worker()
        self._upkeep()

    @at_home
    async def _wait(self, result: SendResult, seconds: float) -> SendResult:
        until = self.clock.monotonic() + seconds
        while True:
            self._settled.clear()
            rows = await self._deliveries(result.id)
            left = until - self.clock.monotonic()
            if left <= 0 or all(each.status.is_final for each in rows):
                found = await self.store.get(result.id, None)
                # deleted meanwhile: it was sent all the same
                note = result.notification if found is None else to_notification(found)
                return SendResult(note, tuple(rows), result.duplicate)
            # another process may deliver it: look now and then
            await wait_event(self._settled, min(left, 0.1), self.clock)


class _Chunk:
    """Notifications that are being stored, and what becomes of each."""

    def __init__(self, prepared: "Sequence[Entry | SendResult]") -> None:
        """Store, once begun, what is not refused already."""
        self._prepared = prepared
        self._entries = [each for each in prepared if isinstance(each, Entry)]
        records = [each.record for each in self._entries]
        self.names: set[str | None] = {each.user_id for each in records}
        self.names |= {each.id for each in records}
        self.names |= {each.idempotency_key for each in records}
        self.names.discard(None)
        self._task: asyncio.Task[Sequence[Added]] | None = None
        self._added: Sequence[Added] = ()

    def touches(self, other: "_Chunk") -> bool:
        """Whether both have a user, an id or a key in common, so that their order matters."""
        return not self.names.isdisjoint(other.names)

    def begin(
        self, store: "Callable[[Sequence[Entry], None], Coroutine[Any, Any, Sequence[Added]]]"
    ) -> None:
        """Begin to store them."""
        if self._entries:
            self._task = asyncio.create_task(store(self._entries, None), name="notify.store")

    async def stored(self) -> None:
        """Wait until they are stored."""
        if self._task is not None:
            self._added = await self._task

    async def results(self) -> list[SendResult]:
        """Return one result per notification."""
        stored, made = iter(self._added), list[SendResult]()
        for place, each in enumerate(self._prepared):
            if place % _SLICE == 0:
                await asyncio.sleep(0)
            made.append(
                each if isinstance(each, SendResult) else _result_or_error(each, next(stored))
            )
        return made

    async def end(self) -> None:
        """Break off what is not stored yet."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


def users_of(notifications: Sequence[Any]) -> set[str]:
    """Return whom they are to, as far as they are to anybody; they are checked later."""
    given = (getattr(each, "user_id", None) for each in notifications)
    return {each for each in given if isinstance(each, str) and each.isprintable()}


def _result_or_error(entry: Entry, added: Added) -> SendResult:
    from ..outgoing import result_of

    try:
        return result_of(entry, added)
    except IdempotencyConflict as exc:
        return SendResult(to_notification(entry.record), error=exc)
