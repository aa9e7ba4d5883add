"""The rules of the cache: what may be served, what must be computed, what may be stored.

A value carries the versions that its tags had *before* it was computed, and is stored under a fence
that was read before, too: whatever changes meanwhile makes it a miss. L1 is served without asking
anybody while the backplane is alive; without its heartbeat only for as long as such a silence may
go unnoticed anyway.
"""

from .claiming import Claiming
from .invalidating import Invalidating
from .jobs import Counters, Job, Live

__all__ = ["Counters", "Engine", "Job", "Live"]


class Engine(Claiming, Invalidating):
    """The state of one cache and its rules. Safe for threads; L2 is asked on the home loop."""
