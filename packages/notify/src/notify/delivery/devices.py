"""Several addresses of one user on one channel: which have the message, and how it all ended."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from ..models import DeliveryStatus
from ..records import MARK, marks_of
from ..stored import DeliveryRecord
from .parts import Outcome

MOST = 20
# the worst of those for which nothing is left to try decides, if none took it
_ORDER = (DeliveryStatus.DEAD, DeliveryStatus.INVALID, DeliveryStatus.SUPPRESSED)


def mark_of(delivery: DeliveryRecord, digest: str) -> str:
    """Return what the history calls an address: nobody can tell it from another delivery's."""
    text = f"{delivery.id}\0{digest}"
    return f"{MARK}{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def has_taken(delivery: DeliveryRecord, digest: str) -> bool:
    """Whether an earlier attempt reached this address."""
    return mark_of(delivery, digest) in marks_of(delivery.history)


def together(delivery: DeliveryRecord, outcomes: Sequence[Outcome]) -> Outcome:
    """Return how a delivery stands by what became of it at each address."""
    taken = [each for each in outcomes if each.status is DeliveryStatus.DELIVERED]
    waiting = [each for each in outcomes if each.status is DeliveryStatus.PENDING]
    first = next((each for each in taken if each.provider is not None), None)
    provider = delivery.provider if first is None else first.provider
    provider_id = delivery.provider_id if first is None else first.provider_id
    others = [each for each in outcomes if each.status is not DeliveryStatus.DELIVERED]
    if waiting:
        next_one = min(waiting, key=lambda each: each.due_at)
        made = replace(next_one, used=any(each.used for each in outcomes), reached=bool(taken))
    elif taken:
        reason = f"partly: {others[0].reason}" if others else None
        made = Outcome(DeliveryStatus.DELIVERED, reason)
    else:
        made = min(others, key=lambda each: _ORDER.index(each.status))
    return replace(made, provider=provider, provider_id=provider_id)
