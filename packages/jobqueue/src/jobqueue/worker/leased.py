"""What a worker has leased: the attempts that run, and those that are about to."""

import logging
from collections.abc import Callable, Mapping, Sequence

from ..ports import Lease, Record
from .attempts import Attempt

logger = logging.getLogger(__name__)


class Leased:
    """The attempts that a worker holds the leases of. For its event loop.

    :meth:`leases` and :meth:`counts` may be called in any thread.
    """

    def __init__(self, worker_id: str) -> None:
        """Hold nothing yet."""
        self._worker_id = worker_id
        self._held: dict[str, Attempt] = {}
        self._waiting: list[Attempt] = []

    def __len__(self) -> int:
        return len(self._held)

    def take(self, records: Sequence[Record]) -> Sequence[Attempt]:
        """Hold what was claimed; it waits until :meth:`begin`."""
        taken = [Attempt.of(record) for record in records]
        self._held |= {attempt.record.id: attempt for attempt in taken}
        self._waiting += taken
        return taken

    def begin(self) -> Sequence[Attempt]:
        """Return the attempts that wait, to be started now."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def drop(self, attempt: Attempt) -> None:
        """Hold an attempt no longer. By identity: the job may be ours again, under a new lease."""
        if self._held.get(attempt.record.id) is attempt:
            del self._held[attempt.record.id]

    def attempts(self) -> Sequence[Attempt]:
        """Return those that are held."""
        return list(self._held.values())

    def leases(self) -> Sequence[Lease]:
        """Return the leases of those that are held."""
        return [attempt.lease for attempt in self.attempts()]

    def lose(self, leases: Sequence[Lease]) -> None:
        """Stop the attempts whose leases are gone: nobody asks for their outcomes."""
        for lease in leases:
            attempt = self._held.get(lease.id)
            if attempt is not None and attempt.lease is lease and not attempt.lost:
                attempt.lost = True
                logger.info("job.lease_lost", extra={"job_id": lease.id, "worker": self._worker_id})
                attempt.cancel()

    def free(self, slots: Mapping[str, int]) -> dict[str, int]:
        """Return how many of ``slots`` are free; queues without a free one are left out."""
        free = dict(slots)
        for attempt in self._held.values():
            if attempt.record.queue in free:
                free[attempt.record.queue] -= 1
        return {name: n for name, n in free.items() if n > 0}

    def counts(self, label: Callable[[str], str]) -> dict[tuple[str, str], int]:
        """Return how many are held by queue and by what ``label`` makes of their names."""
        counts: dict[tuple[str, str], int] = {}
        for attempt in self.attempts():
            key = (attempt.record.queue, label(attempt.record.name))
            counts[key] = counts.get(key, 0) + 1
        return counts
