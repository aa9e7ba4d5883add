"""What every broker passes."""

import asyncio
from collections.abc import Sequence

import pytest

from .._common.clock import FakeClock, settle
from ..models import JobFilters, JobStatus
from ..ports import Broker, Lease, Record, WorkerCall
from .administration import AdministrationSuite
from .dependencies import DependenciesSuite
from .limits import LimitsSuite
from .made import LEASE, claim, finish, record


class BrokerSuite(AdministrationSuite, DependenciesSuite, LimitsSuite):
    """The behaviour of a broker. Each docstring says what to mend when the test fails."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        """The clock to give to the broker under test."""
        return FakeClock()

    @pytest.fixture
    def broker(self, clock: FakeClock) -> Broker:
        """Return an empty broker on ``clock``; subclasses override this."""
        raise NotImplementedError("override the fixture 'broker'")

    async def stored(self, broker: Broker, job_id: str) -> Record:
        """Return a job that must be there."""
        found = await broker.get(job_id)
        assert found is not None
        return found

    async def test_enqueue_stores_every_field(self, broker: Broker, clock: FakeClock) -> None:
        """``get`` returns what was enqueued, bytes unchanged, with the broker's time."""
        made = record(
            "näme", data=b'{"x": "\\u0000 \xf0\x9f\x98\x80"}', priority=7, max_attempts=5,
            timeout=1.5, backoff='{"kind":"fixed"}', unique_key="k", result_ttl=60.0,
            headers='{"a": "b"}',
        )  # fmt: skip
        [enqueued] = await broker.enqueue([made])
        assert enqueued.reason == "created"
        found = await self.stored(broker, made.id)
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

    async def test_attempt_is_counted_before_the_run(self, broker: Broker) -> None:
        """A claim has raised ``attempts`` and ``fence`` in the store already."""
        await broker.enqueue([record()])
        [job] = (await claim(broker)).claimed
        found = await self.stored(broker, job.id)
        assert (found.attempts, found.status, job.attempts) == (1, "processing", 1)
        assert found.fence == job.fence == 1

    async def test_completion_is_stored(self, broker: Broker, clock: FakeClock) -> None:
        """The result, the time and the progress of a completed job are kept."""
        await broker.enqueue([record()])
        [job] = (await claim(broker)).claimed
        await clock.advance(2)
        step = await finish(broker, job, result=b'{"answer":42}')
        assert not step.refused
        found = await self.stored(broker, job.id)
        assert (found.status, found.result) == ("completed", b'{"answer":42}')
        assert (found.finished_at, found.progress) == (clock.time(), 100.0)
        assert not (await claim(broker)).claimed

    async def test_results_that_are_not_kept(self, broker: Broker) -> None:
        """With a ``result_ttl`` of 0 a completed job is deleted at once, a failed one stays."""
        await broker.enqueue([record("done", result_ttl=0.0), record("dead", result_ttl=0.0)])
        done, dead = (await claim(broker)).claimed
        assert not (await finish(broker, done)).refused
        assert not (await finish(broker, dead, "failed", error="E")).refused
        assert await broker.get(done.id) is None
        assert (await self.stored(broker, dead.id)).status == "failed"
        assert (await finish(broker, done)).refused == [done.id]

    async def test_completing_twice_is_refused(self, broker: Broker) -> None:
        """The second of two equal outcomes is refused and changes nothing."""
        await broker.enqueue([record()])
        [job] = (await claim(broker)).claimed
        assert not (await finish(broker, job, result=b"1")).refused
        assert (await finish(broker, job, "failed", error="late")).refused == [job.id]
        assert (await self.stored(broker, job.id)).status == "completed"

    async def test_retry_waits_its_delay(self, broker: Broker, clock: FakeClock) -> None:
        """A retried job is delayed, keeps its error, and is claimed when due, not before."""
        await broker.enqueue([record()])
        [job] = (await claim(broker)).claimed
        await finish(broker, job, "retry", delay=30.0, error="E: x")
        found = await self.stored(broker, job.id)
        assert (found.status, found.error, found.attempts) == ("delayed", "E: x", 1)
        step = await claim(broker)
        assert not step.claimed
        assert step.next_due == pytest.approx(30.0)
        await clock.advance(30.0)
        [again] = (await claim(broker)).claimed
        assert (again.id, again.attempts, again.fence) == (job.id, 2, 2)

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

    async def test_failed_job_keeps_its_error(self, broker: Broker) -> None:
        """A failed job is a dead letter: its data and error stay, nobody claims it."""
        await broker.enqueue([record(data=b'{"k":1}')])
        [job] = (await claim(broker)).claimed
        await finish(broker, job, "failed", error="ValueError: no")
        found = await self.stored(broker, job.id)
        assert (found.status, found.error, found.data) == ("failed", "ValueError: no", b'{"k":1}')
        assert not (await claim(broker)).claimed

    async def test_released_job_gets_its_attempt_back(self, broker: Broker) -> None:
        """A released job is pending at once, the claim cost no attempt, but the fence grew."""
        await broker.enqueue([record()])
        [job] = (await claim(broker)).claimed
        await finish(broker, job, "released")
        [again] = (await claim(broker)).claimed
        assert (again.attempts, again.fence) == (1, 2)

    async def test_expired_lease_is_taken_back(self, broker: Broker, clock: FakeClock) -> None:
        """After the lease another worker gets the job, and the first one's outcome is refused."""
        await broker.enqueue([record()])
        [job] = (await claim(broker, worker="zombie")).claimed
        await clock.advance(LEASE + 0.1)
        [again] = (await claim(broker, worker="heir")).claimed
        assert (again.id, again.attempts) == (job.id, 2)
        assert (await finish(broker, job, worker="zombie", result=b"1")).refused == [job.id]
        assert not (await finish(broker, again, worker="heir", result=b"2")).refused
        assert (await self.stored(broker, job.id)).result == b"2"

    async def test_leases_are_left_to_their_holders(self, broker: Broker, clock: FakeClock) -> None:
        """A step that does not reclaim takes no lease back, nor counts it in ``next_due``."""
        await broker.enqueue([record(), record("later", delay=1000.0)])
        [job] = (await claim(broker, worker="cut off")).claimed
        await clock.advance(LEASE + 5)
        step = await broker.step(WorkerCall("w1", LEASE, {"default": 5}, reclaims=False))
        assert not step.claimed
        assert step.next_due == pytest.approx(1000.0 - LEASE - 5)
        held = [Lease(job.id, job.fence)]
        assert not await broker.extend(WorkerCall("cut off", LEASE, held=held))
        assert not (await claim(broker)).claimed
        assert not (await finish(broker, job, worker="cut off")).refused

    async def test_worker_learns_of_lost_leases(self, broker: Broker) -> None:
        """``step`` and ``extend`` name the held leases that are gone, and only those."""
        await broker.enqueue([record(), record()])
        first, second = (await claim(broker)).claimed
        await broker.change(first.id, JobStatus.CANCELLED)
        step = await claim(broker, 0, held=[first, second])
        assert step.lost == [first.id]
        leases = [Lease(first.id, first.fence), Lease(second.id, second.fence)]
        assert await broker.extend(WorkerCall("w1", LEASE, held=leases)) == [first.id]

    async def test_extending_keeps_the_lease(self, broker: Broker, clock: FakeClock) -> None:
        """A lease renewed every third of its length never runs out; its progress is stored."""
        await broker.enqueue([record()])
        [job] = (await claim(broker)).claimed
        lease = Lease(job.id, job.fence, progress=40.0)
        for _ in range(12):
            await clock.advance(LEASE / 3)
            assert not await broker.extend(WorkerCall("w1", LEASE, held=[lease]))
            assert not (await claim(broker, worker="thief")).claimed
        assert (await self.stored(broker, job.id)).progress == 40.0

    async def test_poison_job_fails_after_its_attempts(
        self, broker: Broker, clock: FakeClock
    ) -> None:
        """A job whose worker vanishes each time is failed, and others flow meanwhile."""
        await broker.enqueue([record("poison", max_attempts=3)])
        for attempt in (1, 2, 3):
            [job] = (await claim(broker)).claimed
            assert job.attempts == attempt
            await clock.advance(LEASE + 1)
        await broker.enqueue([record("well")])
        assert [each.name for each in (await claim(broker)).claimed] == ["well"]
        found = await self.stored(broker, job.id)
        assert found.status == "failed"
        assert "LeaseExpired" in (found.error or "")

    async def test_cancel(self, broker: Broker) -> None:
        """Waiting and running jobs can be cancelled once; ended and unknown ones cannot."""
        await broker.enqueue([record("waits"), record("runs"), record("sleeps", delay=60.0)])
        [waits, runs] = (await claim(broker)).claimed
        await finish(broker, waits, "released")
        page = await broker.list_jobs(JobFilters(), 10, None)
        for job in page:
            assert await broker.change(job.id, JobStatus.CANCELLED)
            assert not await broker.change(job.id, JobStatus.CANCELLED)
            assert (await self.stored(broker, job.id)).status == "cancelled"
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
        async with asyncio.timeout(5):
            await waiting

    async def test_wait_returns_for_what_came_after_the_last_look(self, broker: Broker) -> None:
        """A job enqueued between a step and the wait after it ends that wait."""
        assert not (await claim(broker)).claimed
        await broker.enqueue([record()])
        async with asyncio.timeout(5):
            await broker.wait(60.0)

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
        assert (await self.stored(broker, job.id)).status == "processing"

    async def test_concurrent_claims_share_the_jobs(self, broker: Broker) -> None:
        """Many workers at once: every job is claimed exactly once."""
        await broker.enqueue([record() for _ in range(60)])
        steps = await asyncio.gather(*(claim(broker, 5, worker=f"w{i}") for i in range(20)))
        ids = [each.id for step in steps for each in step.claimed]
        assert len(ids) == len(set(ids)) == 60

    async def test_closing_twice_is_fine(self, broker: Broker) -> None:
        """``aclose`` is idempotent."""
        await broker.enqueue([record()])
        await broker.aclose()
        await broker.aclose()
