"""The service: what applications call."""

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from ._common.clock import Clock, NewId, SystemClock, new_id, wait_event
from ._common.home import at_home, stream_at_home
from ._common.lifecycle import Adapter, Service
from .errors import (
    ConfigurationError,
    IdempotencyConflict,
    InvalidNotification,
    NotificationNotFound,
    TemplateError,
)
from .models import (
    Delivery,
    DeliveryFilters,
    DeliveryStatus,
    EventKind,
    Explanation,
    InboxEvent,
    Notification,
    NotificationFilters,
    NotificationPreferences,
    NotificationStats,
    Page,
    SendResult,
)
from .ports import (
    Backplane,
    Channel,
    NotificationStore,
    RecipientDirectory,
)
from .preferences import decode, encode, from_mapping
from .records import to_delivery, to_notification
from .settings import Settings
from .stored import (
    Added,
    Claimed,
    Entry,
    Verdict,
)
from .subscribing import Callback, Subscriptions
from .validation import check_preferences

if TYPE_CHECKING:
    # at run time with the first operation: importing the package stays cheap
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Session

    from .assembly import Assembled
    from .delivery import Worker
    from .sending import Sender

_UPKEEP = 60.0
_CHUNK = 500
_REPLAYED = (DeliveryStatus.DEAD, DeliveryStatus.INVALID, DeliveryStatus.SUPPRESSED)


