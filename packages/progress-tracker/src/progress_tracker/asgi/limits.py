"""How much one client may ask for."""

from dataclasses import dataclass, fields
from typing import Any

from ..errors import ConfigurationError
from ..rules import checks


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the application refuses, or ends, so that no client harms the others.

    Attributes:
        connections: Sockets, streams and waiting requests in all; 20,000.
        connections_per_user: The same of one user; 100.
        subscriptions: Operations on one socket or stream; 500.
        message_bytes: Of one message that a client sends; 4,096.
        ping: Seconds of silence after which the server says something; 25.
        patience: Seconds that a client may take nothing before it is dropped; 20.
        recheck: Seconds after which an open connection's user is authenticated anew; 60.
        wait: Seconds that a request may wait for a newer state; 60.

    Raises:
        ConfigurationError: One of them is no number over zero.
    """

    connections: int = 20_000
    connections_per_user: int = 100
    subscriptions: int = 500
    message_bytes: int = 4096
    ping: float = 25.0
    patience: float = 20.0
    recheck: float = 60.0
    wait: float = 60.0

    def __post_init__(self) -> None:
        for each in fields(self):
            value: Any = getattr(self, each.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                shown = checks.shown(value)
                raise ConfigurationError(f"Limits({each.name}=…) must be over 0, not {shown}")
