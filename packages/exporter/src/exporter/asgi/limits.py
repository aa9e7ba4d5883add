"""How much one client may ask for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the application refuses, or ends, so that no client harms the others.

    Attributes:
        connections: Streams of events and downloads in all; 20,000.
        connections_per_user: The same of one user; 100. All who come by links to one export, and
            are not signed in, count as one user.
        body_bytes: Of a request; 1 MiB.
        ping: Seconds of silence after which a stream of events says something; 25.
        patience: Seconds that a stream may take nothing before it is dropped; 20.
        download_patience: The same for downloads, which people pause; 300.
        recheck: Seconds after which the user of an open stream is authenticated anew; 60.
    """

    connections: int = 20_000
    connections_per_user: int = 100
    body_bytes: int = 1 << 20
    ping: float = 25.0
    patience: float = 20.0
    download_patience: float = 300.0
    recheck: float = 60.0
