"""What attempts need, and how they end."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .._common.clock import Clock
from ..models import DeliveryStatus
from ..ports import Channel, NotificationStore, RecipientDirectory
from ..preferences import Layers
from ..settings import DeliverySettings, RateSettings
from ..templates import Templates
from .circuits import Circuits
from .limits import Limits
from .links import Links

Trace = list[tuple[float, str, str | None, str | None]]
"""Steps of an attempt: time, outcome, provider, detail."""


@dataclass(frozen=True)
class Parts:
    """What an attempt needs.

    Attributes:
        store: Suppressions and the users' quotas are looked up there.
        channels: By notification channel, its providers in the order in which they are tried.
        missing: By channel, why it is not set up.
        directory: Where users are reached.
        layers: The preferences below the users' own.
        templates: The templates.
        settings: The worker's.
        rates: What one user gets.
        base_url: For links that are only a path.
        clock: Decides leases and waits.
        rng: Jitter.
        circuits: Shared by the workers of an instance.
        limits: What providers get.
        links: Makes the links of one-click unsubscription.
    """

    store: NotificationStore
    channels: Mapping[str, Sequence[Channel]]
    missing: Mapping[str, str]
    directory: RecipientDirectory
    layers: Layers
    templates: Templates
    settings: DeliverySettings
    rates: RateSettings
    base_url: str | None
    clock: Clock
    rng: random.Random
    circuits: Circuits = field(repr=False)
    limits: Limits = field(repr=False)
    links: Links = field(repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How handing a message over ended, for each delivery that it carried.

    Attributes:
        status: A final one, or ``pending``.
        reason: Why.
        due_at: When it may be tried again, if pending.
        used: Whether it counts as an attempt.
        provider: Who took it.
        provider_id: The provider's id of it.
        reached: Whether some of the user's addresses have it, if pending.
    """

    status: DeliveryStatus
    reason: str | None = None
    due_at: float = 0.0
    used: bool = True
    provider: str | None = None
    provider_id: str | None = None
    reached: bool = False
