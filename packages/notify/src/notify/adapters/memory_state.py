"""The records of the memory store and the rules that keep them in step.

Everything here is called with ``State.lock`` held.
"""

import threading
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ..models import DeliveryStatus, EventKind
from ..stored import OPEN, Added, DeliveryRecord, Entry, EventRecord, NotificationRecord, Verdict


@dataclass
class State:
    """All records. Guarded by ``lock``: services of several loops may share one store."""

    lock: threading.RLock = field(default_factory=threading.RLock)
    notes: dict[str, NotificationRecord] = field(default_factory=dict)
    keys: dict[tuple[str, str], str] = field(default_factory=dict)
    boxes: dict[str, dict[int, str]] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=dict)
    events: dict[str, list[EventRecord]] = field(default_factory=dict)
    deliveries: dict[str, DeliveryRecord] = field(default_factory=dict)
    of_note: dict[str, list[str]] = field(default_factory=dict)
    open: dict[str, dict[str, DeliveryRecord]] = field(default_factory=dict)
    preferences: dict[str, bytes] = field(default_factory=dict)
    suppressions: dict[tuple[str, str], str] = field(default_factory=dict)
    topics: dict[str, set[str]] = field(default_factory=dict)
    quotas: dict[str, dict[str, tuple[float, int]]] = field(default_factory=dict)

    def add(self, entry: Entry) -> Added:
        """Store an entry, unless its id or key is there."""
        given = entry.record
        key = None if given.idempotency_key is None else (given.user_id, given.idempotency_key)
        known = given.id if given.id in self.notes else self.keys.get(key) if key else None
        if known is not None:
            rows = [copy(self.deliveries[each]) for each in self.of_note.get(known, ())]
            return Added(copy(self.notes[known]), rows, created=False)
        record = self.notes[given.id] = copy(given)
        if key is not None:
            self.keys[key] = record.id
        if entry.visible:
            self.show(record, record.created_at)
        for each in entry.deliveries:
            delivery = self.deliveries[each.id] = copy(each)
            self.of_note.setdefault(record.id, []).append(delivery.id)
            self.index(delivery)
        return Added(copy(record), [copy(each) for each in entry.deliveries], created=True)

    def show(self, record: NotificationRecord, at: float) -> None:
        """Bring a notification into its user's inbox."""
        event = self.event(record.user_id, "created", at, record.id, count=False)
        record.seq = event.seq
        self.boxes.setdefault(record.user_id, {})[event.seq] = record.id
        event.unread = self.unread(record.user_id)

    def event(
        self, user: str, kind: EventKind, at: float, note: str | None, **rest: Any
    ) -> EventRecord:
        """Append to a user's sequence."""
        count = rest.pop("count", True)
        seq = self.sequences[user] = self.sequences.get(user, 0) + 1
        unread = self.unread(user) if count else 0
        event = EventRecord(
            user_id=user, seq=seq, kind=kind, unread=unread, at=at, notification_id=note, **rest
        )
        self.events.setdefault(user, []).append(event)
        return event

    def index(self, delivery: DeliveryRecord) -> None:
        """Keep ``open`` in step with a delivery."""
        rows = self.open.setdefault(delivery.channel, {})
        if delivery.status in OPEN:
            rows[delivery.id] = delivery
        else:
            rows.pop(delivery.id, None)

    def first_due(self, channel: str, count: int, now: float) -> list[DeliveryRecord]:
        """Return what to claim: the ``count`` oldest due, a bundle counting as one."""
        due = [each for each in self.open.get(channel, {}).values() if each.due_at <= now]
        due.sort(key=lambda each: each.due_at)
        found: list[DeliveryRecord] = []
        bundles: set[str] = set()
        for each in due:
            if count > 0 and each.bundle is None:
                found.append(each)
                count -= 1
            elif count > 0 and each.bundle is not None and each.bundle not in bundles:
                bundles.add(each.bundle)
                found += [other for other in due if other.bundle == each.bundle]
                count -= 1
        return found

    def unread(self, user: str) -> int:
        """Count what is neither read nor archived."""
        return sum(is_unread(self.notes[each]) for each in self.boxes.get(user, {}).values())

    def cancel(self, note: str, at: float) -> None:
        """End the pending deliveries of a notification."""
        for each in self.of_note.get(note, ()):
            delivery = self.deliveries[each]
            if delivery.status is DeliveryStatus.PENDING:
                delivery.status, delivery.reason = DeliveryStatus.CANCELLED, "read"
                delivery.updated_at = at
                self.index(delivery)

    def finish(self, verdict: Verdict, at: float) -> bool:
        """Record how an attempt ended, if it is still held."""
        delivery = self.deliveries.get(verdict.id)
        if (
            delivery is None
            or delivery.fence != verdict.fence
            or delivery.status is not DeliveryStatus.SENDING
        ):
            return False
        for name in (
            "status",
            "reason",
            "due_at",
            "attempts",
            "provider",
            "provider_id",
            "history",
        ):
            setattr(delivery, name, getattr(verdict, name))
        delivery.updated_at = at
        self.index(delivery)
        return True

    def forget(self, note: NotificationRecord, *, events: bool) -> None:
        """Remove a notification with its deliveries (and its events)."""
        del self.notes[note.id]
        if note.idempotency_key is not None:
            self.keys.pop((note.user_id, note.idempotency_key), None)
        if note.seq is not None:
            self.boxes[note.user_id].pop(note.seq, None)
        for each in self.of_note.pop(note.id, ()):
            delivery = self.deliveries.pop(each)
            self.open[delivery.channel].pop(each, None)
        if events:
            kept = self.events.get(note.user_id, [])
            self.events[note.user_id] = [e for e in kept if e.notification_id != note.id]


def copy(record: Any) -> Any:
    """Return a record of its own, so that callers cannot change ours."""
    return msgspec.structs.replace(record)


def is_unread(record: NotificationRecord) -> bool:
    """Whether a notification counts as unread."""
    return record.read_at is None and record.archived_at is None
