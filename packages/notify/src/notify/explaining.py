"""Deliveries in words."""

from .models import Delivery, DeliveryStatus, Explanation

_REASONS = {
    "category_off": "the user opted out of this category",
    "channel_off": "the user does not want this channel",
    "no_address": "the user has no address for this channel",
    "quiet_hours": "the user's quiet hours",
    "scheduled": "its send_at",
    "circuit_open": "every provider's circuit is open after repeated failures",
    "asked_to_wait": "the provider asked to wait",
    "read": "the user read it in the app first",
    "expired": "its expires_at passed",
    "replayed": "it was replayed",
    "digest": "the window of its digest",
    "rate_limit_user": "the most that the user gets in a time",
    "rate_limit_provider": "the most that the provider gets in a time",
}


def explain_delivery(delivery: Delivery) -> Explanation:
    """Return why ``delivery`` is where it is."""
    reason = delivery.reason or ""
    why = _REASONS.get(reason, reason)
    due = "" if delivery.due_at is None else delivery.due_at.isoformat()
    summary = {
        DeliveryStatus.PENDING: f"waits until {due}" + (f": {why}" if why else ""),
        DeliveryStatus.SENDING: f"is being sent by a worker whose lease ends at {due}",
        DeliveryStatus.DELIVERED: f"was taken by {delivery.provider or 'the inbox'}"
        + (f" ({why})" if why.startswith("partly") else ""),
        DeliveryStatus.SUPPRESSED: f"was not sent: {why}",
        DeliveryStatus.INVALID: f"was not sent: the address was refused ({why})",
        DeliveryStatus.EXPIRED: f"was not sent: {why}",
        DeliveryStatus.CANCELLED: f"was cancelled: {why}",
        DeliveryStatus.DEAD: f"failed for good after {delivery.attempts} attempt(s): {why}",
    }[delivery.status]
    steps = tuple(
        " ".join(
            part
            for part in (each.at.isoformat(), each.provider, each.outcome, each.detail)
            if part is not None
        )
        for each in delivery.history
    )
    return Explanation(delivery.channel, delivery.status, f"{delivery.channel} {summary}", steps)
