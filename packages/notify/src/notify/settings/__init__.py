"""Settings of the service: the section ``notification`` of a YAML file."""

from collections.abc import Mapping
from typing import Annotated, ClassVar
from urllib.parse import urlsplit

import msgspec

from .._common.config import BaseSettings
from ..errors import ConfigurationError
from .sending import (
    ChannelSettings,
    DeliverySettings,
    EmailSettings,
    LimitSettings,
    PushSettings,
    RateSettings,
    TemplateSettings,
)
from .storing import RetentionSettings, StorageSettings
from .web import EventSettings, UnsubscribeSettings, WebsocketSettings
from .wishes import CategorySettings, PreferenceSettings

__all__ = [
    "CategorySettings",
    "ChannelSettings",
    "DeliverySettings",
    "EmailSettings",
    "EventSettings",
    "LimitSettings",
    "PreferenceSettings",
    "PushSettings",
    "RateSettings",
    "RetentionSettings",
    "Settings",
    "StorageSettings",
    "TemplateSettings",
    "UnsubscribeSettings",
    "WebsocketSettings",
]


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
