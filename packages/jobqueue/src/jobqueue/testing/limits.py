"""How every broker keeps limits of jobs of one name and key."""

from collections.abc import Sequence
from typing import Any

from .._common.clock import FakeClock
from ..models import JobStatus
from ..ports import Broker, Limit, Outcome, Record, Step, WorkerCall
from ..ports import Lease as Held
from .made import LEASE, finish, record


async def take(
    broker: Broker, limit: Limit | None, *, slots: int = 100, worker: str = "w1", **more: Any
) -> Step:
    """Take one step of a worker whose jobs called ``job`` have ``limit``."""
    limits = {} if limit is None else {"job": limit}
    return await broker.step(WorkerCall(worker, LEASE, {"default": slots}, limits=limits, **more))


async def take_from(broker: Broker, limit: Limit, *queues: str, **more: Any) -> Step:
    """Take one step of a worker of ``queues``."""
    slots = dict.fromkeys(queues, 5)
    return await broker.step(WorkerCall("w1", LEASE, slots, limits={"job": limit}, **more))


def ended(jobs: Sequence[Record]) -> list[Outcome]:
    """Return outcomes that complete ``jobs``."""
    return [Outcome(Held(each.id, each.fence), "completed") for each in jobs]


class LimitsSuite:
    """Part of :class:`BrokerSuite`: concurrency and rate over all workers."""

    async def test_concurrency_over_workers(self, broker: Broker) -> None:
        """Never more at once than allowed, whoever claims; all run in the end, best first."""
        await broker.enqueue([record(data=b"%d" % n) for n in range(7)])
        limit, seen = Limit(concurrency=2), list[Record]()
        first = await take(broker, limit)
        assert len(first.claimed) == 2
        assert not (await take(broker, limit, worker="w2")).claimed
        running = list(first.claimed)
        while running:
            seen += running
            running = list((await take(broker, limit, outcomes=ended(running))).claimed)
            assert len(running) <= 2
        assert [each.data for each in seen] == [b"%d" % n for n in range(7)]
        assert all(each.attempts == 1 for each in seen)

    async def test_held_back_jobs_take_no_slots(self, broker: Broker) -> None:
        """Jobs behind a full limit are pending, and do not keep others from running."""
        await broker.enqueue([record() for _ in range(20)] + [record("free") for _ in range(3)])
        step = await take(broker, Limit(concurrency=1), slots=4)
        assert [each.name for each in step.claimed] == ["job", "free", "free", "free"]
        assert (await broker.stats(None)).pending == 19

    async def test_keys_are_counted_apart(self, broker: Broker) -> None:
        """Each ``limit_key`` has room of its own."""
        await broker.enqueue([record(limit_key=key) for key in ("a", "a", "b", "b", None, None)])
        step = await take(broker, Limit(concurrency=1))
        assert sorted(each.limit_key or "" for each in step.claimed) == ["", "a", "b"]

    async def test_every_end_makes_room(self, broker: Broker, clock: FakeClock) -> None:
        """Completed, retried, released, cancelled and vanished holders let the next one go."""
        await broker.enqueue([record() for _ in range(6)])
        limit = Limit(concurrency=1)
        [job] = (await take(broker, limit)).claimed
        await finish(broker, job, "failed", error="E")
        [job] = (await take(broker, limit)).claimed
        await finish(broker, job, "retry", delay=1e6)
        [job] = (await take(broker, limit)).claimed
        assert await broker.change(job.id, JobStatus.CANCELLED)
        [job] = (await take(broker, limit)).claimed
        await clock.advance(LEASE + 1)
        [again] = (await take(broker, limit)).claimed
        assert not (await take(broker, limit)).claimed
        await finish(broker, again)
        [last] = (await take(broker, limit)).claimed
        assert not (await take(broker, limit)).claimed
        await finish(broker, last)

    async def test_a_job_cancelled_while_held_back(self, broker: Broker) -> None:
        """A job that is cancelled or removed behind a limit does not hold up the others."""
        jobs = [record() for _ in range(4)]
        await broker.enqueue(jobs)
        limit = Limit(concurrency=1)
        [first] = (await take(broker, limit)).claimed
        assert await broker.change(jobs[1].id, JobStatus.CANCELLED)
        assert await broker.remove([jobs[2].id]) == 1
        [last] = (await take(broker, limit, outcomes=ended([first]))).claimed
        assert last.id == jobs[3].id

    async def test_rate(self, broker: Broker, clock: FakeClock) -> None:
        """At most ``starts`` begin within any ``period``; ``next_due`` says when the next may."""
        await broker.enqueue([record() for _ in range(7)])
        limit, begun = Limit(starts=3, period=60.0), list[float]()
        for _ in range(200):
            step = await take(broker, limit)
            begun += [clock.time()] * len(step.claimed)
            await take(broker, limit, slots=0, outcomes=ended(step.claimed))
            if len(begun) == 7:
                break
            if not step.claimed:
                assert step.next_due is not None
                assert 0 < step.next_due <= 60.0
            await clock.advance(5.0)
        assert len(begun) == 7
        for start, later in zip(begun, begun[3:], strict=False):
            assert later - start >= 60.0
        assert begun[-1] - begun[0] <= 135.0

    async def test_a_waiting_rate_uses_no_attempts(self, broker: Broker, clock: FakeClock) -> None:
        """What waits for its time is delayed or pending, without an attempt."""
        jobs = [record() for _ in range(3)]
        await broker.enqueue(jobs)
        [first] = (await take(broker, Limit(starts=1, period=60.0))).claimed
        stats = await broker.stats(None)
        assert (stats.processing, stats.delayed + stats.pending) == (1, 2)
        await clock.advance(61)
        limit = Limit(starts=1, period=60.0)
        [second] = (await take(broker, limit, outcomes=ended([first]))).claimed
        assert second.attempts == 1

    async def test_cancelling_the_one_that_is_next(self, broker: Broker, clock: FakeClock) -> None:
        """Whoever waits for the next start may be cancelled; another one takes its place."""
        jobs = [record() for _ in range(4)]
        await broker.enqueue(jobs)
        limit = Limit(starts=1, period=60.0)
        [first] = (await take(broker, limit)).claimed
        assert await broker.change(jobs[1].id, JobStatus.CANCELLED)
        await clock.advance(61)
        step = await take(broker, limit, outcomes=ended([first]))
        assert [each.id for each in step.claimed] == [jobs[2].id]

    async def test_priority_among_the_held_back(self, broker: Broker) -> None:
        """When there is room, the best of those held back goes first."""
        await broker.enqueue([record(), record(), record(priority=5)])
        limit = Limit(concurrency=1)
        [first] = (await take(broker, limit)).claimed
        assert first.priority == 5
        await broker.enqueue([record(priority=9)])
        step = await take(broker, limit)
        assert not step.claimed
        order: list[int] = []
        running: Sequence[Record] = [first]
        while running:
            running = (await take(broker, limit, outcomes=ended(running))).claimed
            order += [each.priority for each in running]
        assert order[-2:] == [0, 0]
        assert 9 in order

    async def test_nobody_overtakes_the_held_back(self, broker: Broker, clock: FakeClock) -> None:
        """What comes when there is room again waits behind those that were held back before."""
        limit = Limit(starts=2, period=60.0)
        await broker.enqueue([record(data=b"%d" % n) for n in range(4)])
        first = await take(broker, limit)
        await clock.advance(61)
        await broker.enqueue([record(data=b"4")])
        second = await take(broker, limit, outcomes=ended(first.claimed))
        await clock.advance(61)
        third = await take(broker, limit, outcomes=ended(second.claimed))
        order = [[each.data for each in step.claimed] for step in (first, second, third)]
        assert order == [[b"0", b"1"], [b"2", b"3"], [b"4"]]

    async def test_lifting_a_limit(self, broker: Broker) -> None:
        """Workers that know of no limit (any more) run what was held back."""
        await broker.enqueue([record() for _ in range(5)])
        [first] = (await take(broker, Limit(concurrency=1))).claimed
        seen = [first]
        for _ in range(5):
            seen += (await take(broker, None, outcomes=ended(seen[-1:]))).claimed
        assert len({each.id for each in seen}) == 5

    async def test_raising_a_limit(self, broker: Broker) -> None:
        """A limit that grows is used at once."""
        await broker.enqueue([record() for _ in range(6)])
        [first] = (await take(broker, Limit(concurrency=1))).claimed
        step = await take(broker, Limit(concurrency=3), outcomes=ended([first]))
        assert len(step.claimed) == 3

    async def test_a_paused_queue_holds_up_no_other(self, broker: Broker) -> None:
        """What is held back in a paused queue does not keep others from the same limit's room."""
        queues = ("a", "a", "a", "b", "b")
        await broker.enqueue([record(queue=queue) for queue in queues])
        limit, seen = Limit(concurrency=1), list[str]()
        [running] = (await take_from(broker, limit, "a", "b")).claimed
        assert running.queue == "a"
        await take_from(broker, limit, outcomes=ended([running]))  # another one of a is let out
        await broker.set_paused("a", paused=True)
        for _ in range(2):
            [running] = (await take_from(broker, limit, "a", "b")).claimed
            seen.append(running.queue)
            await take_from(broker, limit, outcomes=ended([running]))
        assert seen == ["b", "b"]
        await broker.set_paused("a", paused=False)
        for _ in range(2):
            [running] = (
                await take_from(broker, limit, "a", "b", outcomes=ended([running]))
            ).claimed
            assert running.queue == "a"

    async def test_a_queue_without_workers_holds_up_no_other(self, broker: Broker) -> None:
        """What is held back in a queue that nobody serves leaves the room to the others."""
        await broker.enqueue([record(queue=queue) for queue in ("a", "a", "a", "b", "b", "c")])
        limit, seen = Limit(concurrency=1), list[str]()
        running = (await take_from(broker, limit, "a", "b", "c")).claimed
        for _ in range(3):
            running = (await take_from(broker, limit, "b", "c", outcomes=ended(running))).claimed
            seen += [each.queue for each in running]
        assert sorted(seen) == ["b", "b", "c"]
        for _ in range(2):
            [job] = (await take_from(broker, limit, "a", outcomes=ended(running))).claimed
            running = [job]

    async def test_a_start_for_another_queue(self, broker: Broker, clock: FakeClock) -> None:
        """What waits for its time in a queue that nobody serves leaves it to the others."""
        await broker.enqueue([record(queue=queue) for queue in ("a", "a", "a", "b", "b")])
        limit, begun = Limit(starts=1, period=10.0), list[str]()
        running = (await take_from(broker, limit, "a", "b")).claimed
        await take_from(broker, limit, "a", "b", outcomes=ended(running))
        running = ()
        for _ in range(8):
            running = (await take_from(broker, limit, "b", outcomes=ended(running))).claimed
            begun += [each.queue for each in running]
            await clock.advance(4.0)
        assert begun == ["b", "b"]

    async def test_a_queue_paused_between_two_starts(
        self, broker: Broker, clock: FakeClock
    ) -> None:
        """What waits for its time in a paused queue leaves it to the others."""
        await broker.enqueue([record(queue=queue) for queue in ("a", "a", "b")])
        limit = Limit(starts=1, period=10.0)
        [first] = (await take_from(broker, limit, "a", "b")).claimed
        assert not (await take_from(broker, limit, "a", "b", outcomes=ended([first]))).claimed
        await broker.set_paused("a", paused=True)
        begun: list[str] = []
        running: Sequence[Record] = ()
        for _ in range(8):
            running = (await take_from(broker, limit, "a", "b", outcomes=ended(running))).claimed
            begun += [each.queue for each in running]
            await clock.advance(2.0)
        assert begun == ["b"]
        await broker.set_paused("a", paused=False)
        for _ in range(8):
            running = (await take_from(broker, limit, "a", "b", outcomes=ended(running))).claimed
            begun += [each.queue for each in running]
            await clock.advance(2.0)
        assert begun == ["b", "a"]

    async def test_both_limits(self, broker: Broker, clock: FakeClock) -> None:
        """Concurrency and rate hold together."""
        await broker.enqueue([record() for _ in range(4)])
        limit, done = Limit(concurrency=1, starts=2, period=60.0), 0
        running: list[Record] = []
        begun: list[float] = []
        for _ in range(100):
            step = await take(broker, limit, outcomes=ended(running))
            running = list(step.claimed)
            assert len(running) <= 1
            begun += [clock.time()] * len(running)
            done += len(running)
            await clock.advance(4.0)
        assert done == 4
        assert begun[2] - begun[0] >= 60.0
