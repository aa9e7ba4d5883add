"""A notification and what belongs to it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal

from .._common.clock import new_id

Priority = Literal["normal", "critical"]


class NotificationType(StrEnum):
    """What a notification is about."""

    INFO = "info"
    SUCCESS = "success"
    WARNING = "warning"
    ERROR = "error"


class NotificationChannel(StrEnum):
    """The channels that every installation knows; others have the names of their adapters."""

    IN_APP = "in-app"
    EMAIL = "email"
    PUSH = "push"
    SMS = "sms"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that travels with a notification, over channels that can carry one.

    Attributes:
        filename: Without a path, one line.
        content: The bytes.
        content_type: ``type/subtype``.
    """

    filename: str
    content: bytes = field(repr=False)
    content_type: str = "application/octet-stream"


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One message to one user. Times are aware UTC datetimes.

    Attributes:
        id: Unguessable unless chosen by the caller.
        type: What it is about.
        title: One line, 1 to 200 characters.
        message: Plain text, at most 10,000 characters.
        user_id: To whom.
        category: What users opt out of.
        action_url: ``https://…``, ``http://…`` or a path; never another scheme.
        action_label: One line for the link.
        metadata: What JSON can hold.
        channels: Names of channels; None leaves it to the user's preferences, else in-app.
        timestamp: When it was made.
        read: Whether the user has read it.
        priority: ``critical`` passes quiet hours and category opt-outs.
        idempotency_key: The same key and content for a user make one notification.
        template: Name of the template that makes subject and body.
        context: The template's variables: what JSON can hold.
        expires_at: Deliveries that are not out by then are ``expired``.
        send_at: Not before.
        locale: Of the templates, ``de`` or ``de-AT``; the recipient's if None.
        attachments: Files for channels that carry them.
        seq: Its place in the user's inbox; None while it is not there. Set by the store.
        archived: Whether the user put it away. Set by the store.
    """

    id: str = field(default_factory=new_id)
    type: NotificationType | str = NotificationType.INFO
    title: str
    message: str = ""
    user_id: str
    category: str | None = None
    action_url: str | None = None
    action_label: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    channels: Sequence[NotificationChannel | str] | None = None
    timestamp: datetime = field(default_factory=_now)
    read: bool = False
    priority: Priority = "normal"
    idempotency_key: str | None = None
    template: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict, repr=False)
    expires_at: datetime | None = None
    send_at: datetime | None = None
    locale: str | None = None
    attachments: Sequence[Attachment] = ()
    seq: int | None = None
    archived: bool = False
