"""From a notification to what is stored of it."""

import dataclasses
import functools
import hashlib
import logging
from collections.abc import Callable, Mapping

import msgspec

from ._common.clock import Clock, NewId, utc
from ._common.telemetry import correlation_id
from .delivery import Parts
from .errors import IdempotencyConflict, TemplateError
from .models import (
    Delivery,
    DeliveryStatus,
    Notification,
    NotificationChannel,
    SendResult,
    StoredResult,
)
from .ports import NotificationStore
from .preferences import Decision, decode
from .records import first_attempt, to_delivery, to_notification, to_record
from .rendering import context_of, link_of
from .stored import Added, DeliveryRecord, Entry
from .validation import check

logger = logging.getLogger(__name__)

# named once: Python 3.11 looks a member up by calling Python code
_IN_APP, _DELIVERED = str(NotificationChannel.IN_APP), DeliveryStatus.DELIVERED


class Sender:
    """Checks notifications and decides which deliveries they get. One per service in use."""

    def __init__(
        self,
        store: NotificationStore,
        parts: Parts,
        known: frozenset[str],
        clock: Clock,
        new_id: NewId,
    ) -> None:
        """Read preferences from ``store``; ``known`` are the names of channels."""
        self._store, self._parts, self._known = store, parts, known
        self._clock, self._new_id = clock, new_id
        self._warned: set[str] = set()

    async def prepare(
        self,
        notification: Notification,
        known: Mapping[str, bytes] | None = None,
        correlation: Callable[[], str | None] = correlation_id,
    ) -> Entry:
        """Return what is to be stored.

        Args:
            notification: What is sent.
            known: The stored preferences of its user among others'; asked for if None.
            correlation: Returns the id of the request that it is part of.

        Raises:
            InvalidNotification: A field is empty, too long, unsafe or unknown.
            TemplateError: Its template is missing or fails.
        """
        check(notification, self._known)
        record = to_record(
            notification, correlation()
        )  # refuses what JSON cannot hold, before any I/O
        n, now = notification, self._clock.time()
        held = (
            await self._store.get_preferences(n.user_id) if known is None else known.get(n.user_id)
        )
        user = decode(held)
        layers = self._parts.layers
        channels = layers.channels(n, user)
        if n.template is not None:
            n = self._templated(n, channels, layers.effective(user).locale)
            # the fingerprint stays that of what was given: templates may change before a retry
            record = msgspec.structs.replace(
                to_record(n, correlation()), fingerprint=record.fingerprint
            )
        deliveries, visible, moment = list[DeliveryRecord](), False, utc(now)
        for place, channel in enumerate(channels):
            decision = layers.decide(n, channel, user, moment)
            digest = layers.digest(n, channel, user, now)
            made = self._delivery(n, channel, decision, digest, now)
            made.created_at += place * 1e-6  # they are listed in this order
            deliveries.append(made)
            visible = visible or (channel == _IN_APP and made.status is _DELIVERED)
        return Entry(record, deliveries, visible)

    def _templated(
        self, n: Notification, channels: tuple[str, ...], locale: str | None
    ) -> Notification:
        """Render every channel's template once, so that a mistake is the sender's to see.

        Channels without one of that name send title and message; the inbox keeps what its own
        template makes.
        """
        templates, name, shown = self._parts.templates, n.template or "", n
        having = [channel for channel in channels if templates.has(channel, name)]
        if not having:
            gone = "".join(f"; the folder {each!r} is missing" for each in templates.missing())
            named = ", ".join(channels)
            raise TemplateError(f"none of the channels {named} has a template {name!r}{gone}")
        context = context_of(n, link_of(n, self._parts.base_url))
        for channel in having:
            made = templates.render(channel, name, context, n.locale or locale)
            if channel == _IN_APP:
                title, text = made.subject or n.title, (made.text or n.message).strip()
                shown = dataclasses.replace(n, title=title, message=text)
        if shown is not n:
            check(shown, self._known)
        return shown

    def _delivery(
        self,
        n: Notification,
        channel: str,
        decision: Decision,
        digest: float | None,
        now: float,
    ) -> DeliveryRecord:
        made = DeliveryRecord(
            id=self._new_id(),
            notification_id=n.id,
            user_id=n.user_id,
            channel=channel,
            due_at=now,
            created_at=now,
            updated_at=now,
        )
        in_app = channel == _IN_APP
        if n.expires_at is not None and n.expires_at.timestamp() <= now:
            return _ended(made, DeliveryStatus.EXPIRED, "expired", now)
        if not in_app and channel not in self._parts.channels:
            why = self._parts.missing.get(channel, "not set up")
            self._warn_once(channel, why)
            return _ended(made, DeliveryStatus.SUPPRESSED, f"channel_missing: {why}", now)
        if n.send_at is not None and n.send_at.timestamp() > now:
            made.due_at, made.reason = n.send_at.timestamp(), "scheduled"
            return made
        if decision.refused is not None:
            return _ended(made, DeliveryStatus.SUPPRESSED, decision.refused, now)
        if digest is not None:
            made.bundle = bundle_of(n.user_id, channel, n.category)
            made.due_at, made.reason = digest, "digest"
        if decision.until is not None and (until := decision.until.timestamp()) > made.due_at:
            made.due_at, made.reason = until, "quiet_hours"
        if made.reason is not None:
            return made
        return _ended(made, _DELIVERED, None, now) if in_app else made

    def _warn_once(self, channel: str, why: str) -> None:
        if channel not in self._warned:
            self._warned.add(channel)
            logger.warning("channel.missing", extra={"channel": channel, "reason": why})


def bundle_of(user_id: str, channel: str, category: str | None) -> str:
    """Return the name of what goes out together: a digest, short whatever the names are."""
    text = f"{user_id}\0{channel}\0{category or ''}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _ended(
    made: DeliveryRecord, status: DeliveryStatus, reason: str | None, now: float
) -> DeliveryRecord:
    made.status, made.reason = status, reason
    made.history = first_attempt(now, str(status), reason)
    return made


def result_of(entry: Entry, added: Added) -> SendResult:
    """Return what the sender is told.

    Raises:
        IdempotencyConflict: What is there under this id or key has other content.
    """
    if not added.created and (
        added.record.fingerprint != entry.record.fingerprint
        or added.record.user_id != entry.record.user_id
    ):
        what = "id" if added.record.id == entry.record.id else "idempotency_key"
        raise IdempotencyConflict(f"this {what} belongs to a notification of other content")
    make = functools.partial(_told, added)
    return StoredResult.of(added.record.id, make, duplicate=not added.created)


def _told(added: Added) -> tuple[Notification, tuple[Delivery, ...]]:
    deliveries = tuple(to_delivery(each) for each in added.deliveries)
    return to_notification(added.record), deliveries
