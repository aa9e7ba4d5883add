"""How every broker serves those who look after it: listing, purging, pausing, counting."""

import asyncio

import pytest

from .._common.clock import FakeClock
from ..models import JobFilters, JobStatus
from ..ports import Broker
from .made import LEASE, claim, finish, record


class AdministrationSuite:
    """Part of :class:`BrokerSuite`: what people and schedulers do with jobs and queues."""

    async def test_remove(self, broker: Broker) -> None:
        """Jobs that nobody runs are deleted; running and unknown ones are not counted."""
        await broker.enqueue([record("a"), record("b")])
        [job] = (await claim(broker, 1)).claimed
        page = await broker.list_jobs(JobFilters(), 10, None)
        assert await broker.remove([each.id for each in page] + ["unknown"]) == 1
        assert await broker.get(job.id) is not None

    async def test_purge(self, broker: Broker, clock: FakeClock) -> None:
        """Ended jobs of the statuses and age go, and those whose ttl is over; dead letters stay."""
        fails = record("fails", result_ttl=5.0)
        await broker.enqueue([record("old"), record("ttl", result_ttl=5.0), fails])
        old, ttl, fails = (await claim(broker)).claimed
        for job, kind in ((old, "completed"), (ttl, "completed"), (fails, "failed")):
            await finish(broker, job, kind)
        await broker.enqueue([record("waits")])
        await clock.advance(10)
        assert await broker.purge([], clock.time(), 100) == 1
        assert await broker.get(ttl.id) is None
        assert await broker.purge([JobStatus.COMPLETED], clock.time() - 60, 100) == 0
        assert await broker.purge([JobStatus.COMPLETED], clock.time(), 100) == 1
        names = {each.name for each in await broker.list_jobs(JobFilters(), 10, None)}
        assert names == {"fails", "waits"}

    async def test_listing_pages_and_filters(self, broker: Broker) -> None:
        """Newest first, every job once over the pages, filters combined."""
        jobs = [record(f"n{i % 2}", queue=f"q{i % 3}") for i in range(12)]
        await broker.enqueue(jobs)
        seen: list[str] = []
        cursor = None
        while True:
            page = await broker.list_jobs(JobFilters(), 5, cursor)
            seen += [each.id for each in page]
            if (cursor := page.next_cursor) is None:
                break
        assert seen == [each.id for each in reversed(jobs)]
        some = await broker.list_jobs(JobFilters(name="n0", queue="q0", status="pending"), 50, None)  # type: ignore[arg-type]  # a plain str is fine
        assert len(some) == 2
        assert not await broker.list_jobs(JobFilters(status=[JobStatus.FAILED]), 50, None)

    async def test_queues(self, broker: Broker) -> None:
        """Queues that hold jobs or are paused are named, with whether they are."""
        await broker.enqueue([record(), record(queue="other")])
        await broker.set_paused("idle", paused=True)
        await broker.set_paused("other", paused=True)
        assert await broker.queues() == {"default": False, "idle": True, "other": True}

    async def test_the_brokers_time(self, broker: Broker, clock: FakeClock) -> None:
        """``time`` is the clock that stamps jobs."""
        assert await broker.time() == pytest.approx(clock.time(), abs=0.01)

    async def test_changing_many(self, broker: Broker) -> None:
        """``change_many`` does what ``change`` does, and counts."""
        jobs = [record() for _ in range(3)]
        await broker.enqueue(jobs)
        ids = [*(each.id for each in jobs), "unknown"]
        assert await broker.change_many(ids, JobStatus.CANCELLED) == 3
        assert await broker.change_many(ids, JobStatus.CANCELLED) == 0
        assert await broker.change_many(ids, JobStatus.PENDING) == 3

    async def test_pause(self, broker: Broker) -> None:
        """A paused queue hands out nothing, others do; resuming brings all back."""
        await broker.enqueue([record(), record(queue="other")])
        await broker.set_paused("default", paused=True)
        await broker.set_paused("default", paused=True)
        assert not (await claim(broker)).claimed
        assert len((await claim(broker, queue="other")).claimed) == 1
        await broker.set_paused("default", paused=False)
        assert len((await claim(broker)).claimed) == 1

    async def test_cron_tick_happens_once(self, broker: Broker) -> None:
        """Of many schedulers one moves the entry and enqueues; time never goes back."""
        assert await broker.last_tick("c") is None
        assert await broker.tick("c", 100.0, ())
        results = await asyncio.gather(*(broker.tick("c", 160.0, [record()]) for _ in range(8)))
        assert sorted(results) == [False] * 7 + [True]
        assert not await broker.tick("c", 130.0, [record()])
        assert await broker.last_tick("c") == 160.0
        assert len((await claim(broker)).claimed) == 1

    async def test_stats(self, broker: Broker, clock: FakeClock) -> None:
        """Every job is counted under its status; workers live as long as their last lease."""
        await broker.enqueue([record() for _ in range(4)] + [record(delay=60.0)])
        await clock.advance(3)
        done, fails = (await claim(broker, 2)).claimed
        await finish(broker, done)
        await finish(broker, fails, "failed", error="E")
        await broker.enqueue([record(queue="other")])
        await claim(broker, 1)
        stats = await broker.stats(None)
        counts = {name: getattr(stats, name) for name in ("pending", "delayed", "processing")}
        assert counts == {"pending": 2, "delayed": 1, "processing": 1}
        assert (stats.completed, stats.failed, stats.workers) == (1, 1, 1)
        assert stats.oldest_pending_age == pytest.approx(3)
        other = await broker.stats("other")
        assert (other.pending, other.throughput) == (1, 0.0)
        assert stats.throughput == pytest.approx(1 / 60)
        await clock.advance(LEASE + 1)
        assert (await broker.stats(None)).workers == 0
