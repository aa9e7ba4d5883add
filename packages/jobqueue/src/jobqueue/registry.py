"""Brokers by URL scheme; third parties add theirs by the entry point ``jobqueue.brokers``."""

from typing import Any

from ._common.clock import Clock
from ._common.plugins import Plugins
from ._common.urls import query_of, scheme_of
from .ports import Broker

BROKERS = Plugins(
    "broker",
    "jobqueue.brokers",
    {
        "memory": "jobqueue.adapters.memory:MemoryBroker",
        "sqlite": "jobqueue.adapters.sql:SQLBroker",
    },
)


def broker_from_url(url: str, *, clock: Clock) -> Broker:
    """Construct the broker that ``url`` names; no I/O.

    Raises:
        ConfigurationError: The scheme or an option is unknown.
        MissingExtraError: The broker's library is not installed.
    """
    found: Any = BROKERS.load(scheme_of(url).partition("+")[0])
    if not hasattr(found, "from_url"):
        query_of(url, allowed=frozenset())
        plain: Broker = found(clock=clock)
        return plain
    made: Broker = found.from_url(url, clock=clock)
    return made
