"""After an outage: time for others to say that they live, before their jobs are taken back."""

from .._common.clock import Clock
from ..errors import JobQueueError


class Grace:
    """Whether one worker may take back leases that ran out.

    While the broker is out of reach nobody can renew, and all leases run out, of healthy workers
    too. Whoever finds it again first must not run their jobs a second time: from the first call
    that comes through again it takes back nothing for one lease.
    """

    def __init__(self, clock: Clock, lease: float) -> None:
        """Begin with all well; ``lease`` in seconds. Safe for threads."""
        self._clock, self._lease = clock, lease
        self._until, self._away = float("-inf"), False

    def note(self, fault: BaseException) -> None:
        """Take in how a call failed."""
        # a timeout of our own, or what the broker says may pass: it was out of reach
        if not isinstance(fault, JobQueueError) or getattr(fault, "retryable", False):
            self._away = True

    def answered(self) -> None:
        """Take in that a call came through: after failed ones the others' time begins now."""
        if self._away:
            self._away = False
            self._until = self._clock.monotonic() + self._lease

    @property
    def is_over(self) -> bool:
        """Whether leases may be taken back."""
        return not self._away and self._clock.monotonic() >= self._until
