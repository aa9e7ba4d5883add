"""What a tier can do."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a tier can do.

    Attributes:
        shared: Other processes see the values.
        durable: Values survive the end of every process.
        announces: Its changes reach the backplane's listeners by themselves, in the same step.
        leases: It can tell processes which of them computes a key.
        patterns: It can list its keys.
    """

    shared: bool = False
    durable: bool = False
    announces: bool = False
    leases: bool = False
    patterns: bool = True
