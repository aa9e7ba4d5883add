"""What pages are sent: the same, whether of what users see or of what is stored."""

from datetime import UTC, datetime

import pytest
from msgspec import structs, to_builtins

from notify import (
    Attachment,
    BackendError,
    Notification,
    NotificationService,
    NotificationType,
    wire,
)
from notify.records import to_event, to_record
from notify.stored import EventRecord

PLAIN = Notification(title="t", user_id="ann")
FULL = Notification(
    title="t",
    user_id="ann",
    type=NotificationType.WARNING,
    message="m",
    category="c",
    action_url="/x",
    action_label="l",
    metadata={"a": [1, None, {"b": "c"}]},
    channels=["in-app", "email"],
    priority="critical",
    read=True,
    expires_at=datetime(2030, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC),
    timestamp=datetime(2026, 1, 2, 3, 4, 5, 999_999, tzinfo=UTC),
    context={"secret": 1},
    attachments=[Attachment("a.txt", b"x")],
)


def created(note: Notification, **more: object) -> EventRecord:
    record = structs.replace(to_record(note), seq=7)
    given = {"seq": 7, "kind": "created", "unread": 3, "at": record.created_at, **more}
    return EventRecord(user_id="ann", notification_id=record.id, notification=record, **given)


@pytest.mark.parametrize(
    "record",
    [
        created(PLAIN),
        created(FULL),
        created(FULL, kind="read", at=1_800_000_000.5),
        EventRecord(
            user_id="ann", seq=9, kind="all_read", unread=0, at=1.25, category="c", before=2
        ),
        EventRecord(
            user_id="ann", seq=9, kind="deleted", unread=0, at=1.25, notification_id="gone"
        ),
    ],
    ids=["plain", "full", "later", "all", "gone"],
)
def test_of_what_is_stored(record: EventRecord) -> None:
    assert wire.stored_event(record) == wire.event(to_event(record))


def test_archived_ones_say_so() -> None:
    record = created(PLAIN)
    assert record.notification is not None
    record.notification.archived_at = 5.0
    found = to_builtins(wire.stored_event(record))
    assert (found["notification"]["archived"], found["notification"]["read"]) == (True, False)
    assert "category" not in found["notification"], "what is not set is left out"


def test_nothing_of_the_sender_is_shown() -> None:
    assert not {"context", "attachments", "template"} & to_builtins(wire.notification(FULL)).keys()


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"\xff", b'{"title": 1}'])
async def test_what_cannot_be_read(body: bytes) -> None:
    record = created(PLAIN)
    assert record.notification is not None
    record.notification.body = body
    with pytest.raises(BackendError, match="cannot be read"):
        wire.stored_event(record)


async def test_the_service_gives_both() -> None:
    async with NotificationService.from_url("memory://") as service:
        sent = await service.send(PLAIN)
        await service.mark_as_read(sent.id, "ann")
        seen, stored = await service.get_changes("ann", 0), await service.read_changes("ann", 0)
    assert [wire.event(each) for each in seen.events] == list(map(wire.stored_event, stored.events))
    assert (seen.seq, seen.unread, seen.has_more, seen.is_reset) == (2, 0, False, False)
    assert (stored.seq, stored.unread, stored.has_more, stored.is_reset) == (2, 0, False, False)
