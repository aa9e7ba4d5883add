"""How much one client may ask for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the application refuses, or ends, so that no client harms the others.

    Attributes:
        connections: Sockets, streams and waiting requests in all; 20,000.
        connections_per_user: The same of one user; 50.
        message_bytes: Of one message that a client sends; 4,096.
        ping: Seconds of silence after which a stream is sent a comment; 20.
        patience: Seconds that a client may take nothing before it is dropped; 30.
        recheck: Seconds after which an open connection's user is authenticated anew; 60.
        wait: Seconds that a request may wait for news; 30.
    """

    connections: int = 20_000
    connections_per_user: int = 50
    message_bytes: int = 4096
    ping: float = 20.0
    patience: float = 30.0
    recheck: float = 60.0
    wait: float = 30.0
