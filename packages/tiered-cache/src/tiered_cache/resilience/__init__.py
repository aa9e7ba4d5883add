"""Resilience: the shared level behind a time limit, a circuit breaker and a queue of changes."""

from .leases import Lease
from .level import SharedLevel
from .limits import Limit

__all__ = ["Lease", "Limit", "SharedLevel"]
