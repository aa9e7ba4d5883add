"""Jobs in a store, workers in Celery."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from ..._common.clock import Clock
from ..._common.extras import require
from ..._common.urls import redact
from ...errors import BackendError, ConfigurationError
from ...models import JobFilters, JobStatus, Page, QueueStats
from ...ports import Broker, Enqueued, Record, Step, WorkerCall
from .addresses import Address, address_of
from .bell import ENOUGH, Bell, Chime

if TYPE_CHECKING:
    from sqlalchemy import Connection

logger = logging.getLogger(__name__)


class CeleryBroker(Broker):
    """A store that rings: all it knows and promises is the store's.

    After a write that makes jobs ready, a message per job (64 at most, and no more than workers
    would answer) tells Celery's workers to look. A message that is lost, doubled or forged costs a
    look at the store; what nobody was told of is found by the workers' timers within a second.
    """

    def __init__(
        self, store: Broker, address: Address, *, bell: Bell | None = None, owns_bell: bool = True
    ) -> None:
        """Keep jobs in ``store`` and ring at ``address``.

        Args:
            store: Any broker that other processes can share.
            address: Where the messages go.
            bell: A ready one; by default one of its own.
            owns_bell: Whether ``aclose`` closes the bell.
        """
        self.store, self.address = store, address
        self.capabilities = store.capabilities
        self._bell = bell or Bell(self._connect)
        self._owns_bell = owns_bell

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        store: Broker,
        clock: Clock | None = None,  # noqa: ARG003  as all brokers
    ) -> "CeleryBroker":
        """Return a broker for ``celery+amqp://…``, ``celery+sqs://…`` or ``celery+redis://…``.

        Args:
            url: The message broker. Options: ``prefix`` of its queues' names (``jobqueue-``),
                ``timeout`` in seconds (5); SQS: ``region``, ``tls``; amqps and rediss:
                ``ssl_ca_certs``, ``ssl_certfile``, ``ssl_keyfile``.
            store: Keeps the jobs.
            clock: The store's own clock decides; not used.

        Raises:
            ConfigurationError: The URL is wrong, or the store is private to this process.
            MissingExtraError: Celery is not installed.
        """
        address = address_of(url)
        require("kombu", dist="jobqueue", extra="celery")
        if not store.capabilities.shared:
            raise ConfigurationError(
                f"the store behind {redact(url)} keeps jobs in the memory of one process, where "
                "Celery's workers would see none: name a database or Redis as store"
            )
        return cls(store, address)

    def preload(self) -> None:
        self.store.preload()
        import_module("jobqueue.adapters.celery.chime")
        kombu = require("kombu", dist="jobqueue", extra="celery")
        kombu.Connection(self.address.url).get_transport_cls()

    def _connect(self) -> Chime:
        from .chime import KombuChime

        return KombuChime(self.address)

    def ring(self, queue: str, count: int = 1) -> None:
        """Have Celery's workers look for jobs of ``queue``; returns at once, never raises."""
        self._bell.ring(queue, count)

    def _ring_for(self, records: Sequence[Record]) -> None:
        ready: dict[str, int] = {}
        for record in records:
            if record.status is JobStatus.PENDING:
                ready[record.queue] = ready.get(record.queue, 0) + 1
        for queue, count in ready.items():
            self.ring(queue, count)

    async def _ring_everywhere(self, count: int) -> None:
        """Ring where there are jobs: which of them became ready the store does not say."""
        try:
            queues = await self.store.queues()
        except BackendError:
            logger.debug(
                "bell.queues_unknown"
            )  # what was asked for is done: the timers will find it
            return
        for queue, paused in queues.items():
            if not paused:
                self.ring(queue, min(ENOUGH, count))

    async def enqueue(self, records: Sequence[Record]) -> Sequence[Enqueued]:
        made = await self.store.enqueue(records)
        self._ring_for([each.record for each in made if each.reason == "created"])
        return made

    def insert(self, connection: "Connection", records: Sequence[Record]) -> Sequence[Enqueued]:
        # nobody is told: the jobs are not there before the caller commits
        return self.store.insert(connection, records)

    async def step(self, call: WorkerCall) -> Step:
        return await self.store.step(call)

    async def extend(self, call: WorkerCall) -> Sequence[str]:
        return await self.store.extend(call)

    async def wait(self, timeout: float) -> None:
        await self.store.wait(timeout)

    async def get(self, job_id: str) -> Record | None:
        return await self.store.get(job_id)

    async def list_jobs(self, filters: JobFilters, limit: int, cursor: str | None) -> Page[Record]:
        return await self.store.list_jobs(filters, limit, cursor)

    async def change(self, job_id: str, to: JobStatus) -> bool:
        changed = await self.store.change(job_id, to)
        if changed:
            await self._ring_everywhere(1)
        return changed

    async def change_many(self, job_ids: Sequence[str], to: JobStatus) -> int:
        changed = await self.store.change_many(job_ids, to)
        if changed:
            await self._ring_everywhere(changed)
        return changed

    async def remove(self, job_ids: Sequence[str]) -> int:
        return await self.store.remove(job_ids)

    async def purge(self, statuses: Sequence[JobStatus], before: float, limit: int) -> int:
        return await self.store.purge(statuses, before, limit)

    async def tick(self, name: str, at: float, records: Sequence[Record]) -> bool:
        moved = await self.store.tick(name, at, records)
        if moved:
            for record in records:
                self.ring(record.queue)
        return moved

    async def last_tick(self, name: str) -> float | None:
        return await self.store.last_tick(name)

    async def set_paused(self, queue: str, *, paused: bool) -> None:
        await self.store.set_paused(queue, paused=paused)
        if not paused:
            self.ring(queue, ENOUGH)

    async def queues(self) -> Mapping[str, bool]:
        return await self.store.queues()

    async def time(self) -> float:
        return await self.store.time()

    async def stats(self, queue: str | None) -> QueueStats:
        return await self.store.stats(queue)

    def twin(self) -> "CeleryBroker":
        return CeleryBroker(self.store.twin(), self.address, bell=self._bell, owns_bell=False)

    async def setup(self) -> None:
        await self.store.setup()

    def schema_sql(self) -> str:
        return self.store.schema_sql()

    async def aclose(self) -> None:
        try:
            if self._owns_bell:
                await asyncio.to_thread(self._bell.close)
        finally:
            await self.store.aclose()

    def detach(self) -> None:
        self.store.detach()
