"""How messages go out: providers, limits, the worker, templates."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from ..errors import ConfigurationError
from .section import Positive, Section


class ChannelSettings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider of a channel.

    Attributes:
        enabled: Whether it is set up.
        provider: Its name: ``smtp``, ``sendgrid``, ``firebase``, … or that of an entry point; the
            scheme of ``url`` if None.
        url: Where it is: ``smtp://user:password@host:587``, the base of an API, an Apprise URL.
        from_address: The sender of e-mail, ``noreply@example.com`` or ``Name <…@…>``.
        api_key: The provider's secret.
        credentials_path: Its file of secrets.
        options: What else the provider takes, as arguments of its class.
        failover: Providers that are tried, in this order, where this one does not take a message.
    """

    enabled: bool = True
    provider: str | None = None
    url: str | None = None
    from_address: str | None = None
    api_key: str | None = None
    credentials_path: str | None = None
    options: Mapping[str, Any] = {}
    failover: Sequence["ChannelSettings"] = ()


class EmailSettings(ChannelSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The channel ``email``.

    Attributes:
        template_dir: The folder of the channel's templates.
    """

    template_dir: str | None = None


class PushSettings(ChannelSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The channel ``push``."""


class LimitSettings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """So many in so much time.

    Attributes:
        limit: How many.
        window: Seconds in which they may go out.
    """

    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    window: Positive = 1.0


class RateSettings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is held back so that neither providers nor people are flooded.

    Attributes:
        providers: By provider, what all processes together may send; what each may, where the store
            is not shared. Each process spreads it evenly, too.
        users: By channel, what one user gets from all processes together; critical ones pass.
    """

    providers: Mapping[str, LimitSettings] = {}
    users: Mapping[str, LimitSettings] = {}


class DeliverySettings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The delivery worker.

    Attributes:
        background: Whether an instance that sends also delivers; else only workers do.
        max_attempts: After so many a delivery is dead.
        backoff: Seconds; the n-th retry waits a random time up to ``backoff * 2 ** (n - 1)``.
        backoff_cap: The longest wait, in seconds.
        timeout: Seconds that one provider call may take.
        lease: Seconds after which a silent worker's deliveries are taken over; over ``timeout``.
        concurrency: Provider calls at once, per channel.
        poll_interval: Seconds between looks for work of other processes.
        breaker_failures: So many failures in a row open a provider's circuit.
        breaker_pause: Seconds that an open circuit spares the provider.
    """

    background: bool = True
    max_attempts: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 8
    backoff: Positive = 5.0
    backoff_cap: Positive = 3600.0
    timeout: Positive = 30.0
    lease: Positive = 90.0
    concurrency: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 8
    poll_interval: Positive = 1.0
    breaker_failures: Annotated[int, msgspec.Meta(ge=1)] = 5
    breaker_pause: Positive = 30.0

    def __post_init__(self) -> None:
        """Refuse leases that end while a healthy worker still waits for a provider."""
        if self.lease <= self.timeout:
            raise ConfigurationError(
                f"delivery.lease ({self.lease:g}) must be longer than delivery.timeout "
                f"({self.timeout:g})"
            )


class TemplateSettings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Templates.

    Attributes:
        dir: The folder with one folder per channel.
        locale: The language of last resort, before templates without one.
        max_size: Most characters of a template file and of what it makes.
        timeout: Seconds that one template may take.
    """

    dir: str | None = None
    locale: str = "en"
    max_size: Annotated[int, msgspec.Meta(ge=1)] = 500_000
    timeout: Positive = 2.0
