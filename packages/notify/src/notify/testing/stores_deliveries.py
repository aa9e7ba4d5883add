"""What every store passes that is about deliveries: what is due, who has it, how it ended."""

import asyncio

from ..models import DeliveryFilters, DeliveryStatus
from ..ports import NotificationStore
from .made import NOW, entry
from .stores_lists import ListsSuite


class DeliveriesSuite(ListsSuite):
    """The part about deliveries of ``NotificationStoreSuite``."""

    async def test_a_claim_is_one_workers(self, store: NotificationStore) -> None:
        """A due delivery goes to one claimer, counts an attempt, and is due when the lease ends."""
        await store.add([entry("ann", "email", "sms"), entry("ann", "email", due_at=NOW + 50)])
        assert dict(await store.due()) == {"email": NOW, "sms": NOW}
        first = await self.claimed(store)
        assert (first.delivery.attempts, first.delivery.fence) == (1, 1)
        assert first.record.id == first.delivery.notification_id
        assert await store.claim({"email": 10}, NOW + 10, NOW + 100) == []
        again = await store.claim({"email": 10}, NOW + 100, NOW + 200)
        assert {each.delivery.attempts for each in again} == {1, 2}

    async def test_claims_are_bounded_and_exclusive(self, store: NotificationStore) -> None:
        """``slots`` is per channel; claims at the same time share nothing."""
        await store.add([entry("ann", "email") for _ in range(20)])
        parts = await asyncio.gather(
            *(store.claim({"email": 4, "sms": 4}, NOW, NOW + 60) for _ in range(6))
        )
        ids = [each.delivery.id for part in parts for each in part]
        assert all(len(part) <= 4 for part in parts)
        assert len(ids) == len(set(ids)) == 20

    async def test_a_lost_lease_records_nothing(self, store: NotificationStore) -> None:
        """``fence`` decides: the verdict of an older claim changes nothing."""
        await store.add([entry("ann", "email")])
        old = await self.claimed(store)
        new = await self.claimed(store, now=NOW + 200, until=NOW + 300)
        sent = self.verdict(old, DeliveryStatus.DELIVERED, provider="late")
        assert list(await store.finish([sent], NOW)) == []
        kept = self.verdict(new, DeliveryStatus.DELIVERED, provider="p", provider_id="7")
        assert list(await store.finish([kept], NOW)) == [new.delivery.id]
        assert list(await store.finish([kept], NOW)) == []
        [row] = await store.list_deliveries(DeliveryFilters(channel="email"), 9, None)
        assert (row.provider, row.provider_id, str(row.status)) == ("p", "7", "delivered")

    async def test_a_retry_is_due_later(self, store: NotificationStore) -> None:
        """A pending verdict sets reason, history, attempts and time of the next attempt."""
        await store.add([entry("ann", "email")])
        first = await self.claimed(store)
        later = self.verdict(
            first, DeliveryStatus.PENDING, due_at=NOW + 500, reason="retry",
            history='[[1.0,"x",null,null]]',
        )  # fmt: skip
        await store.finish([later], NOW)
        assert dict(await store.due()) == {"email": NOW + 500}
        again = await self.claimed(store, now=NOW + 500, until=NOW + 600)
        assert again.delivery.attempts == 2
        assert again.delivery.history == '[[1.0,"x",null,null]]'

    async def test_publish_brings_into_the_inbox_once(self, store: NotificationStore) -> None:
        """A scheduled in-app delivery gets its place when it is published, by its holder alone."""
        made = entry("ann", "in-app", visible=False)
        await store.add([made])
        old = await self.claimed(store, "in-app")
        new = await self.claimed(store, "in-app", now=NOW + 200, until=NOW + 300)
        late = self.verdict(old, DeliveryStatus.DELIVERED)
        assert not await store.publish(late, made.record.id, NOW)
        assert await store.last_seq("ann") == 0
        done = self.verdict(new, DeliveryStatus.DELIVERED)
        assert await store.publish(done, made.record.id, NOW)
        assert not await store.publish(done, made.record.id, NOW)
        assert await self.kinds(store) == [(1, "created", 1)]
        assert await store.due() == {}

    async def test_requeue_starts_anew(self, store: NotificationStore) -> None:
        """Ended deliveries of the given statuses become pending, attempts from 0."""
        await store.add([entry("ann", "email"), entry("bob", "email")])
        for each in await store.claim({"email": 5}, NOW, NOW + 60):
            await store.finish([self.verdict(each, DeliveryStatus.DEAD)], NOW)
        dead = [DeliveryStatus.DEAD]
        assert await store.requeue(DeliveryFilters(user_id="ann"), dead, NOW + 5) == 1
        assert await store.requeue(DeliveryFilters(user_id="ann"), dead, NOW + 5) == 0
        assert (await self.claimed(store)).delivery.attempts == 1

    async def test_deliveries_are_paged_oldest_first(self, store: NotificationStore) -> None:
        """Pages follow each other without overlap, also at equal times."""
        await store.add([entry("ann", "email") for _ in range(5)])
        seen: list[str] = []
        cursor: str | None = None
        while True:
            page = await store.list_deliveries(DeliveryFilters(channel="email"), 2, cursor)
            seen += [each.id for each in page]
            if (cursor := page.next_cursor) is None:
                break
        assert len(seen) == len(set(seen)) == 5
