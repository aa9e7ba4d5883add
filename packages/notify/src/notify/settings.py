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


class EmailSettings(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The channel ``email``.

    Attributes:
        enabled: Whether it is set up.
        provider: ``smtp`` or ``console``; the scheme of ``url`` if None.
        url: ``smtp://user:password@host:587``, ``smtps://…:465``.
        from_address: The sender, ``noreply@example.com`` or ``Name <noreply@example.com>``.
        template_dir: The folder of the channel's templates.
        api_key: The secret of providers that have one.
    """

    enabled: bool = True
    provider: str | None = None
    url: str | None = None
    from_address: str | None = None
    template_dir: str | None = None
    api_key: str | None = None


class PushSettings(_Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The channel ``push``.

    Attributes:
        enabled: Whether it is set up.
        provider: Which provider.
        credentials_path: Its file of secrets.
        api_key: Its secret.
    """

    enabled: bool = True
    provider: str | None = None
    credentials_path: str | None = None
    api_key: str | None = None


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
        cancel_on_read: Whether reading it in the app cancels what has not gone out.
    """

    enabled: bool | Mapping[str, bool] = True
    channels: Sequence[str] | None = None
    quiet_hours: bool = True
    cancel_on_read: bool | None = None


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
