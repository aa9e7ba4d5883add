"""Where notifications, deliveries, sequences and preferences are kept."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from ..models import DeliveryFilters, DeliveryStatus, EventKind, NotificationFilters, Page
from ..stored import (
    Added,
    Cancels,
    Claimed,
    DeliveryRecord,
    Entry,
    EventRecord,
    NotificationRecord,
    OtherPreferences,
    StoredChanges,
    Verdict,
)
from .capabilities import Capabilities

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession
    from sqlalchemy.orm import Session


class NotificationStore(ABC):
    """Keeps notifications, deliveries, the users' event sequences and preferences.

    Each method is one transaction. Constructors do no I/O: the first call connects, ``aclose``
    disconnects. Safe for concurrent use within one event loop. Every method may raise
    ``BackendError``.
    """

    capabilities: ClassVar[Capabilities] = Capabilities()

    @abstractmethod
    async def add(
        self, entries: Sequence[Entry], session: "Session | AsyncSession | None" = None
    ) -> Sequence[Added]:
        """Store ``entries``, all or none, and return what became of each, in their order.

        An entry is not stored where its id is taken, or the user has a notification of its
        ``idempotency_key``: that one is returned instead. A visible one gets the next number of the
        user's sequence as ``seq``, and an event ``created`` of that number.

        Args:
            entries: What to store.
            session: The caller's SQLAlchemy session, in whose transaction it is done.

        Raises:
            UnsupportedOperationError: A session was given and the store cannot join it.
        """

    async def add_under(self, entry: Entry, preferences: bytes | None) -> Added | OtherPreferences:
        """Store an entry as ``add`` does, if its user's preferences are those it was made under.

        Override to do both at once: then nobody needs to ask for preferences before.
        """
        held = await self.get_preferences(entry.record.user_id)
        if held != preferences:
            return OtherPreferences(held)
        return (await self.add([entry]))[0]

    @abstractmethod
    async def get(self, notification_id: str, user_id: str | None) -> NotificationRecord | None:
        """Return a notification (of that user, if one is given), or None."""

    @abstractmethod
    async def list_inbox(
        self, user_id: str, filters: NotificationFilters, limit: int, below: int | None
    ) -> Page[NotificationRecord]:
        """Return notifications of the inbox, highest ``seq`` first, from under ``below``.

        ``next_cursor`` is the last one's ``seq`` if there are more. Attachments are left out.
        """

    @abstractmethod
    async def mark(
        self, user_id: str, notification_id: str, kind: EventKind, at: float, *, cancel: bool
    ) -> bool | None:
        """Set a notification ``read``, ``archived`` or ``deleted``.

        What changes in the inbox is an event of the user's sequence; a deleted notification is gone
        with its deliveries. ``cancel`` ends its other pending deliveries as ``cancelled``.

        Returns:
            Whether anything changed; None if the user has no such notification.
        """

    @abstractmethod
    async def mark_all(
        self, user_id: str, before: float | None, category: str | None, at: float, cancels: Cancels
    ) -> int:
        """Set all unread ones of the inbox read (older than ``before``, of ``category``).

        One event ``all_read`` tells of it if there were any. Returns how many there were.
        """

    @abstractmethod
    async def unread(self, user_id: str) -> int:
        """Return how many of the inbox are neither read nor archived."""

    @abstractmethod
    async def last_seq(self, user_id: str) -> int:
        """Return the last number of the user's sequence; 0 if nothing happened yet."""

    @abstractmethod
    async def events(self, user_id: str, since: int, limit: int) -> Sequence[EventRecord]:
        """Return the user's events after ``since`` in order, with what they speak of."""

    async def changes(self, user_id: str, since: int | None, limit: int) -> StoredChanges:
        """Return the events after ``since`` (None: no events) and where the inbox stands.

        Override to save round trips. The count may be newer than the place, never older.
        """
        last = await self.last_seq(user_id)
        place = last if since is None else since
        found = [] if place >= last else await self.events(user_id, place, limit)
        return StoredChanges.of(found, place, last, await self.unread(user_id))

    @abstractmethod
    async def get_preferences(self, user_id: str) -> bytes | None:
        """Return what ``set_preferences`` stored, or None."""

    async def get_many_preferences(self, user_ids: Collection[str]) -> Mapping[str, bytes]:
        """Return the stored preferences of those who have any; override to save round trips."""
        found = {each: await self.get_preferences(each) for each in user_ids}
        return {user_id: data for user_id, data in found.items() if data is not None}

    @abstractmethod
    async def set_preferences(self, user_id: str, data: bytes, at: float) -> None:
        """Store a user's preferences."""

    async def swap_preferences(
        self, user_id: str, data: bytes, was: bytes | None, at: float
    ) -> bool:
        """Store a user's preferences if they are still ``was`` (None: none); return whether.

        Override to do it in one step: in this one a change of another process may be lost.
        """
        if await self.get_preferences(user_id) != was:
            return False
        await self.set_preferences(user_id, data, at)
        return True

    @abstractmethod
    async def due(self) -> Mapping[str, float]:
        """Return by channel when the first of its open deliveries is due."""

    @abstractmethod
    async def claim(self, slots: Mapping[str, int], now: float, until: float) -> Sequence[Claimed]:
        """Lease due deliveries until ``until``, at most ``slots[channel]`` of each channel.

        The oldest due first; each to one claimer. Raises ``attempts`` and ``fence`` before anything
        is sent. An expired lease is due again. Of a bundle all that are due are leased together,
        and count as one.
        """

    @abstractmethod
    async def finish(self, verdicts: Sequence[Verdict], at: float) -> Sequence[str]:
        """Record how attempts ended; return the ids of those that were still held."""

    @abstractmethod
    async def publish(self, verdict: Verdict, notification_id: str, at: float) -> bool:
        """Record a delivered in-app delivery and bring its notification into the inbox.

        Returns whether it was still held.
        """

    @abstractmethod
    async def list_deliveries(
        self, filters: DeliveryFilters, limit: int, cursor: str | None
    ) -> Page[DeliveryRecord]:
        """Return deliveries, oldest first."""

    @abstractmethod
    async def requeue(
        self, filters: DeliveryFilters, statuses: Sequence[DeliveryStatus], at: float
    ) -> int:
        """Make ended deliveries pending again, attempts from 0; return how many."""

    @abstractmethod
    async def purge(self, read: float | None, unread: float | None, limit: int) -> int:
        """Delete what was read or archived before ``read``, or made before ``unread`` and not.

        With events and deliveries; not while a delivery is open. At most ``limit``; returns how
        many.
        """

    @abstractmethod
    async def erase(self, user_id: str) -> int:
        """Delete everything of a user; return how many notifications there were."""

    @abstractmethod
    async def counts(self) -> tuple[int, Mapping[str, int]]:
        """Return how many notifications there are, and deliveries by status."""

    @abstractmethod
    async def find_sent(self, provider: str, provider_id: str) -> DeliveryRecord | None:
        """Return the delivery that a provider took under ``provider_id``, or None."""

    @abstractmethod
    async def amend(self, delivery: DeliveryRecord, was: str) -> bool:
        """Store status, reason, history and ``updated_at`` of an ended delivery.

        Returns:
            Whether it was stored: its history is ``was`` still, and nobody has taken it up again.
        """

    @abstractmethod
    async def suppress(self, channel: str, digest: str, reason: str | None, at: float) -> bool:
        """Put an address on the suppression list of a channel; a ``reason`` of None takes it off.

        The list holds digests of addresses, not addresses. Returns whether that changed anything;
        the first reason stays.
        """

    @abstractmethod
    async def suppressed(self, channel: str, digest: str) -> str | None:
        """Return why an address is on the suppression list; None if it is not."""

    @abstractmethod
    async def set_member(self, topic: str, user_id: str, at: float, *, member: bool) -> bool:
        """Make a user a member of a topic, or not; return whether that changed anything."""

    @abstractmethod
    async def members(self, topic: str, after: str, limit: int) -> Sequence[str]:
        """Return members of a topic from after ``after`` on, by the code points of their ids."""

    @abstractmethod
    async def topics(self, user_id: str) -> Sequence[str]:
        """Return the topics of a user, sorted."""

    @abstractmethod
    async def take(self, user_id: str, name: str, limit: int, window: float, now: float) -> float:
        """Count one more of ``name`` for a user, ``limit`` in each ``window`` seconds.

        A window begins with the first that is counted in it. Returns 0 if it was counted, else the
        seconds until the window ends.
        """

    async def setup(self) -> None:
        """Create or upgrade what the store needs on its server."""

    def schema_sql(self) -> str:
        """Return the schema as SQL; empty where there is none."""
        return ""

    async def aclose(self) -> None:
        """Disconnect; a later call connects again."""

    def detach(self) -> None:
        """Forget, without I/O, what is bound to another event loop or process."""
