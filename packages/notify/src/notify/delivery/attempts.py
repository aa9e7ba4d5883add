"""One attempt: from claimed deliveries to a verdict on each."""

import dataclasses
import logging
from collections.abc import Sequence

from .._common.clock import utc
from .._common.telemetry import correlated
from ..errors import BackendError
from ..models import DeliveryStatus, Notification, NotificationChannel
from ..preferences import decode
from ..records import to_notification, with_attempt
from ..stored import Claimed, Verdict
from .chain import retry
from .handing import Handing, Item
from .parts import Outcome, Parts, Trace

logger = logging.getLogger(__name__)


class Attempt:
    """Decides, renders and sends what was claimed together: one delivery, or those of a bundle."""

    def __init__(self, parts: Parts, claimed: Sequence[Claimed]) -> None:
        """Take what a worker claimed; several are of one user, channel and category."""
        self._parts = parts
        self._claimed = sorted(claimed, key=lambda each: each.delivery.created_at)
        self._lease_ends = parts.clock.monotonic() + parts.settings.lease
        self.calls = self.failures = 0

    async def run(self) -> list[tuple[Claimed, Verdict]]:
        """Return how each ended; nothing is raised but cancellation."""
        ended, items = list[tuple[Claimed, Verdict]](), list[Item]()
        for each in self._claimed:
            found = self._looked_at(each)
            if isinstance(found, Item):
                items.append(found)
            else:
                ended.append((each, found))
        if items:
            ended += await self._hand_over(items)
        return ended

    def _looked_at(self, claimed: Claimed) -> Item | Verdict:
        """Return what may go out now, or how it ends without a provider."""
        try:
            notification = to_notification(claimed.record)
            verdict = self._decide(claimed, notification)
        except BackendError as exc:
            return self._verdict(claimed, DeliveryStatus.DEAD, str(exc))
        except Exception as exc:  # noqa: BLE001  whatever it is, it is this delivery's alone
            return self._failed(claimed, exc)
        return Item(claimed, notification) if verdict is None else verdict

    def _decide(self, claimed: Claimed, notification: Notification) -> Verdict | None:
        """Return how it ends without a provider; None if it may go out now."""
        delivery, now = claimed.delivery, self._parts.clock.time()
        if notification.expires_at is not None and notification.expires_at.timestamp() <= now:
            return self._verdict(claimed, DeliveryStatus.EXPIRED, "expired")
        if delivery.attempts > self._parts.settings.max_attempts:
            why = "the worker vanished in the last attempt"
            return self._verdict(claimed, DeliveryStatus.DEAD, why)
        user = decode(claimed.preferences)
        decision = self._parts.layers.decide(notification, delivery.channel, user, utc(now))
        if decision.refused is not None:
            return self._verdict(claimed, DeliveryStatus.SUPPRESSED, decision.refused)
        if decision.until is not None:
            held = Outcome(
                DeliveryStatus.PENDING, "quiet_hours", decision.until.timestamp(), used=False
            )
            return self._conclude(claimed, held, [(now, "deferred", None, "quiet_hours")])
        if delivery.channel == NotificationChannel.IN_APP:
            return self._verdict(claimed, DeliveryStatus.DELIVERED, None)
        return None

    async def _hand_over(self, items: Sequence[Item]) -> list[tuple[Claimed, Verdict]]:
        first = items[0].claimed
        correlation = items[0].notification.metadata.get("correlation_id")
        with correlated(correlation if isinstance(correlation, str) else None):
            try:
                user = decode(first.preferences)
                handing = Handing(self._parts, items, user, self._lease_ends)
                outcome = await handing.run()
            except Exception as exc:  # noqa: BLE001  as above
                return [(each.claimed, self._failed(each.claimed, exc)) for each in items]
        self.calls += handing.chain.calls
        self.failures += handing.chain.failures
        # one delivery of a digest answers to the provider's id
        rest = dataclasses.replace(outcome, provider_id=None)
        return [
            (each.claimed, self._conclude(each.claimed, rest if place else outcome, handing.trace))
            for place, each in enumerate(items)
        ]

    def _failed(self, claimed: Claimed, exc: Exception) -> Verdict:
        # a directory's or a custom channel's own fault: its text may hold addresses
        what = type(exc).__name__
        trace: Trace = [(self._parts.clock.time(), "retry", None, what)]
        outcome = retry(self._parts, claimed.delivery.attempts, f"{what} was raised", None)
        return self._conclude(claimed, outcome, trace)

    def _verdict(self, claimed: Claimed, status: DeliveryStatus, reason: str | None) -> Verdict:
        trace: Trace = [(self._parts.clock.time(), str(status), None, reason)]
        return self._conclude(claimed, Outcome(status, reason), trace)

    def _conclude(self, claimed: Claimed, outcome: Outcome, trace: Trace) -> Verdict:
        """Return what an outcome means for one delivery."""
        delivery, status, reason = claimed.delivery, outcome.status, outcome.reason
        attempts = delivery.attempts if outcome.used else delivery.attempts - 1
        due_at = outcome.due_at
        if status is DeliveryStatus.PENDING and outcome.used:
            if attempts >= self._parts.settings.max_attempts:
                status, due_at = DeliveryStatus.DEAD, 0.0
                if outcome.reached:
                    status, reason = DeliveryStatus.DELIVERED, f"partly: {reason}"
            else:
                reason = f"retry: {reason}"
        return Verdict(
            id=delivery.id,
            fence=delivery.fence,
            status=status,
            history=with_attempt(delivery.history, trace),
            attempts=attempts,
            due_at=due_at,
            reason=reason,
            provider=outcome.provider,
            provider_id=outcome.provider_id,
        )