class NotificationService(Service[Settings, "Assembled"]):
    """Sends notifications, keeps them, and delivers them over the channels that users want.

    Safe for several event loops and threads; subscribers are called where they subscribed.
    """

    settings_type = Settings
    durable_example = "sqlite:///notifications.db"

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        store: NotificationStore | None = None,
        backplane: Backplane | None = None,
        channels: Sequence[Channel] = (),
        directory: RecipientDirectory | None = None,
        clock: Clock | None = None,
        new_id: NewId = new_id,
        rng: random.Random | None = None,
    ) -> None:
        """Make a service; no I/O.

        Args:
            settings: How it works; found in the environment at the first operation if None.
            store: A ready store, in place of the one that the settings name.
            backplane: A ready backplane; the one that fits the store if None.
            channels: Ready channels, before those of the settings; several of one name are tried
                in order.
            directory: Where users are reached; nobody is, if None.
            clock: Decides when things are due.
            new_id: Makes the ids of deliveries.
            rng: Jitter of retries.
        """
        super().__init__(settings)
        self.clock = clock or SystemClock()
        self._given = store, backplane
        self._channels, self._directory = tuple(channels), directory
        self._own_parts = self._channels, directory
        self._new_id, self._rng = new_id, rng or random.Random()
        self._subscriptions = Subscriptions()
        self._worker: Worker | None = None
        self._workers: set[Worker] = set()
        self._settled = asyncio.Event()
        self._next_upkeep = 0.0
        self._sent, self._latency = 0, 0.0
        self._calls = self._failures = 0
        self._listening = False

    @classmethod
    def from_url(cls, url: str, **kwargs: Any) -> Self:
        """Return a service on the store of ``url``: ``memory://``, ``sqlite:///n.db``.

        Args:
            url: The store.
            kwargs: As for the constructor: ``channels=[…]``, ``directory=…``.

        Raises:
            ConfigurationError: The URL has no scheme. Whether the scheme is known turns out at the
                first operation.
        """
        return cls(Settings.from_url(url), **kwargs)

    def configure(
        self,
        settings: Settings | Mapping[str, Any] | str | None = None,
        *,
        channels: Sequence[Channel] | None = None,
        directory: RecipientDirectory | None = None,
    ) -> None:
        """Set the configuration, before the first operation.

        Args:
            settings: The package's ``Settings``, a mapping as in its YAML, or a URL; as it is if
                None.
            channels: As for the constructor; as they are if None.
            directory: As for the constructor; as it is if None.

        Raises:
            ConfigurationError: The settings are wrong, or the instance is in use.
        """
        if self._built is not None:
            raise ConfigurationError("configure() comes before the first operation; aclose() first")
        if settings is not None:
            super().configure(settings)
        self._channels = self._channels if channels is None else tuple(channels)
        self._directory = self._directory if directory is None else directory

    def _is_volatile(self) -> bool:
        return self._given[0] is None

    def _build(self, settings: Settings) -> "Assembled":
        from .assembly import assemble

        return assemble(
            settings,
            store=self._given[0],
            backplane=self._given[1],
            channels=self._channels,
            directory=self._directory,
            clock=self.clock,
            rng=self._rng,
        )

    def _adapters(self, parts: "Assembled") -> Iterable[Adapter]:
        return parts.adapters

    @property
    def store(self) -> NotificationStore:
        """The store in use."""
        return self._parts.store

    @at_home
    async def setup(self) -> None:
        """Create or upgrade the store's tables (servers; embedded stores do it themselves)."""
        await self.store.setup()

    # -- sending -----------------------------------------------------------------------------

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
            BackendError: The store failed; send again with the same id or key.
        """
        await self._subscriptions.ready()
        result = await self._send(notification, session)
        seconds = wait.total_seconds() if isinstance(wait, timedelta) else wait
        return await self._wait(result, seconds) if seconds > 0 and session is None else result

    @at_home
    async def _send(self, notification: Notification, session: Any) -> SendResult:
        from .sending import result_of

        entry = await self._sender.prepare(notification)
        added = (await self._store_all([entry], session))[0]
        return result_of(entry, added)

    async def send_bulk(self, notifications: Iterable[Notification]) -> list[SendResult]:
        """Send many; what is wrong with one does not stop the others.

        Returns:
            One result per notification, in their order; ``error`` says why one was refused.

        Raises:
            BackendError: The store failed; send all again with the same ids or keys.
        """
        await self._subscriptions.ready()
        return await self._send_bulk(list(notifications))

    @at_home
    async def _send_bulk(self, notifications: Sequence[Notification]) -> list[SendResult]:
        results: list[SendResult] = []
        for start in range(0, len(notifications), _CHUNK):
            prepared: list[Entry | SendResult] = []
            for each in notifications[start : start + _CHUNK]:
                try:
                    prepared.append(await self._sender.prepare(each))
                except (InvalidNotification, TemplateError) as exc:
                    prepared.append(SendResult(each, error=exc))
            entries = [each for each in prepared if isinstance(each, Entry)]
            stored = iter(await self._store_all(entries, None) if entries else ())
            results += [
                each if isinstance(each, SendResult) else _result_or_error(each, next(stored))
                for each in prepared
            ]
        return results

    @property
    def _sender(self) -> "Sender":
        from .sending import Sender

        parts = self._parts
        return Sender(parts.store, parts.delivery, parts.known, self.clock, self._new_id)

    async def _store_all(self, entries: Sequence[Entry], session: Any) -> Sequence[Added]:
        started = self.clock.monotonic()
        added = await self.store.add(entries, session)
        self._latency = 0.9 * self._latency + 0.1 * (self.clock.monotonic() - started)
        fresh = [each for each in added if each.created]
        self._sent += len(fresh)
        users = {each.record.user_id for each in fresh if each.record.seq is not None}
        if users and session is None:
            await self._parts.feeds.changed(users)
        if any(not each.status.is_final for one in fresh for each in one.deliveries):
            self._wake_worker()
        self._upkeep()
        return added

    @at_home
    async def _wait(self, result: SendResult, seconds: float) -> SendResult:
        until = self.clock.monotonic() + seconds
        while True:
            self._settled.clear()
            rows = await self._deliveries(result.id)
            left = until - self.clock.monotonic()
            if left <= 0 or all(each.status.is_final for each in rows):
                note = await self.get(result.id)
                return SendResult(note, tuple(rows), result.duplicate)
            # another process may deliver it: look now and then
            await wait_event(self._settled, min(left, 0.1), self.clock)

    # -- the inbox ---------------------------------------------------------------------------

    @at_home
    async def get(self, notification_id: str, user_id: str | None = None) -> Notification:
        """Return a notification.

        Raises:
            NotificationNotFound: There is none, or it is another user's than ``user_id``.
        """
        found = await self.store.get(notification_id, user_id)
        if found is None:
            raise _not_found(notification_id)
        return to_notification(found)

    @at_home
    async def get_user_notifications(
        self,
        user_id: str,
        unread_only: bool = False,  # noqa: FBT001, FBT002  the specification's signature
        limit: int = 50,
        *,
        filters: NotificationFilters | None = None,
        cursor: str | None = None,
    ) -> Page[Notification]:
        """Return the inbox of a user, newest first; ``.next_cursor`` leads to the next page.

        Without attachments; :meth:`get` gives them.

        Raises:
            ConfigurationError: ``limit`` is not between 1 and 500, or ``cursor`` is not ours.
        """
        _check_page(limit)
        if cursor is not None and not (cursor.isdecimal() and len(cursor) < 19):
            raise ConfigurationError(f"not a cursor: {cursor[:40]!r}")
        chosen = filters or NotificationFilters()
        if unread_only and not chosen.unread_only:
            chosen = NotificationFilters(
                True,
                chosen.type,
                chosen.category,
                chosen.since,
                chosen.before,
                chosen.archived,
            )
        below = None if cursor is None else int(cursor)
        page = await self.store.list_inbox(user_id, chosen, limit, below)
        return Page.of([to_notification(each) for each in page], page.next_cursor)

    async def mark_as_read(self, notification_id: str, user_id: str) -> None:
        """Mark a notification read; its deliveries that have not gone out are cancelled.

        Whether they are is an option of its category.

        Raises:
            NotificationNotFound: There is none, or it is another user's.
        """
        await self._mark(notification_id, user_id, "read")

    async def archive(self, notification_id: str, user_id: str) -> None:
        """Put a notification away: out of the list and of the unread count.

        Raises:
            NotificationNotFound: There is none, or it is another user's.
        """
        await self._mark(notification_id, user_id, "archived")

    async def delete(self, notification_id: str, user_id: str) -> None:
        """Remove a notification with its deliveries, also those that have not gone out.

        Raises:
            NotificationNotFound: There is none, or it is another user's.
        """
        await self._mark(notification_id, user_id, "deleted")

    @at_home
    async def _mark(self, notification_id: str, user_id: str, kind: EventKind) -> None:
        cancel = False
        if kind == "read":
            found = await self.store.get(notification_id, user_id)
            if found is None:
                raise _not_found(notification_id)
            cancel = self._parts.delivery.layers.cancels().holds(found.category)
        done = await self.store.mark(
            user_id, notification_id, kind, self.clock.time(), cancel=cancel
        )
        if done is None:
            raise _not_found(notification_id)
        if done:
            await self._parts.feeds.changed({user_id})

    @at_home
    async def mark_all_as_read(
        self, user_id: str, before: datetime | None = None, category: str | None = None
    ) -> int:
        """Mark the inbox read (what is older than ``before``, of ``category``); return how many."""
        moment = None if before is None else before.timestamp()
        cancels = self._parts.delivery.layers.cancels()
        count = await self.store.mark_all(user_id, moment, category, self.clock.time(), cancels)
        if count:
            await self._parts.feeds.changed({user_id})
        return count

    @at_home
    async def unread_count(self, user_id: str) -> int:
        """Return how many notifications of the inbox are neither read nor archived."""
        return await self.store.unread(user_id)

    @stream_at_home
    async def _watch(
        self, user_id: str, since: int | None
    ) -> AsyncGenerator[InboxEvent | None, None]:
        parts = self._parts
        if not self._listening:
            self._listening = True
            self._spawn(parts.feeds.listen(), "notify.listen").add_done_callback(self._deaf)
        stream = parts.feeds.watch(user_id, since)
        try:
            async for event in stream:
                yield event
        finally:
            await stream.aclose()

    def _deaf(self, _: "asyncio.Task[Any]") -> None:
        self._listening = False

    async def watch(
        self, user_id: str, since: int | None = None
    ) -> AsyncGenerator[InboxEvent, None]:
        """Yield what happens in a user's inbox, without end.

        Args:
            user_id: Whose inbox.
            since: The ``seq`` of the last event that is known: what was missed comes first, in
                order and exactly. None begins now, 0 at the beginning.
        """
        stream = self._watch(user_id, since)
        try:
            async for event in stream:
                if event is not None:
                    yield event
        finally:
            await stream.aclose()

    def subscribe(
        self, user_id: str, callback: Callable[[Notification], Awaitable[None] | None]
    ) -> Callable[[], None]:
        """Call ``callback`` with every notification that enters the user's inbox from now on.

        On the event loop that runs now, one at a time; what it raises is logged.

        Returns:
            A function that ends the subscription; it may be called anywhere on that loop.

        Raises:
            RuntimeError: No event loop is running.
        """
        kept: Callback = callback
        return self._subscriptions.add(lambda: self._watch(user_id, None), kept)

    # -- preferences -------------------------------------------------------------------------

    @at_home
    async def set_preferences(
        self, user_id: str, preferences: NotificationPreferences | Mapping[str, Any]
    ) -> None:
        """Store what a user wants; it holds at once, also for what waits in the outbox.

        Raises:
            InvalidPreferences: A channel, zone or quiet hour does not exist.
        """
        prefs = from_mapping(preferences) if isinstance(preferences, Mapping) else preferences
        check_preferences(prefs, self._parts.known)
        await self.store.set_preferences(user_id, encode(prefs), self.clock.time())

    @at_home
    async def get_preferences(self, user_id: str) -> NotificationPreferences:
        """Return what a user wants, with the defaults where they say nothing."""
        stored = decode(await self.store.get_preferences(user_id))
        return self._parts.delivery.layers.effective(stored)

    # -- delivering --------------------------------------------------------------------------

    def _wake_worker(self) -> None:
        for worker in self._workers:
            worker.bell.set()
        if not self.settings.delivery.background or self._worker is not None:
            return
        self._worker = worker = self._make_worker()
        self._workers.add(worker)
        task = self._spawn(worker.run(self._upkeep), "notify.worker")
        task.add_done_callback(lambda _: self._background_ended(worker))

    def _background_ended(self, worker: "Worker") -> None:
        if self._worker is worker:
            self._worker = None
            self._workers.discard(worker)
            self._count(worker)

    def _make_worker(self) -> "Worker":
        from .delivery import Worker

        return Worker(self.store, self._parts.delivery, settled=self._recorded)

    def _recorded(self, ended: Sequence[tuple[Claimed, Verdict]]) -> None:
        self._settled.set()
        users = {
            claimed.delivery.user_id
            for claimed, verdict in ended
            if claimed.delivery.channel == "in-app" and verdict.status is DeliveryStatus.DELIVERED
        }
        if users:
            self._spawn(self._parts.feeds.changed(users), "notify.ring")

    @at_home
    async def run(self) -> None:
        """Deliver what any process puts into the outbox, until cancelled. Any number may run."""
        worker = self._make_worker()
        self._workers.add(worker)
        try:
            await worker.run(self._upkeep)
        finally:
            self._workers.discard(worker)
            self._count(worker)

    @at_home
    async def deliver_due(self) -> int:
        """Deliver what is due now, once, and return how many attempts ended."""
        worker = self._make_worker()
        try:
            return await worker.deliver_due()
        finally:
            self._count(worker)

    def _count(self, worker: "Worker") -> None:
        self._calls += worker.calls
        self._failures += worker.failures

    def _upkeep(self) -> None:
        """Remove old notifications once a minute, by whichever process is active."""
        now, kept = self.clock.time(), self.settings.retention
        if now < self._next_upkeep or (kept.read is None and kept.unread is None):
            return
        self._next_upkeep = now + _UPKEEP
        self._spawn(self.sweep(), "notify.sweep")

    @at_home
    async def sweep(self) -> int:
        """Remove what is older than ``retention`` allows; return how many notifications."""
        now, kept, count = self.clock.time(), self.settings.retention, 0
        read = None if kept.read is None else now - kept.read
        unread = None if kept.unread is None else now - kept.unread
        while removed := await self.store.purge(read, unread, _CHUNK):
            count += removed
        return count

    async def deliveries(self, notification_id: str, user_id: str | None = None) -> list[Delivery]:
        """Return how a notification stands on each channel, attempt by attempt.

        Raises:
            NotificationNotFound: There is none, or it is another user's than ``user_id``.
        """
        await self.get(notification_id, user_id)
        return await self._deliveries(notification_id)

    @at_home
    async def _deliveries(self, notification_id: str) -> list[Delivery]:
        filters = DeliveryFilters(notification_id=notification_id)
        return [to_delivery(each) for each in await self.store.list_deliveries(filters, 500, None)]

    @at_home
    async def list_deliveries(
        self, filters: DeliveryFilters | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Delivery]:
        """Return deliveries of all users, oldest first; ``.next_cursor`` leads to the next page.

        Raises:
            ConfigurationError: ``limit`` is not between 1 and 500, or ``cursor`` is not ours.
        """
        _check_page(limit)
        if cursor is not None and not cursor.partition(":")[0].replace(".", "", 1).isdecimal():
            raise ConfigurationError(f"not a cursor: {cursor[:40]!r}")
        page = await self.store.list_deliveries(filters or DeliveryFilters(), limit, cursor)
        return Page.of([to_delivery(each) for each in page], page.next_cursor)

    async def explain(self, notification_id: str, user_id: str | None = None) -> list[Explanation]:
        """Say for each channel why it was, or was not, used.

        Raises:
            NotificationNotFound: There is none, or it is another user's than ``user_id``.
        """
        from .explaining import explain_delivery

        return [explain_delivery(each) for each in await self.deliveries(notification_id, user_id)]

    @at_home
    async def replay(self, target: str | DeliveryFilters) -> int:
        """Try ended deliveries again, with all their attempts; return how many.

        Args:
            target: A notification's id, or a filter. Dead, invalid and suppressed ones are tried
                again, or those of the filter's status.

        Raises:
            ConfigurationError: The filter's status is not one of these three.
        """
        filters = DeliveryFilters(notification_id=target) if isinstance(target, str) else target
        statuses = _REPLAYED if filters.status is None else (DeliveryStatus(filters.status),)
        if bad := [each for each in statuses if each not in _REPLAYED]:
            raise ConfigurationError(f"{str(bad[0])!r} deliveries cannot be replayed")
        count = await self.store.requeue(filters, statuses, self.clock.time())
        if count:
            self._wake_worker()
        return count

    @at_home
    async def erase_user(self, user_id: str) -> int:
        """Delete everything that is kept of a user; return how many notifications there were."""
        count = await self.store.erase(user_id)
        await self._parts.feeds.changed({user_id})
        return count

    @at_home
    async def get_stats(self) -> NotificationStats:
        """Return the figures of the store and of this instance."""
        notes, states = await self.store.counts()
        return NotificationStats(
            notifications=notes,
            deliveries=states,
            sent=self._sent,
            attempts=self._calls + sum(each.calls for each in self._workers),
            failures=self._failures + sum(each.failures for each in self._workers),
            watchers=self._parts.feeds.count,
            write_latency=self._latency,
        )

    async def preview(
        self, template: str, *, channel: str = "email", locale: str | None = None, **context: Any
    ) -> Mapping[str, str | None]:
        """Return ``subject``, ``text`` and ``html`` of a template, as its channel would send them.

        Raises:
            TemplateError: It is missing, fails, or is over its limits.
        """
        made = self._parts.delivery.templates.render(channel, template, context, locale)
        return {"subject": made.subject, "text": made.text, "html": made.html}

    # -- ending ------------------------------------------------------------------------------

    def _moved(self) -> None:
        self._forget_home()
        if self._built is not None:
            self._built.reset_feeds()
        super()._moved()

    def _forget_home(self) -> None:
        self._worker, self._workers, self._listening = None, set(), False
        self._settled = asyncio.Event()

    async def _closing(self) -> None:
        self._subscriptions.close()
        self._parts.feeds.close()
        if self._worker is not None:
            await self._worker.drain(self.settings.shutdown_timeout)
        self._forget_home()
        self._channels, self._directory = self._own_parts


def _result_or_error(entry: Entry, added: Added) -> SendResult:
    from .sending import result_of

    try:
        return result_of(entry, added)
    except IdempotencyConflict as exc:
        return SendResult(to_notification(entry.record), error=exc)


def _not_found(notification_id: str) -> NotificationNotFound:
    return NotificationNotFound(f"no notification {str(notification_id)[:60]!r} of this user")


def _check_page(limit: Any) -> None:
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= 500:
        raise ConfigurationError(f"limit must be 1 to 500, not {limit!r}")
