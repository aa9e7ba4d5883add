"""The way out: running workers, looking into the outbox, trying again."""

import contextlib
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from .._common.home import at_home
from ..arguments import check_deliveries_cursor, check_delivery_filters, check_page
from ..errors import ConfigurationError
from ..models import Delivery, DeliveryFilters, DeliveryStatus, Explanation, Page
from ..records import to_delivery
from ..stored import Claimed, Verdict
from .inbox import Inbox
from .maintenance import Maintenance

if TYPE_CHECKING:
    from ..delivery import Worker

_REPLAYED = (DeliveryStatus.DEAD, DeliveryStatus.INVALID, DeliveryStatus.SUPPRESSED)


class Deliveries(Inbox, Maintenance):
    """Workers of this instance, and what any process's workers did."""

    @at_home
    async def run(self) -> None:
        """Deliver what any process puts into the outbox, until cancelled or closed.

        Any number may run, in any process.
        """
        with self._working() as worker:
            await worker.run(self._upkeep)

    @at_home
    async def deliver_due(self) -> int:
        """Deliver what is due now, once, and return how many attempts ended."""
        with self._working() as worker:
            return await worker.deliver_due()

    @contextlib.contextmanager
    def _working(self) -> "Generator[Worker, None, None]":
        worker = self._make_worker()
        try:
            yield worker
        finally:
            self._ended_work(worker)

    def _make_worker(self) -> "Worker":
        from ..delivery import Worker

        worker = Worker(self.store, self._parts.delivery, settled=self._recorded)
        self._workers.add(worker)
        return worker

    def _ended_work(self, worker: "Worker") -> None:
        self._workers.discard(worker)
        self._calls += worker.calls
        self._failures += worker.failures

    def _wake_worker(self) -> None:
        for worker in self._workers:
            worker.bell.set()
        if not self.settings.delivery.background or self._worker is not None:
            return
        self._worker = worker = self._make_worker()
        task = self._spawn(worker.run(self._upkeep), "notify.worker")
        task.add_done_callback(lambda _: self._background_ended(worker))

    def _background_ended(self, worker: "Worker") -> None:
        if self._worker is worker:
            self._worker = None
        self._ended_work(worker)

    def _recorded(self, ended: Sequence[tuple[Claimed, Verdict]]) -> None:
        self._settled.set()
        users = {
            claimed.delivery.user_id
            for claimed, verdict in ended
            if claimed.delivery.channel == "in-app" and verdict.status is DeliveryStatus.DELIVERED
        }
        if users:
            self._spawn(self._parts.feeds.changed(users), "notify.ring")

    async def deliveries(self, notification_id: str, user_id: str | None = None) -> list[Delivery]:
        """Return how a notification stands on each channel, attempt by attempt.

        Raises:
            NotificationNotFound: There is none, or it is another user's than ``user_id``.
        """
        await self.get(notification_id, user_id)
        return await self._deliveries(notification_id)

    @at_home
    async def _deliveries(self, notification_id: str) -> list[Delivery]:
        filters = DeliveryFilters(notification_id=notification_id)
        return [to_delivery(each) for each in await self.store.list_deliveries(filters, 500, None)]

    @at_home
    async def list_deliveries(
        self, filters: DeliveryFilters | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page[Delivery]:
        """Return deliveries of all users, oldest first; ``.next_cursor`` leads to the next page.

        Raises:
            ConfigurationError: ``limit`` is not between 1 and 500, ``cursor`` is not ours, or a
                filter cannot be followed.
        """
        check_page(limit)
        check_deliveries_cursor(cursor)
        chosen = check_delivery_filters(filters)
        page = await self.store.list_deliveries(chosen, limit, cursor)
        return Page.of([to_delivery(each) for each in page], page.next_cursor)

    async def explain(self, notification_id: str, user_id: str | None = None) -> list[Explanation]:
        """Say for each channel why it was, or was not, used.

        Raises:
            NotificationNotFound: There is none, or it is another user's than ``user_id``.
        """
        from ..explaining import explain_delivery

        return [explain_delivery(each) for each in await self.deliveries(notification_id, user_id)]

    @at_home
    async def replay(self, target: str | DeliveryFilters) -> int:
        """Try ended deliveries again, with all their attempts; return how many.

        Args:
            target: A notification's id, or a filter. Dead, invalid and suppressed ones are tried
                again, or those of the filter's status.

        Raises:
            ConfigurationError: It is neither, or the filter's status is not one of these three.
        """
        if target is None:
            raise ConfigurationError("replay takes a notification's id, or DeliveryFilters")
        given = DeliveryFilters(notification_id=target) if isinstance(target, str) else target
        filters = check_delivery_filters(given)
        statuses = _REPLAYED if filters.status is None else (DeliveryStatus(filters.status),)
        if bad := [each for each in statuses if each not in _REPLAYED]:
            raise ConfigurationError(f"{str(bad[0])!r} deliveries cannot be replayed")
        count = await self.store.requeue(filters, statuses, self.clock.time())
        if count:
            self._wake_worker()
        return count
