"""Resilience: the shared level behind a time limit, a circuit breaker and a queue of changes."""

from .level import Lease, SharedLevel

__all__ = ["Lease", "SharedLevel"]
