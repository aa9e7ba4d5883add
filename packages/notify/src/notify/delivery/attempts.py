"""One attempt: from a claimed delivery to a verdict."""

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .._common.clock import Clock, utc
from .._common.telemetry import correlated, span
from ..errors import BackendError, ChannelError, TemplateError
from ..models import DeliveryStatus, Notification, NotificationChannel, Recipient
from ..ports import Channel, Message, RecipientDirectory
from ..preferences import Layers, decode
from ..records import to_notification, with_attempt
from ..rendering import render
from ..settings import DeliverySettings
from ..stored import Claimed, Verdict
from ..templates import Templates
from ..validation import check_recipient
from .circuits import Circuits

logger = logging.getLogger(__name__)
Trace = list[tuple[float, str, str | None, str | None]]


@dataclass(frozen=True)
class Parts:
    """What an attempt needs.

    Attributes:
        channels: By notification channel, its providers in the order in which they are tried.
        missing: By channel, why it is not set up.
        directory: Where users are reached.
        layers: The preferences below the users' own.
        templates: The templates.
        settings: The worker's.
        base_url: For links that are only a path.
        clock: Decides leases and waits.
        rng: Jitter.
        circuits: Shared by the workers of an instance.
    """

    channels: Mapping[str, Sequence[Channel]]
    missing: Mapping[str, str]
    directory: RecipientDirectory
    layers: Layers
    templates: Templates
    settings: DeliverySettings
    base_url: str | None
    clock: Clock
    rng: random.Random
    circuits: Circuits = field(repr=False)


