"""What adapters can do beyond their ports."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an adapter can do beyond its port.

    Attributes:
        durable: Records survive the end of every process (stores).
        shared: Other processes see them (stores), or are told (backplanes).
        transactional: ``add`` can join the caller's SQLAlchemy session (stores).
        attachments: Messages carry files (channels).
        idempotent: The provider drops a message that it has by its key (channels).
    """

    durable: bool = False
    shared: bool = False
    transactional: bool = False
    attachments: bool = False
    idempotent: bool = False
