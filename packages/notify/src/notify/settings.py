"""Settings of the service: the section ``notification`` of a YAML file."""

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

import msgspec

from ._common.config import BaseSettings
from ._common.urls import redact, scheme_of
from .errors import ConfigurationError, InvalidPreferences
from .models import NotificationPreferences
from .quiet import digest_of

Positive = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_SCHEMES = {
    "postgres": "postgresql", "mariadb": "mysql",
    **dict.fromkeys(("rediss", "unix", "valkey", "valkeys"), "redis"),
}  # fmt: skip


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class StorageSettings(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where notifications are kept.

    Attributes:
        type: ``memory``, ``sqlite``, ``postgresql``, ``mysql``, ``redis`` or ``mongodb``; what
            ``connection_string`` says if None.
        connection_string: The store's URL.
        path: The file of a SQLite store, in place of a URL.
        table: The name of the notifications' table or collection; the others' begin with it, and so
            do the keys in Redis.
    """

    type: str | None = None
    connection_string: str | None = None
    path: str | None = None
    table: str = "notifications"

    def __post_init__(self) -> None:
        """Refuse names that are no SQL identifier."""
        if _TABLE.fullmatch(self.table) is None:
            raise ConfigurationError(
                f"table must be letters, digits and underscores, not {self.table!r}"
            )

    def url(self) -> str:
        """Return the URL of the registry that the section means.

        Raises:
            ConfigurationError: A part that the type needs is missing, or two parts disagree.
        """
        kind = _SCHEMES.get(self.type or "", self.type)
        if self.path is not None:
            if kind not in {None, "sqlite"} or self.connection_string is not None:
                raise ConfigurationError("storage 'path' goes with type 'sqlite' and no URL")
            return f"sqlite:///{self.path}"
        url = self.connection_string
        if url is None:
            if kind not in {None, "memory"}:
                raise ConfigurationError(f"storage type {self.type!r} needs 'connection_string'")
            return "memory://"
        scheme = scheme_of(url).partition("+")[0]
        if kind is not None and _SCHEMES.get(scheme, scheme) != kind:
            raise ConfigurationError(f"storage type {self.type!r} does not fit {redact(url)!r}")
        return url


class WebsocketSettings(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The live socket of the web app.

    Attributes:
        enabled: Whether the app serves it.
        path: Where.
        cors_origins: Pages of these origins may use the app: CORS for REST and SSE, and the
            sockets' allow-list.
    """

    enabled: bool = True
    path: Annotated[str, msgspec.Meta(pattern="^/[^?#{}]*$")] = "/ws/notifications"
    cors_origins: Sequence[str] = ()


class ChannelSettings(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
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


class LimitSettings(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """So many in so much time.

    Attributes:
        limit: How many.
        window: Seconds in which they may go out.
    """

    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
    window: Positive = 1.0


class RateSettings(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is held back so that neither providers nor people are flooded.

    Attributes:
        providers: By provider, what all processes together may send; what each may, where the store
            is not shared. Each process spreads it evenly, too.
        users: By channel, what one user gets from all processes together; critical ones pass.
    """

    providers: Mapping[str, LimitSettings] = {}
    users: Mapping[str, LimitSettings] = {}


class UnsubscribeSettings(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One-click unsubscription: RFC 8058.

    Attributes:
        url: Where the web app's ``/unsubscribe`` is reached, ``https://example.com/unsubscribe``.
        signing_keys: Secrets of at least 32 characters; the first signs, all are accepted.
        channels: Whose messages carry the link.
    """

    url: str | None = None
    signing_keys: Sequence[Annotated[str, msgspec.Meta(min_length=32)]] = ()
    channels: Sequence[str] = ("email",)

    def __post_init__(self) -> None:
        """Refuse one of the two without the other, and addresses that are not safe."""
        if (self.url is None) is not (not self.signing_keys):
            raise ConfigurationError("unsubscribe needs both 'url' and 'signing_keys'")
        if self.url is None:
            return
        parts = urlsplit(self.url)
        plain = self.url.isprintable() and not set(self.url) & set(' <>"')
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or not plain:
            raise ConfigurationError(f"unsubscribe.url must be https://…, not {self.url!r}")


class EventSettings(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What providers report to the web app; a provider without its key is not listened to.

    Attributes:
        url: Where the web app is reached, for Twilio, whose signature covers it:
            ``https://example.com/notify``.
        sendgrid_key: SendGrid's verification key (base64).
        mailgun_key: Mailgun's signing key.
        twilio_token: Twilio's auth token.
        sns_topics: The topics of Amazon SNS that may report, ``arn:aws:sns:…``.
        max_age: Seconds after which a signed report is refused.
    """

    url: str | None = None
    sendgrid_key: str | None = None
    mailgun_key: str | None = None
    twilio_token: str | None = None
    sns_topics: Sequence[str] = ()
    max_age: Positive = 3600.0


class RetentionSettings(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long notifications are kept, in seconds; None keeps them.

    Attributes:
        read: After they were read or archived.
        unread: After they were made.
    """

    read: Positive | None = 30 * 86_400.0
    unread: Positive | None = 90 * 86_400.0


class DeliverySettings(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
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


class TemplateSettings(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
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


class CategorySettings(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds for a category unless the user says otherwise.

    Attributes:
        enabled: Whether it is sent at all, or by channel.
        channels: For notifications that name none.
        quiet_hours: Whether users' quiet hours hold for it.
        digest: When its notifications become one message on each channel but in-app: ``"08:00"`` in
            the user's zone, a mapping with ``at``, ``weekdays`` and ``timezone``, or the seconds of
            a window; None sends each by itself.
        unsubscribe: Whether its mails carry the link of one-click unsubscription.
        cancel_on_read: Whether reading it in the app cancels what has not gone out.
    """

    enabled: bool | Mapping[str, bool] = True
    channels: Sequence[str] | None = None
    quiet_hours: bool = True
    digest: Positive | str | Mapping[str, Any] | None = None
    unsubscribe: bool = True
    cancel_on_read: bool | None = None

    def __post_init__(self) -> None:
        """Refuse a digest at a time that does not exist."""
        if self.digest is not None:
            digest_of(self.digest)


class PreferenceSettings(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The layers below the users' own preferences.

    Attributes:
        default: As a user's preferences: channels, categories, quiet_hours, timezone, locale.
        categories: By category.
        cancel_on_read: For categories that say nothing.
    """

    default: Mapping[str, Any] = {}
    categories: Mapping[str, CategorySettings] = {}
    cancel_on_read: bool = True

    def __post_init__(self) -> None:
        """Refuse defaults that are no preferences."""
        self.defaults()

    def defaults(self) -> NotificationPreferences:
        """Return the default layer.

        Raises:
            ConfigurationError: It is no valid preferences.
        """
        try:
            return NotificationPreferences(**self.default)
        except (TypeError, InvalidPreferences) as exc:
            raise ConfigurationError(f"preferences.default: {exc}") from exc


class Settings(BaseSettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole section ``notification``.

    Attributes:
        storage: Where notifications are kept.
        websocket: The live socket.
        email: The channel ``email``; None sets none up.
        push: The channel ``push``; None sets none up.
        sms: The channel ``sms``; None sets none up.
        channels: Channels of other names: ``webhook``, ``chat``, …
        rates: What is held back.
        unsubscribe: One-click unsubscription.
        events: What providers report.
        retention: How long notifications are kept.
        delivery: The delivery worker.
        templates: Templates.
        preferences: The layers below the users' own.
        base_url: Put before an ``action_url`` that is only a path, in mails.
        shutdown_timeout: Seconds that ``aclose`` gives to what is due.
    """

    DIST: ClassVar[str] = "notify"
    SECTION: ClassVar[str] = "notification"
    PREFIX: ClassVar[str] = "NOTIFY"
    URL_AT: ClassVar[tuple[str, str]] = ("storage", "connection_string")

    storage: StorageSettings = StorageSettings()
    websocket: WebsocketSettings = WebsocketSettings()
    email: EmailSettings | None = None
    push: PushSettings | None = None
    sms: ChannelSettings | None = None
    channels: Mapping[str, ChannelSettings] = {}
    rates: RateSettings = RateSettings()
    unsubscribe: UnsubscribeSettings = UnsubscribeSettings()
    events: EventSettings = EventSettings()
    retention: RetentionSettings = RetentionSettings()
    delivery: DeliverySettings = DeliverySettings()
    templates: TemplateSettings = TemplateSettings()
    preferences: PreferenceSettings = PreferenceSettings()
    base_url: str | None = None
    shutdown_timeout: Annotated[float, msgspec.Meta(ge=0, le=86_400)] = 10.0

    def __post_init__(self) -> None:
        """Refuse a base URL that is no web address."""
        if self.base_url is None:
            return
        parts = urlsplit(self.base_url)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise ConfigurationError(f"base_url must be http(s)://host…, not {self.base_url!r}")
