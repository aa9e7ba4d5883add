"""What a running handler can say and ask."""

import logging
import threading
from collections.abc import Callable

from .ports import Lease


class JobContext:
    """The second parameter of a handler, when annotated so. Safe for threads.

    Attributes:
        job_id: The id of the running job.
        attempt: 1 for the first.
        logger: Carries ``job_id`` in every record.
    """

    def __init__(
        self,
        lease: Lease,
        *,
        name: str,
        attempt: int,
        on_progress: Callable[[float], None] | None = None,
    ) -> None:
        """Belong to the attempt that holds ``lease``."""
        self.job_id, self.attempt = lease.id, attempt
        self.logger = logging.LoggerAdapter(
            logging.getLogger(f"jobqueue.job.{name}"), {"job_id": lease.id, "attempt": attempt}
        )
        self._lease, self._on_progress = lease, on_progress
        self._cancelled = threading.Event()

    @property
    def cancelled(self) -> bool:
        """Whether the job was cancelled or its lease lost: stop, the outcome will be refused."""
        return self._cancelled.is_set()

    def progress(self, percent: float) -> None:
        """Report 0 to 100; stored with the next heartbeat.

        Raises:
            ValueError: ``percent`` is out of range or not a number.
        """
        if not 0 <= percent <= 100:
            raise ValueError(f"progress must be between 0 and 100, not {percent!r}")
        self._lease.progress = float(percent)
        if self._on_progress is not None:
            self._on_progress(float(percent))

    def cancel(self) -> None:
        """Tell the handler to stop. For workers."""
        self._cancelled.set()
