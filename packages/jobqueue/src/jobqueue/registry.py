"""Brokers by URL scheme; third parties add theirs by the entry point ``jobqueue.brokers``."""

from collections.abc import Callable
from typing import Any

from ._common.clock import Clock
from ._common.plugins import Plugins
from ._common.urls import query_of, redact, scheme_of
from .errors import ConfigurationError
from .ports import Broker, Outbox

BROKERS = Plugins(
    "broker",
    "jobqueue.brokers",
    {
        "memory": "jobqueue.adapters.memory:MemoryBroker",
        "sqlite": "jobqueue.adapters.sql.sqlite:SQLiteBroker",
        "postgresql": "jobqueue.adapters.sql.postgres:PostgresBroker",
        "postgres": "jobqueue.adapters.sql.postgres:PostgresBroker",
        "mysql": "jobqueue.adapters.sql.mysql:MySQLBroker",
        "mariadb": "jobqueue.adapters.sql.mysql:MySQLBroker",
        **dict.fromkeys(
            ("redis", "rediss", "unix", "valkey", "valkeys"),
            "jobqueue.adapters.redis.broker:RedisBroker",
        ),
        "celery": "jobqueue.adapters.celery.broker:CeleryBroker",
    },
)

_SQL = ("sqlite", "postgresql", "postgres", "mysql", "mariadb")
OUTBOXES = Plugins(
    "outbox",
    "jobqueue.outboxes",
    dict.fromkeys(_SQL, "jobqueue.adapters.outbox:SQLOutbox"),
)

_PARTS = Plugins(
    "part",
    "jobqueue.parts",
    {
        "celery_app": "jobqueue.adapters.celery.app:make_app",
        "dashboard": "jobqueue.asgi.local:Local",
    },
)


def broker_from_url(url: str, *, clock: Clock, store: str | None = None) -> Broker:
    """Construct the broker that ``url`` names; no I/O.

    Args:
        url: The broker.
        clock: What tests move.
        store: The URL of the broker that keeps the jobs where ``url`` only carries messages.

    Raises:
        ConfigurationError: The scheme or an option is unknown.
        MissingExtraError: The broker's library is not installed.
    """
    scheme = scheme_of(url).partition("+")[0]
    found: Any = BROKERS.load(scheme)
    if scheme == "celery":
        if store is None:
            raise ConfigurationError(
                f"{redact(url)} carries messages only: name the database or Redis that keeps the "
                "jobs as store, for example JobQueue.from_url('celery+amqp://…', "
                "store='postgresql://localhost/app')"
            )
        behind = broker_from_url(store, clock=clock)
        carried: Broker = found.from_url(url, store=behind, clock=clock)
        return carried
    if store is not None:
        raise ConfigurationError(f"a store belongs to celery+… brokers only, not to {redact(url)}")
    if not hasattr(found, "from_url"):
        query_of(url, allowed=frozenset())
        plain: Broker = BROKERS.call(scheme, found, clock=clock)
        return plain
    made: Broker = BROKERS.call(scheme, found.from_url, url, clock=clock)
    return made


def outbox_from_url(url: str) -> Outbox:
    """Construct the outbox in the database that ``url`` names; no I/O.

    Raises:
        ConfigurationError: There is no outbox for such a database.
    """
    found: Any = OUTBOXES.load(scheme_of(url).partition("+")[0])
    made: Outbox = found(url)
    return made


def celery_app(broker: Broker, door: Callable[[Callable[[str, int], None]], Any], app: Any) -> Any:
    """Return a Celery application whose workers run the jobs of ``broker``.

    Args:
        broker: One of ``celery+…``.
        door: Makes, of a function that rings, what answers rings.
        app: An application to extend; None for a new one.

    Raises:
        ConfigurationError: ``broker`` is another one, or ``app`` cannot be used.
        MissingExtraError: Celery is not installed.
    """
    make: Any = _PARTS.load("celery_app")
    return make(broker, door, app)


def local_dashboard(queue: Any, **options: Any) -> Any:
    """Return the dashboard's server on this machine, with its port taken.

    Args:
        queue: The service to show.
        options: As for :class:`jobqueue.asgi.local.Local`.

    Raises:
        ConfigurationError: It cannot listen there.
        MissingExtraError: uvicorn or Starlette is not installed.
    """
    return _PARTS.load("dashboard")(queue, **options)
