"""The queue: what applications call, in parts."""

from datetime import timedelta

from .._common.home import at_home
from ..checks import check_number
from .base import seconds
from .flows import Flows
from .idle import run_until_idle
from .registering import Registering
from .ringing import Ringing

__all__ = ["JobQueue"]


class JobQueue(Flows, Registering, Ringing):
    """Enqueues jobs, registers their handlers and runs workers.

    Safe for several event loops and threads; handlers run where the worker runs.
    """

    @at_home
    async def run_until_idle(self, advance: float | timedelta = 0.0) -> None:
        """Run here what is due, and what becomes due within ``advance`` seconds, without waiting.

        For tests: delays, retries and cron happen as time is moved on to the moment of each.

        Raises:
            ConfigurationError: ``advance`` is no length of time.
        """
        await run_until_idle(self, check_number(seconds(advance), "advance", 0, 1e10))
