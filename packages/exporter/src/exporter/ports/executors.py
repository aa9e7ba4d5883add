"""Executors: exports run elsewhere."""

from abc import ABC, abstractmethod


class Executor(ABC):
    """Hands exports to a job queue, whose workers run them in other processes.

    Only the id travels: a worker calls ``await service.run(job_id)`` on a service with the same
    history, storage, loaders and formats.
    """

    @abstractmethod
    async def submit(self, job_id: str) -> None:
        """Put the id of a stored export into the queue.

        A queue may deliver it more than once: ``run`` does the work once.
        """

    @abstractmethod
    async def cancel(self, job_id: str) -> None:
        """Take an id out of the queue, if it still waits; the export itself is cancelled already.

        A queue that cannot may do nothing: ``run`` leaves cancelled exports alone.
        """
