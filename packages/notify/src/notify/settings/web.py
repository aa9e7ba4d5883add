"""What the web app does: the live socket, one-click unsubscription, reports of providers."""

from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlsplit

import msgspec

from ..errors import ConfigurationError
from .section import Positive, Section


class WebsocketSettings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
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


class UnsubscribeSettings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
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


class EventSettings(Section, frozen=True, kw_only=True, forbid_unknown_fields=True):
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
