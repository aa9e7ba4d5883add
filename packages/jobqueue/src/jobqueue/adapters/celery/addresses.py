"""What the URL of a message broker says, and how its queues are called."""

import hashlib
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ..._common.urls import flag, query_of, redact, scheme_of, without_query
from ...errors import ConfigurationError

RING = "jobqueue.ring"
"""The name of the Celery task, and all that a message says beside the name of a queue."""
_TRANSPORTS = ("amqp", "amqps", "sqs", "redis", "rediss")
_OWN = frozenset({"prefix", "timeout"})
_TLS = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
_SQS = frozenset({"region", "tls"})
_PREFIX = re.compile(r"[A-Za-z0-9_-]{1,40}")
_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,39}")


@dataclass(frozen=True, slots=True)
class Address:
    """A message broker.

    Attributes:
        url: As Celery takes it; may hold a password.
        prefix: What the names of its queues begin with.
        timeout: Seconds that publishing waits for the server.
        options: Celery's ``broker_transport_options``.
        tls: Celery's ``broker_use_ssl``; None without TLS.
    """

    url: str = field(repr=False)
    prefix: str = "jobqueue-"
    timeout: float = 5.0
    options: Mapping[str, Any] = field(default_factory=dict)
    tls: Mapping[str, Any] | None = None

    @property
    def transport(self) -> str:
        """What comes after ``celery+`` in the URL: ``amqp``, ``sqs``, ``redis``, …."""
        return scheme_of(self.url)

    def queue(self, name: str) -> str:
        """Return the name of the Celery queue that rings for jobs of the queue ``name``.

        RabbitMQ, Redis and SQS all take it; two names never share one but by a broken SHA-256.
        """
        if _PLAIN.fullmatch(name) and not re.search(r"-[0-9a-f]{16}$", name):
            return self.prefix + name
        plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:22]
        return f"{self.prefix}{plain}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def address_of(url: str) -> Address:
    """Return what ``celery+amqp://…`` and its like say.

    Raises:
        ConfigurationError: The transport or an option is unknown, or out of range.
    """
    transport = scheme_of(url).removeprefix("celery+")
    if transport not in _TRANSPORTS:
        known = ", ".join(f"celery+{each}://" for each in _TRANSPORTS)
        raise ConfigurationError(f"unknown transport in {redact(url)!r}; known: {known}")
    secure = transport in {"amqps", "rediss"}
    more = _TLS if secure else _SQS if transport == "sqs" else frozenset[str]()
    options = query_of(url, allowed=_OWN | more)
    plain = without_query(url).partition("+")[2]
    return Address(
        plain,
        prefix=_prefix(options.get("prefix", "jobqueue-")),
        timeout=_timeout(options.get("timeout", "5")),
        options=_transport_options(transport, options),
        tls=_tls(transport, urlsplit(plain).hostname, options) if secure else None,
    )


def _prefix(text: str) -> str:
    if not _PREFIX.fullmatch(text):
        raise ConfigurationError(
            f"prefix must be up to 40 letters, digits, '-' and '_', not {text[:60]!r}"
        )
    return text


def _timeout(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.1 <= value <= 3600:
        raise ConfigurationError(f"timeout must be a number from 0.1 to 3600, not {text[:60]!r}")
    return value


def _transport_options(transport: str, options: Mapping[str, str]) -> dict[str, Any]:
    if transport != "sqs":
        return {}
    made: dict[str, Any] = {
        "is_secure": flag(options, "tls", default=True),
        # an unanswered ring is worthless after a moment: the timers ring again
        "visibility_timeout": 30,
        "polling_interval": 0.2,
        "wait_time_seconds": 5,
    }
    if "region" in options:
        made["region"] = options["region"]
    return made


def _tls(transport: str, host: str | None, options: Mapping[str, str]) -> dict[str, Any]:
    """Return options by which both libraries check certificate and name of the server."""
    roots = options.get("ssl_ca_certs") or ssl.get_default_verify_paths().cafile
    made: dict[str, Any] = {"cert_reqs": ssl.CERT_REQUIRED, "ca_certs": roots}
    for name in ("certfile", "keyfile"):
        if (path := options.get(f"ssl_{name}")) is not None:
            made[name] = path
    if transport == "rediss":
        return {f"ssl_{name}": value for name, value in made.items()} | {"ssl_check_hostname": True}
    return {**made, "server_hostname": host}