class Attempt:
    """Decides, renders and sends one claimed delivery."""

    def __init__(self, parts: Parts, claimed: Claimed) -> None:
        """Take what a worker claimed."""
        self._parts, self._claimed, self._trace = parts, claimed, Trace()
        self._lease_ends = parts.clock.monotonic() + parts.settings.lease
        self.calls = self.failures = 0

    async def run(self) -> Verdict:
        """Return how it ended; nothing is raised but cancellation."""
        try:
            notification = to_notification(self._claimed.record)
        except BackendError as exc:
            return self._end(DeliveryStatus.DEAD, str(exc))
        correlation = notification.metadata.get("correlation_id")
        with correlated(correlation if isinstance(correlation, str) else None):
            try:
                return await self._run(notification)
            except Exception as exc:  # noqa: BLE001  whatever it is, it is this delivery's alone
                # a directory's or a custom channel's own fault: its text may hold addresses
                self._note("retry", None, type(exc).__name__)
                return self._retry(f"{type(exc).__name__} was raised", None)

    async def _run(self, notification: Notification) -> Verdict:
        delivery, now = self._claimed.delivery, self._parts.clock.time()
        if notification.expires_at is not None and notification.expires_at.timestamp() <= now:
            return self._end(DeliveryStatus.EXPIRED, "expired")
        if delivery.attempts > self._parts.settings.max_attempts:
            return self._end(DeliveryStatus.DEAD, "the worker vanished in the last attempt")
        user = decode(self._claimed.preferences)
        decision = self._parts.layers.decide(notification, delivery.channel, user, utc(now))
        if decision.refused is not None:
            return self._end(DeliveryStatus.SUPPRESSED, decision.refused)
        if decision.until is not None:
            return self._hold("quiet_hours", decision.until.timestamp())
        if delivery.channel == NotificationChannel.IN_APP:
            return self._end(DeliveryStatus.DELIVERED, None)
        locale = self._parts.layers.effective(user).locale
        return await self._deliver(notification, locale)

    async def _deliver(self, notification: Notification, locale: str | None) -> Verdict:
        delivery, parts = self._claimed.delivery, self._parts
        chain = parts.channels.get(delivery.channel)
        if not chain:
            why = parts.missing.get(delivery.channel, "not set up")
            return self._end(DeliveryStatus.SUPPRESSED, f"channel_missing: {why}")
        async with asyncio.timeout(parts.settings.timeout):
            recipient = await parts.directory.lookup(delivery.user_id, delivery.channel)
        if recipient is None:
            return self._end(DeliveryStatus.SUPPRESSED, "no_address")
        if (wrong := check_recipient(recipient)) is not None:
            return self._end(DeliveryStatus.INVALID, wrong)
        try:
            message = await self._render(notification, recipient, locale)
        except TemplateError as exc:
            return self._end(DeliveryStatus.DEAD, str(exc))
        return await self._send(chain, message)

    async def _render(
        self, notification: Notification, recipient: Recipient, locale: str | None
    ) -> Message:
        delivery = self._claimed.delivery

        def make() -> Message:
            return render(
                notification,
                delivery.channel,
                recipient,
                self._parts.templates,
                key=delivery.id,
                locale=locale,
                base_url=self._parts.base_url,
            )

        # a template may take its seconds; others go on meanwhile
        return make() if notification.template is None else await asyncio.to_thread(make)

    async def _send(self, chain: Sequence[Channel], message: Message) -> Verdict:
        """Try the providers in order; the first that takes the message ends the attempt."""
        parts, pause = self._parts, 0.0
        last: ChannelError | None = None
        for channel in chain:
            key = channel.name, channel.provider
            if parts.clock.monotonic() + parts.settings.timeout > self._lease_ends:
                # another worker would take over while this provider still works on it
                self._note("skipped", channel.provider, "the lease ends")
                last = last or ChannelError("no time was left in the lease", retryable=True)
                break
            if wait := parts.circuits.wait(key, parts.clock.monotonic()):
                self._note("skipped", channel.provider, "circuit open")
                pause = wait if not pause else min(pause, wait)
                continue
            try:
                provider_id = await self._call(channel, message)
            except ChannelError as exc:
                last = exc
                self.failures += 1
                if not exc.retryable:
                    parts.circuits.succeeded(key)
                    self._note("refused", channel.provider, str(exc))
                    kind = DeliveryStatus.INVALID if exc.invalid_recipient else DeliveryStatus.DEAD
                    return self._end(kind, str(exc), note=False)
                parts.circuits.failed(key, parts.clock.monotonic())
                self._note("retry", channel.provider, str(exc))
                continue
            parts.circuits.succeeded(key)
            self._note("delivered", channel.provider, None)
            return self._verdict(
                DeliveryStatus.DELIVERED, provider=channel.provider, provider_id=provider_id
            )
        if last is None:  # nobody was called: no attempt was used
            due = parts.clock.time() + pause
            attempts = self._claimed.delivery.attempts - 1
            return self._verdict(
                DeliveryStatus.PENDING, "circuit_open", due_at=due, attempts=attempts
            )
        return self._retry(str(last), last.retry_after)

    async def _call(self, channel: Channel, message: Message) -> str | None:
        self.calls += 1
        limit, delivery = self._parts.settings.timeout, self._claimed.delivery
        attributes = {
            "messaging.system": channel.provider,
            "messaging.destination.name": channel.name,
            "messaging.message.id": delivery.id,
        }
        try:
            async with asyncio.timeout(limit):
                with span(__name__, f"send {channel.name}", attributes):
                    return await channel.send(message)
        except ChannelError:
            raise
        except TimeoutError:
            raise ChannelError(f"no answer in {limit:g} seconds", retryable=True) from None
        except Exception as exc:  # noqa: BLE001  as above
            # a channel that breaks its contract must not stop the others of its chain
            raise ChannelError(f"{type(exc).__name__} was raised", retryable=True) from None

    def _retry(self, reason: str, retry_after: float | None) -> Verdict:
        settings, attempts = self._parts.settings, self._claimed.delivery.attempts
        if attempts >= settings.max_attempts:
            return self._end(DeliveryStatus.DEAD, reason, note=False)
        # "full jitter": M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015
        ceiling = min(settings.backoff_cap, settings.backoff * 2.0 ** min(attempts - 1, 64))
        wait = max(retry_after or 0.0, self._parts.rng.uniform(0.0, ceiling))
        due = self._parts.clock.time() + wait
        return self._verdict(DeliveryStatus.PENDING, f"retry: {reason}", due_at=due)

    def _hold(self, reason: str, until: float) -> Verdict:
        self._note("deferred", None, reason)
        # waiting is no attempt
        attempts = self._claimed.delivery.attempts - 1
        return self._verdict(DeliveryStatus.PENDING, reason, due_at=until, attempts=attempts)

    def _end(self, status: DeliveryStatus, reason: str | None, *, note: bool = True) -> Verdict:
        if note:
            self._note(str(status), None, reason)
        return self._verdict(status, reason)

    def _note(self, outcome: str, provider: str | None, detail: str | None) -> None:
        self._trace.append((self._parts.clock.time(), outcome, provider, detail))

    def _verdict(
        self,
        status: DeliveryStatus,
        reason: str | None = None,
        *,
        due_at: float = 0.0,
        attempts: int | None = None,
        provider: str | None = None,
        provider_id: str | None = None,
    ) -> Verdict:
        delivery = self._claimed.delivery
        return Verdict(
            id=delivery.id,
            fence=delivery.fence,
            status=status,
            history=with_attempt(delivery.history, self._trace),
            attempts=delivery.attempts if attempts is None else attempts,
            due_at=due_at,
            reason=reason,
            provider=provider,
            provider_id=provider_id,
        )
