"""What every broker passes."""

import asyncio
from collections.abc import Sequence

import pytest

from .._common.clock import FakeClock, settle
from ..models import JobFilters, JobStatus
from ..ports import Broker, Lease, WorkerCall
from .administration import AdministrationSuite
from .attempts import AttemptsSuite
from .dependencies import DependenciesSuite
from .limits import LimitsSuite
from .made import LEASE, claim, finish, record, stored


class BrokerSuite(AdministrationSuite, AttemptsSuite, DependenciesSuite, LimitsSuite):
    """The behaviour of a broker. Each docstring says what to mend when the test fails."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        """The clock to give to the broker under test."""
        return FakeClock()

    @pytest.fixture
    def broker(self, clock: FakeClock) -> Broker:
        """Return an empty broker on ``clock``; subclasses override this."""
        raise NotImplementedError("override the fixture 'broker'")

    async def test_enqueue_stores_every_field(self, broker: Broker, clock: FakeClock) -> None:
        """``get`` returns what was enqueued, bytes unchanged, with the broker's time."""
        made = record(
            "näme", data=b'{"x": "\\u0000 \xf0\x9f\x98\x80"}', priority=7, max_attempts=5,
            timeout=1.5, backoff='{"kind":"fixed"}', unique_key="k", result_ttl=60.0,
            headers='{"a": "b"}',
        )  # fmt: skip
        [enqueued] = await broker.enqueue([made])
        assert enqueued.reason == "created"
        found = await stored(broker, made.id)
        for name in ("name", "data", "priority", "max_attempts", "timeout", "backoff", "headers"):
            assert getattr(found, name) == getattr(made, name), name
        assert (found.unique_key, found.result_ttl) == ("k", 60.0)
        assert (found.status, found.attempts, found.created_at) == ("pending", 0, clock.time())

    async def test_same_id_is_stored_once(self, broker: Broker) -> None:
        """A second record of the same id changes nothing and returns the first."""
        made = record()
        await broker.enqueue([made])
        [again] = await broker.enqueue([record("other", id=made.id)])
        assert again.reason == "same_id"
        assert again.record.name == "job"
        assert len((await claim(broker)).claimed) == 1

    async def test_same_id_within_one_call(self, broker: Broker) -> None:
        """Two records of one id in one call make one job."""
        made = record()
        reasons = [each.reason for each in await broker.enqueue([made, record(id=made.id)])]
        assert reasons == ["created", "same_id"]

    async def test_unique_key_is_held_until_the_end(self, broker: Broker) -> None:
        """The key is free again once its job completed, failed or was cancelled; not before."""
        first = record(unique_key="k")
        await broker.enqueue([first])
        [second] = await broker.enqueue([record(unique_key="k")])
        assert (second.reason, second.record.id) == ("same_key", first.id)
        [job] = (await claim(broker)).claimed
        [third] = await broker.enqueue([record(unique_key="k")])
        assert third.reason == "same_key"
        await finish(broker, job)
        [fourth] = await broker.enqueue([record(unique_key="k")])
        assert fourth.reason == "created"
        assert await broker.change(fourth.record.id, JobStatus.CANCELLED)
        [fifth] = await broker.enqueue([record(unique_key="k")])
        assert fifth.reason == "created"

    async def test_priority_then_order(self, broker: Broker) -> None:
        """Higher priority first over the whole backlog, first come first served within one."""
        jobs = [record(f"p{p}-{i}", priority=p) for i in range(3) for p in (-1000, 0, 1000)]
        await broker.enqueue(jobs)
        names: list[str] = []
        for _ in range(9):
            names += [each.name for each in (await claim(broker, 1)).claimed]
        assert names == [f"p{p}-{i}" for p in (1000, 0, -1000) for i in range(3)]

    async def test_aging(self, broker: Broker, clock: FakeClock) -> None:
        """With ``aging`` a point of priority is worth so many seconds of waiting, no more."""
        await broker.enqueue([record("old", aging=1.0)])
        await clock.advance(60)
        await broker.enqueue([record("high", priority=100, aging=1.0)])
        await broker.enqueue([record("new", priority=10, aging=1.0)])
        names = []
        for _ in range(3):
            names += [each.name for each in (await claim(broker, 1)).claimed]
        assert names == ["high", "old", "new"]

    async def test_claim_takes_at_most_the_slots(self, broker: Broker) -> None:
        """No more jobs than slots, none of other queues, and each only once."""
        await broker.enqueue([record() for _ in range(5)] + [record(queue="other")])
        first, second = await claim(broker, 2), await claim(broker, 10)
        assert len(first.claimed) == 2
        assert len(second.claimed) == 3
        ids = {each.id for each in [*first.claimed, *second.claimed]}
        assert len(ids) == 5
        assert all(each.queue == "default" for each in first.claimed)

    async def test_delayed_job(self, broker: Broker, clock: FakeClock) -> None:
        """``delay`` is measured by the broker's clock; a time in the past is due at once."""
        await broker.enqueue(
            [
                record("soon", delay=5.0),
                record("later", run_at=clock.time() + 60),
                record("past", run_at=clock.time() - 60),
            ]
        )
        assert [each.name for each in (await claim(broker)).claimed] == ["past"]
        await clock.advance(5.0)
        assert [each.name for each in (await claim(broker)).claimed] == ["soon"]
        await clock.advance(55.0)
        # "soon" is back too: nobody renewed its lease
        assert "later" in [each.name for each in (await claim(broker)).claimed]

    async def test_cancel(self, broker: Broker) -> None:
        """Waiting and running jobs can be cancelled once; ended and unknown ones cannot."""
        await broker.enqueue([record("waits"), record("runs"), record("sleeps", delay=60.0)])
        [waits, runs] = (await claim(broker)).claimed
        await finish(broker, waits, "released")
        page = await broker.list_jobs(JobFilters(), 10, None)
        for job in page:
            assert await broker.change(job.id, JobStatus.CANCELLED)
            assert not await broker.change(job.id, JobStatus.CANCELLED)
            assert (await stored(broker, job.id)).status == "cancelled"
        assert (await finish(broker, runs)).refused == [runs.id]
        assert not await broker.change("unknown", JobStatus.CANCELLED)
        assert not (await claim(broker)).claimed

    async def test_retrying_dead_letters(self, broker: Broker) -> None:
        """A failed or cancelled job becomes pending under its id with attempts from 0."""
        await broker.enqueue([record(max_attempts=1)])
        [job] = (await claim(broker)).claimed
        assert not await broker.change(job.id, JobStatus.PENDING)
        await finish(broker, job, "failed", error="E")
        assert await broker.change(job.id, JobStatus.PENDING)
        [again] = (await claim(broker)).claimed
        assert (again.id, again.attempts) == (job.id, 1)
        assert again.fence > job.fence

    async def test_retry_respects_the_unique_key(self, broker: Broker) -> None:
        """A dead letter cannot come back while another job holds its key."""
        await broker.enqueue([record(unique_key="k")])
        [job] = (await claim(broker)).claimed
        await finish(broker, job, "failed", error="E")
        await broker.enqueue([record(unique_key="k")])
        assert not await broker.change(job.id, JobStatus.PENDING)

    async def test_wait_returns_when_a_job_comes(self, broker: Broker) -> None:
        """``wait`` ends at an enqueue, not at its timeout."""
        await claim(broker)
        waiting = asyncio.create_task(broker.wait(3600.0))
        await settle()
        await broker.enqueue([record()])
        async with asyncio.timeout(60):
            await waiting

    async def test_wait_returns_for_what_came_after_the_last_look(self, broker: Broker) -> None:
        """A job enqueued between a step and the wait after it ends that wait."""
        assert not (await claim(broker)).claimed
        await broker.enqueue([record()])
        async with asyncio.timeout(60):
            await broker.wait(3600.0)

    async def test_twin_sees_the_same_jobs(self, broker: Broker) -> None:
        """A twin in another thread and event loop works on the same jobs."""
        await broker.enqueue([record()])
        [job] = (await claim(broker)).claimed
        lease = Lease(job.id, job.fence)

        async def there() -> Sequence[str]:
            twin = broker.twin()
            try:
                return await twin.extend(WorkerCall("w1", LEASE, held=[lease, Lease("gone", 1)]))
            finally:
                await twin.aclose()

        assert await asyncio.to_thread(lambda: asyncio.run(there())) == ["gone"]
        assert (await stored(broker, job.id)).status == "processing"

    async def test_closing_twice_is_fine(self, broker: Broker) -> None:
        """``aclose`` is idempotent."""
        await broker.enqueue([record()])
        await broker.aclose()
        await broker.aclose()
