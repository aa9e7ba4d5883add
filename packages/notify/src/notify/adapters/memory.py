"""Notifications in the memory of one process: the default, and the model for tests."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ..errors import UnsupportedOperationError
from ..models import DeliveryFilters, DeliveryStatus, EventKind, NotificationFilters, Page
from ..stored import (
    OPEN,
    Added,
    Cancels,
    Claimed,
    DeliveryRecord,
    Entry,
    EventRecord,
    NotificationRecord,
    Verdict,
)
from .matching import matches, wanted
from .memory_lists import MemoryLists
from .memory_state import copy, is_unread


class MemoryStore(MemoryLists):
    """Keeps notifications in dicts. Safe for threads."""

    async def add(self, entries: Sequence[Entry], session: Any = None) -> Sequence[Added]:
        if session is not None:
            raise UnsupportedOperationError(
                "the memory store cannot join a database session; use a SQL store"
            )
        with self._state.lock:
            return [self._state.add(entry) for entry in entries]

    async def get(self, notification_id: str, user_id: str | None) -> NotificationRecord | None:
        with self._state.lock:
            found = self._state.notes.get(notification_id)
            return copy(found) if found and user_id in {None, found.user_id} else None

    async def list_inbox(
        self, user_id: str, filters: NotificationFilters, limit: int, below: int | None
    ) -> Page[NotificationRecord]:
        with self._state.lock:
            found: list[NotificationRecord] = []
            box = self._state.boxes.get(user_id, {})
            for seq in sorted(box, reverse=True):
                record = self._state.notes[box[seq]]
                if (below is None or seq < below) and matches(record, filters):
                    found.append(msgspec.structs.replace(record, attachments=None))
                if len(found) > limit:
                    break
            more = str(found[limit - 1].seq) if len(found) > limit else None
            return Page.of(found[:limit], more)

    async def mark(
        self, user_id: str, notification_id: str, kind: EventKind, at: float, *, cancel: bool
    ) -> bool | None:
        with self._state.lock:
            state, record = self._state, self._state.notes.get(notification_id)
            if record is None or record.user_id != user_id:
                return None
            changed = kind == "deleted" or getattr(record, f"{kind}_at") is None
            if kind == "deleted":
                state.forget(record, events=False)
            elif changed:
                setattr(record, f"{kind}_at", at)
            if changed and record.seq is not None:
                state.event(user_id, kind, at, record.id)
            if cancel:
                # also of one that was read before: its mail may have been sent since
                state.cancel(record.id, at)
            return changed

    async def mark_all(
        self, user_id: str, before: float | None, category: str | None, at: float, cancels: Cancels
    ) -> int:
        with self._state.lock:
            state = self._state
            found = [
                record
                for each in state.boxes.get(user_id, {}).values()
                if is_unread(record := state.notes[each])
                and (before is None or record.created_at < before)
                and category in {None, record.category}
            ]
            for record in found:
                record.read_at = at
                if cancels.holds(record.category):
                    state.cancel(record.id, at)
            if found:
                state.event(user_id, "all_read", at, None, category=category, before=before)
            return len(found)

    async def unread(self, user_id: str) -> int:
        with self._state.lock:
            return self._state.unread(user_id)

    async def last_seq(self, user_id: str) -> int:
        with self._state.lock:
            return self._state.sequences.get(user_id, 0)

    async def events(self, user_id: str, since: int, limit: int) -> Sequence[EventRecord]:
        with self._state.lock:
            known = self._state.events.get(user_id, [])
            first = bisect_right(known, since, key=lambda event: event.seq)
            notes = self._state.notes
            return [
                msgspec.structs.replace(
                    event, notification=_light(notes.get(event.notification_id or ""))
                )
                for event in known[first : first + limit]
            ]

    async def due(self) -> Mapping[str, float]:
        with self._state.lock:
            return {
                channel: min(each.due_at for each in rows.values())
                for channel, rows in self._state.open.items()
                if rows
            }

    async def claim(self, slots: Mapping[str, int], now: float, until: float) -> Sequence[Claimed]:
        with self._state.lock:
            state, claimed = self._state, list[Claimed]()
            for channel, count in slots.items():
                for each in state.first_due(channel, count, now):
                    each.status, each.due_at, each.updated_at = DeliveryStatus.SENDING, until, now
                    each.attempts, each.fence = each.attempts + 1, each.fence + 1
                    note = state.notes[each.notification_id]
                    wishes = state.preferences.get(each.user_id)
                    claimed.append(Claimed(copy(each), copy(note), wishes))
            return claimed

    async def finish(self, verdicts: Sequence[Verdict], at: float) -> Sequence[str]:
        with self._state.lock:
            return [each.id for each in verdicts if self._state.finish(each, at)]

    async def publish(self, verdict: Verdict, notification_id: str, at: float) -> bool:
        with self._state.lock:
            state = self._state
            if not state.finish(verdict, at):
                return False
            if (record := state.notes[notification_id]).seq is None:
                state.show(record, at)
            return True

    async def list_deliveries(
        self, filters: DeliveryFilters, limit: int, cursor: str | None
    ) -> Page[DeliveryRecord]:
        with self._state.lock:
            after = cursor or ""
            found = sorted(
                (
                    (_place(each), each)
                    for each in self._state.deliveries.values()
                    if wanted(each, filters) and _place(each) > after
                ),
                key=lambda pair: pair[0],
            )
            more = found[limit - 1][0] if len(found) > limit else None
            return Page.of([copy(each) for _, each in found[:limit]], more)

    async def requeue(
        self, filters: DeliveryFilters, statuses: Sequence[DeliveryStatus], at: float
    ) -> int:
        with self._state.lock:
            state = self._state
            rows = [
                each
                for each in state.deliveries.values()
                if each.status in statuses and wanted(each, filters)
            ]
            for each in rows:
                each.status, each.attempts, each.due_at = DeliveryStatus.PENDING, 0, at
                each.reason, each.updated_at = "replayed", at
                state.index(each)
            return len(rows)

    async def purge(self, read: float | None, unread: float | None, limit: int) -> int:
        with self._state.lock:
            state = self._state
            old = [
                note
                for note in state.notes.values()
                if _is_old(note, read, unread)
                and not any(
                    state.deliveries[d].status in OPEN for d in state.of_note.get(note.id, ())
                )
            ][:limit]
            for note in old:
                state.forget(note, events=True)
            return len(old)

    async def erase(self, user_id: str) -> int:
        with self._state.lock:
            state = self._state
            notes = [note for note in state.notes.values() if note.user_id == user_id]
            for note in notes:
                state.forget(note, events=False)
            tables: tuple[dict[str, Any], ...] = (
                state.boxes, state.sequences, state.events, state.preferences, state.quotas,
            )  # fmt: skip
            for table in tables:
                table.pop(user_id, None)
            for members in state.topics.values():
                members.discard(user_id)
            return len(notes)

    async def counts(self) -> tuple[int, Mapping[str, int]]:
        with self._state.lock:
            found: dict[str, int] = {}
            for each in self._state.deliveries.values():
                found[str(each.status)] = found.get(str(each.status), 0) + 1
            return len(self._state.notes), found

    async def find_sent(self, provider: str, provider_id: str) -> DeliveryRecord | None:
        with self._state.lock:
            for each in self._state.deliveries.values():
                if (each.provider, each.provider_id) == (provider, provider_id):
                    found: DeliveryRecord = copy(each)
                    return found
            return None

    async def amend(self, delivery: DeliveryRecord, was: str) -> bool:
        with self._state.lock:
            known = self._state.deliveries.get(delivery.id)
            if known is None or known.history != was or known.status in OPEN:
                return False
            for name in ("status", "reason", "history", "updated_at"):
                setattr(known, name, getattr(delivery, name))
            return True


def _light(record: NotificationRecord | None) -> NotificationRecord | None:
    return None if record is None else msgspec.structs.replace(record, attachments=None)


def _is_old(note: NotificationRecord, read: float | None, unread: float | None) -> bool:
    done = note.archived_at if note.read_at is None else note.read_at
    if done is not None:
        return read is not None and done < read
    return unread is not None and note.created_at < unread


def _place(delivery: DeliveryRecord) -> str:
    return f"{delivery.created_at:020.6f}:{delivery.id}"
