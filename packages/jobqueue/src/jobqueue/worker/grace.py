"""After an outage: time for others to say that they live, before their jobs are taken back."""

from .._common.clock import Clock
from ..errors import JobQueueError


class Grace:
    """Whether one worker may take back leases that ran out.

    While the broker is out of reach nobody can renew, and all leases run out, of healthy workers
    too. Whoever finds it again first must not run their jobs a second time: for one lease after
    the last failed call it takes back nothing.
    """

    def __init__(self, clock: Clock, lease: float) -> None:
        """Begin with all well; ``lease`` in seconds. Safe for threads."""
        self._clock, self._lease = clock, lease
        self._until = float("-inf")

    def note(self, fault: BaseException) -> None:
        """Take in how a call failed."""
        # a timeout of our own, or what the broker says may pass: it was out of reach
        if not isinstance(fault, JobQueueError) or getattr(fault, "retryable", False):
            self._until = self._clock.monotonic() + self._lease

    @property
    def is_over(self) -> bool:
        """Whether leases may be taken back."""
        return self._clock.monotonic() >= self._until
