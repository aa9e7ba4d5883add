"""Stores by URL scheme and channels by provider; third parties add theirs by entry points.

The groups are ``notify.stores`` and ``notify.channels``.
"""

from typing import Any

from ._common.clock import Clock
from ._common.plugins import Plugins
from ._common.urls import query_of, scheme_of
from .errors import ConfigurationError
from .ports import (
    Backplane,
    Channel,
    NotificationStore,
)
from .settings import ChannelSettings

STORES = Plugins(
    "store",
    "notify.stores",
    {
        "memory": "notify.adapters.memory:MemoryStore",
        "sqlite": "notify.adapters.sql:SQLStore",
        "postgresql": "notify.adapters.sql:SQLStore",
        "postgres": "notify.adapters.sql:SQLStore",
        "mysql": "notify.adapters.sql_mysql:MySQLStore",
        "mariadb": "notify.adapters.sql_mysql:MySQLStore",
        "redis": "notify.adapters.redis.store:RedisStore",
        "rediss": "notify.adapters.redis.store:RedisStore",
        "unix": "notify.adapters.redis.store:RedisStore",
        "valkey": "notify.adapters.redis.store:RedisStore",
        "valkeys": "notify.adapters.redis.store:RedisStore",
        "mongodb": "notify.adapters.mongo.store:MongoStore",
    },
)
CHANNELS = Plugins(
    "channel provider",
    "notify.channels",
    {
        "smtp": "notify.adapters.smtp:SMTPChannel",
        "smtps": "notify.adapters.smtp:SMTPChannel",
        "console": "notify.adapters.console:ConsoleChannel",
        "sendgrid": "notify.adapters.http.sendgrid:SendGridChannel",
        "ses": "notify.adapters.http.ses:SESChannel",
        "mailgun": "notify.adapters.http.mailgun:MailgunChannel",
        "firebase": "notify.adapters.http.fcm:FCMChannel",
        "onesignal": "notify.adapters.http.onesignal:OneSignalChannel",
        "webpush": "notify.adapters.http.webpush:WebPushChannel",
        "twilio": "notify.adapters.http.twilio:TwilioChannel",
        "sns": "notify.adapters.http.sns:SNSChannel",
        "webhook": "notify.adapters.http.webhook:WebhookChannel",
        "apprise": "notify.adapters.apprise:AppriseChannel",
    },
)
_BACKPLANES = Plugins(
    "backplane",
    "notify.backplanes",
    {
        "memory": "notify.adapters.local:MemoryBackplane",
        "polling": "notify.adapters.polling:PollingBackplane",
        "redis": "notify.adapters.redis.backplane:RedisBackplane",
        "postgresql": "notify.adapters.postgres_bell:PostgresBackplane",
    },
)
_ONLY = {
    **dict.fromkeys(
        ("smtp", "smtps", "console", "sendgrid", "ses", "mailgun"), ("email", "e-mail")
    ),
    **dict.fromkeys(("twilio", "sns"), ("sms", "text messages")),
    **dict.fromkeys(("firebase", "onesignal", "webpush"), ("push", "push messages")),
}
_BELLS = {
    "postgresql": "postgresql", "postgres": "postgresql",
    **dict.fromkeys(("redis", "rediss", "unix", "valkey", "valkeys"), "redis"),
}  # fmt: skip


def store_from_url(url: str, *, table: str) -> NotificationStore:
    """Construct the store that ``url`` names; no I/O.

    Raises:
        ConfigurationError: The scheme or an option is unknown.
        MissingExtraError: The store's library is not installed.
    """
    scheme = scheme_of(url).partition("+")[0]
    found: Any = STORES.load(scheme)
    if not hasattr(found, "from_url"):
        query_of(url, allowed=frozenset())
        made: NotificationStore = STORES.call(scheme, found)
    else:
        made = STORES.call(scheme, found.from_url, url, table=table)
    return made


def backplane_for(store: NotificationStore, *, table: str, clock: Clock) -> Backplane:
    """Return the backplane that fits a store.

    Redis and PostgreSQL ring by themselves, other databases are looked at now and then; what one
    process holds rings in-process.
    """
    url = getattr(store, "url", None)
    if not isinstance(url, str) or url in {"sqlite://", "sqlite:///:memory:"}:
        made: Backplane = _BACKPLANES.load("memory")()
        return made
    scheme = scheme_of(url).partition("+")[0]
    kind = _BELLS.get(scheme, "polling")
    found = _BACKPLANES.load(kind)
    if kind == "redis":
        made = found.from_url(url, table=table)
    elif kind == "postgresql":
        made = found(url, table=table, rung=True)
    else:
        made = found(url, table=table, clock=clock)
    return made


def channel_from_settings(section: ChannelSettings, name: str) -> Channel:
    """Construct the channel of a section of the settings; no I/O.

    Raises:
        ConfigurationError: A key is missing, or the provider is not there; the message says which
            are.
    """
    url = section.url
    provider = section.provider or (scheme_of(url) if url else None)
    if provider is None:
        raise ConfigurationError(f"{name}.provider is not set; available: {_available(name)}")
    kind = _ONLY.get(provider)
    if kind is not None and kind[0] != name:
        raise ConfigurationError(f"{name} provider {provider!r} sends only {kind[1]}")
    if provider not in CHANNELS.names():
        raise ConfigurationError(
            f"{name} provider {provider!r} is not available; available: {_available(name)}"
        )
    found: Any = CHANNELS.load(provider)
    if provider == "console":
        made: Channel = found(name)
    elif provider in {"smtp", "smtps"}:
        for key in ("url", "from_address"):
            if getattr(section, key) is None:
                raise ConfigurationError(f"{name} provider 'smtp' needs the key {name}.{key}")
        made = found.from_url(url, from_address=section.from_address, name=name)
    else:
        made = CHANNELS.call(provider, getattr(found, "from_settings", found), section, name)
    return made


def _available(name: str) -> str:
    names = [each for each in CHANNELS.names() if _ONLY.get(each, (name,))[0] == name]
    return ", ".join(names)
