"""Telling people, through notify: in the app at once, by e-mail where one is set up."""

import contextlib

from notify import (
    IdempotencyConflict,
    Notification,
    NotificationChannel,
    NotificationService,
    NotificationType,
    Recipient,
    RecipientDirectory,
)

from .. import correlation
from ..library import Entry


class Addresses(RecipientDirectory):
    """Everybody has a mailbox at example.com: the studio knows no real addresses."""

    async def lookup(self, user_id: str, channel: str) -> Recipient | None:
        """Return the address of a user."""
        return Recipient(f"{user_id}@example.com") if channel == "email" else None


async def tell_done(service: NotificationService, entry: Entry, segments: int) -> None:
    """Say that a transcript is ready; however often a job runs, it is said once."""
    await _tell(
        service, entry, NotificationType.SUCCESS, "Transcript ready",
        f"“{entry.title}” is transcribed: {_counted(segments, 'segment')}.", "done",
    )  # fmt: skip


async def tell_failed(
    service: NotificationService, entry: Entry, reason: str, attempt: int
) -> None:
    """Say that an upload could not be worked on, and why: once for each ``attempt``."""
    await _tell(
        service,
        entry,
        NotificationType.ERROR,
        "Transcript failed",
        f"“{entry.title}”: {reason}",
        f"failed:{attempt}",
    )


async def tell_archived(
    service: NotificationService, user_id: str, archive_id: str, count: int
) -> None:
    """Say that a ZIP can be fetched."""
    await _once(
        service,
        Notification(
            type=NotificationType.SUCCESS,
            title="Archive ready",
            message=f"{_counted(count, 'transcript')} in one ZIP.",
            user_id=user_id,
            category="archive",
            action_url=f"/archives/{archive_id}",
            action_label="Download",
            channels=[NotificationChannel.IN_APP],
            idempotency_key=f"{archive_id}:done",
            metadata=correlation.metadata(),
        ),
    )


async def _tell(
    service: NotificationService,
    entry: Entry,
    kind: NotificationType,
    title: str,
    message: str,
    event: str,
) -> None:
    await _once(
        service,
        Notification(
            type=kind,
            title=title,
            message=message,
            user_id=entry.user_id,
            category="transcription",
            action_url=f"/#{entry.id}",
            action_label="Open",
            channels=[NotificationChannel.IN_APP, NotificationChannel.EMAIL],
            idempotency_key=f"{entry.id}:{event}",
            metadata=correlation.metadata(),
        ),
    )


async def _once(service: NotificationService, notification: Notification) -> None:
    # what was said before may have been about another title, edited since
    with contextlib.suppress(IdempotencyConflict):
        await service.send(notification)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
