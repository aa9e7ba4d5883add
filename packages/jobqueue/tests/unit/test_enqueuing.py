"""Storing jobs: options, ids and keys, payloads, schedules, shared round trips."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobqueue import (
    ConfigurationError,
    DuplicateJob,
    Job,
    JobOptions,
    JobQueue,
    PayloadError,
)
from jobqueue.adapters.memory import MemoryBroker
from jobqueue.ports import Enqueued
from jobqueue.testing import FakeClock


async def test_options_and_keywords_are_one_or_the_other(queue: JobQueue) -> None:
    with pytest.raises(TypeError, match="not both"):
        await queue.enqueue("x", {}, 5, options=JobOptions(priority=1))
    with pytest.raises(TypeError, match="unexpected keyword argument 'prio'"):
        await queue.enqueue("x", {}, prio=5)  # type: ignore[call-arg]
    job = await queue.enqueue("x", options=JobOptions(priority=7, id="mine"))
    assert (job.priority, job.id) == (7, "mine")


async def test_handler_options_come_before_settings(queue: JobQueue) -> None:
    @queue.worker("x", max_attempts=9, queue="q", timeout=timedelta(seconds=5), result_ttl=60)
    async def handler(job: Job) -> None: ...

    job = await queue.enqueue("x")
    assert (job.max_attempts, job.queue) == (9, "q")
    assert (await queue.enqueue("x", max_attempts=1)).max_attempts == 1
    record = await queue.broker.get(job.id)
    assert record is not None
    assert (record.timeout, record.result_ttl) == (5.0, 60.0)


async def test_same_id_is_one_job(queue: JobQueue) -> None:
    first = await queue.enqueue("x", {"a": 1}, id="k")
    assert (await queue.enqueue("x", {"a": 1}, id="k")).created_at == first.created_at
    with pytest.raises(DuplicateJob, match="'k'") as caught:
        await queue.enqueue("x", {"a": 2}, id="k")
    assert caught.value.job_id == "k"
    assert (await queue.get_stats()).pending == 1


async def test_unique_handlers_and_keys(queue: JobQueue) -> None:
    @queue.worker("x", unique=True)
    async def handler(job: Job) -> None: ...

    first = await queue.enqueue("x", {"a": 1})
    with pytest.raises(DuplicateJob):
        await queue.enqueue("x", {"a": 1})
    await queue.enqueue("x", {"a": 2})
    assert (await queue.enqueue("x", {"a": 1}, on_duplicate="return")).id == first.id
    await queue.run_until_idle()
    await queue.enqueue("x", {"a": 1})


@pytest.mark.parametrize(
    "bad",
    [
        {"priority": 1001}, {"priority": True}, {"delay": -1}, {"delay": float("nan")},
        {"delay": float("inf")}, {"max_attempts": 0}, {"timeout": 0}, {"id": ""}, {"id": "a\nb"},
        {"id": "x" * 201}, {"queue": "\x00"}, {"backoff": "linear"}, {"unique_key": "\ud800"},
        {"on_duplicate": "ignore"}, {"result_ttl": -5},
    ],
)  # fmt: skip
async def test_bad_options_write_nothing(queue: JobQueue, bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        await queue.enqueue("x", {}, **bad)
    assert not await queue.get_jobs()


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "data",
    [
        {"x": float("nan")}, {"x": [float("inf")]}, {"x": object()}, {"x": "\ud800"}, _nested(200),
        "x" * 2_000_000, {(1, 2): 3},
    ],
    ids=["nan", "inf", "object", "surrogate", "deep", "long", "tuple-key"],
)  # fmt: skip
async def test_bad_payloads_write_nothing(queue: JobQueue, data: Any) -> None:
    with pytest.raises(PayloadError):
        await queue.enqueue("x", data)
    assert not await queue.get_jobs()


async def test_schedule(queue: JobQueue, clock: FakeClock) -> None:
    @queue.worker("x")
    async def handler(job: Job) -> None: ...

    past = await queue.schedule("x", {}, datetime(2000, 1, 1, tzinfo=UTC))
    soon = await queue.schedule("x", {}, datetime.fromtimestamp(clock.time() + 60, UTC), priority=3)
    assert (past.status, soon.status, soon.priority) == ("pending", "delayed", 3)
    await queue.run_until_idle(advance=61)
    assert (await queue.get_stats()).completed == 2
    with pytest.raises(ConfigurationError, match="datetime"):
        await queue.schedule("x", {}, "tomorrow")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        await queue.schedule("x", {}, datetime.now(UTC), delay=3)


async def test_concurrent_enqueues_share_a_round_trip(clock: FakeClock) -> None:
    class Counting(MemoryBroker):
        calls = 0

        async def enqueue(self, records: Any) -> list[Enqueued]:
            self.calls += 1
            await asyncio.sleep(0)
            return list(await super().enqueue(records))

    broker = Counting(clock=clock)
    async with JobQueue(broker=broker, clock=clock) as queue:
        jobs = await asyncio.gather(*(queue.enqueue("x", i) for i in range(50)))
        assert [job.data for job in jobs] == list(range(50))
        # the first goes at once, those that came meanwhile go together
        assert broker.calls == 2


async def test_failed_round_trip_fails_each_caller(clock: FakeClock) -> None:
    class Broken(MemoryBroker):
        async def enqueue(self, records: Any) -> list[Enqueued]:
            raise OSError("no")

    async with JobQueue(broker=Broken(clock=clock)) as queue:
        results = await asyncio.gather(
            *(queue.enqueue("x") for _ in range(3)), return_exceptions=True
        )
    assert [type(each) for each in results] == [OSError] * 3


async def test_ids_of_many_grow_in_their_order(queue: JobQueue, clock: FakeClock) -> None:
    ids = [job.id for job in await queue.enqueue_many([("x", n) for n in range(1000)])]
    assert ids == sorted(set(ids))
    assert {len(each) for each in ids} == {32}
    assert len({each[12:] for each in ids}) == 1000  # random beside the time
    assert await queue.enqueue_many([]) == []
    names = iter(("a", "b"))
    async with JobQueue(broker=MemoryBroker(clock=clock), new_id=names.__next__) as other:
        assert [job.id for job in await other.enqueue_many([("x", 1), ("x", 2)])] == ["a", "b"]


@pytest.mark.parametrize("name", [None, 5, [], {}, "", "a\0b"])
async def test_names_that_are_none(queue: JobQueue, name: Any) -> None:
    with pytest.raises(ConfigurationError, match="a job's name"):
        await queue.enqueue(name)
    with pytest.raises(ConfigurationError, match="a job's name"):
        await queue.enqueue_many([(name, {})])
    assert (await queue.get_stats()).pending == 0


async def test_options_that_are_none(queue: JobQueue) -> None:
    for bad in (0, {}, {"priority": 1}, JobOptions(on_duplicate=[])):  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match=r"options must be|on_duplicate must be"):
            await queue.enqueue("x", options=bad)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match=r"options must be|on_duplicate must be"):
            await queue.enqueue_many([("x", {}, bad)])  # type: ignore[list-item]
