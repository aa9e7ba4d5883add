"""How every broker counts attempts, keeps leases and takes in how they end."""

import asyncio

import pytest

from .._common.clock import FakeClock
from ..models import JobStatus
from ..ports import Broker, Lease, WorkerCall
from .made import LEASE, claim, finish, record, stored


class AttemptsSuite:
    """Part of :class:`BrokerSuite`: attempts, leases, fences and ends."""

    async def test_attempt_is_counted_before_the_run(self, broker: Broker) -> None:
        """A claim has raised ``attempts`` and ``fence`` in the store already."""
        await broker.enqueue([record()])
        [job] = (await claim(broker)).claimed
        found = await stored(broker, job.id)
        assert (found.attempts, found.status, job.attempts) == (1, "processing", 1)
        assert found.fence == job.fence == 1

    async def test_completion_is_stored(self, broker: Broker, clock: FakeClock) -> None:
        """The result, the time and the progress of a completed job are kept."""
        await broker.enqueue([record()])
        [job] = (await claim(broker)).claimed
        await clock.advance(2)
        step = await finish(broker, job, result=b'{"answer":42}')
        assert not step.refused
        found = await stored(broker, job.id)
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
        assert (await stored(broker, dead.id)).status == "failed"
        assert (await finish(broker, done)).refused == [done.id]

    async def test_completing_twice_is_refused(self, broker: Broker) -> None:
        """The second of two equal outcomes is refused and changes nothing."""
        await broker.enqueue([record()])
        [job] = (await claim(broker)).claimed
        assert not (await finish(broker, job, result=b"1")).refused
        assert (await finish(broker, job, "failed", error="late")).refused == [job.id]
        assert (await stored(broker, job.id)).status == "completed"

    async def test_retry_waits_its_delay(self, broker: Broker, clock: FakeClock) -> None:
        """A retried job is delayed, keeps its error, and is claimed when due, not before."""
        await broker.enqueue([record()])
        [job] = (await claim(broker)).claimed
        await finish(broker, job, "retry", delay=30.0, error="E: x")
        found = await stored(broker, job.id)
        assert (found.status, found.error, found.attempts) == ("delayed", "E: x", 1)
        step = await claim(broker)
        assert not step.claimed
        assert step.next_due == pytest.approx(30.0)
        await clock.advance(30.0)
        [again] = (await claim(broker)).claimed
        assert (again.id, again.attempts, again.fence) == (job.id, 2, 2)

    async def test_failed_job_keeps_its_error(self, broker: Broker) -> None:
        """A failed job is a dead letter: its data and error stay, nobody claims it."""
        await broker.enqueue([record(data=b'{"k":1}')])
        [job] = (await claim(broker)).claimed
        await finish(broker, job, "failed", error="ValueError: no")
        found = await stored(broker, job.id)
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
        assert (await stored(broker, job.id)).result == b"2"

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
        assert (await stored(broker, job.id)).progress == 40.0

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
        found = await stored(broker, job.id)
        assert found.status == "failed"
        assert "LeaseExpired" in (found.error or "")

    async def test_concurrent_claims_share_the_jobs(self, broker: Broker) -> None:
        """Many workers at once: every job is claimed exactly once."""
        await broker.enqueue([record() for _ in range(60)])
        steps = await asyncio.gather(*(claim(broker, 5, worker=f"w{i}") for i in range(20)))
        ids = [each.id for step in steps for each in step.claimed]
        assert len(ids) == len(set(ids)) == 60
