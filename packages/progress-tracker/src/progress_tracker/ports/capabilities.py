"""What an adapter can do beyond its port."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an adapter can do beyond its port.

    Attributes:
        durable: What it keeps survives the end of every process.
        shared: Other processes see the same.
        rings: Its writes ring a bell by themselves, in the same step (unless an option says no).
    """

    durable: bool = False
    shared: bool = False
    rings: bool = False
