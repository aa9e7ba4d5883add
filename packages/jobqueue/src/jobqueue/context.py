"""What a running handler can say and ask."""

import logging
from collections.abc import Callable, Sequence

from .models import Job
from .ports import Lease


class JobContext:
    """The second parameter of a handler, when annotated so. Safe for threads.

    Attributes:
        job_id: The id of the running job.
        attempt: 1 for the first.
        parents: The jobs that this one depends on, with their results, in their order.
        on_heartbeat: What restarts the timeout. For workers.
    """

    def __init__(
        self,
        lease: Lease,
        *,
        name: str,
        attempt: int,
        parents: Sequence[Job] = (),
        on_progress: Callable[[float], None] | None = None,
        on_heartbeat: Callable[[], None] | None = None,
    ) -> None:
        """Belong to the attempt that holds ``lease``."""
        self.job_id, self.attempt, self.parents = lease.id, attempt, parents
        self._name, self._lease, self._on_progress = name, lease, on_progress
        self.on_heartbeat = on_heartbeat
        self._cancelled = False

    @property
    def logger(self) -> "logging.LoggerAdapter[logging.Logger]":
        """A logger that carries ``job_id`` and ``attempt`` in every record."""
        about = {"job_id": self.job_id, "attempt": self.attempt}
        return logging.LoggerAdapter(logging.getLogger(f"jobqueue.job.{self._name}"), about)

    @property
    def cancelled(self) -> bool:
        """Whether the job was cancelled or its lease lost: stop, the outcome will be refused."""
        return self._cancelled

    def progress(self, percent: float) -> None:
        """Report 0 to 100; stored with the next heartbeat.

        Raises:
            ValueError: ``percent`` is out of range or not a number.
        """
        given: object = percent
        if not isinstance(given, int | float) or not 0 <= given <= 100:
            raise ValueError(f"progress must be a number between 0 and 100, not {given!r:.60}")
        self._lease.progress = float(percent)
        if self._on_progress is not None:
            self._on_progress(float(percent))

    def heartbeat(self) -> bool:
        """Say that the handler goes on: its timeout begins anew. Return whether it should.

        The lease needs no heartbeat: the worker renews it by itself.
        """
        if self.on_heartbeat is not None:
            self.on_heartbeat()
        return not self._cancelled

    def cancel(self) -> None:
        """Tell the handler to stop. For workers."""
        self._cancelled = True
