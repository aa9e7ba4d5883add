"""Enqueuing, asking and steering."""

import asyncio
import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jobqueue import (
    ConfigurationError,
    DuplicateJob,
    Job,
    JobCancelled,
    JobFailed,
    JobFilters,
    JobNotFound,
    JobOptions,
    JobQueue,
    JobStatus,
    PayloadError,
    Retry,
    RetryJob,
    Settings,
)
from jobqueue import (
    queue as default_queue,
)
from jobqueue.adapters.memory import MemoryBroker
from jobqueue.ports import Enqueued, Record
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


@dataclass
class Upload:
    path: str
    when: datetime


async def test_typed_handlers_get_their_type(queue: JobQueue) -> None:
    seen: list[Upload] = []

    @queue.worker("upload")
    async def handler(upload: Upload) -> Upload:
        seen.append(upload)
        return upload

    sent = Upload("a.wav", datetime(2026, 1, 2, tzinfo=UTC))
    job = await queue.enqueue("upload", sent)
    await queue.run_until_idle()
    assert seen == [sent]
    assert (await queue.result(job.id))["path"] == "a.wav"


async def test_data_that_does_not_fit_fails_at_once(queue: JobQueue) -> None:
    @queue.worker("upload")
    async def handler(upload: Upload) -> None: ...

    job = await queue.enqueue("upload", {"path": 5})
    await queue.run_until_idle()
    with pytest.raises(JobFailed, match="does not fit 'Upload'") as caught:
        await queue.result(job.id)
    assert caught.value.job.attempts == 1
    assert caught.value.job.data == {"path": 5}


async def test_unknown_names_fail_and_others_flow(queue: JobQueue) -> None:
    @queue.worker("known")
    async def handler(job: Job) -> int:
        return 1

    lost, kept = await queue.enqueue("nobody"), await queue.enqueue("known")
    await queue.run_until_idle()
    assert await queue.result(kept.id) == 1
    with pytest.raises(JobFailed, match="registered: known"):
        await queue.result(lost.id)


async def test_undecodable_payload_is_kept_as_it_is(queue: JobQueue) -> None:
    @queue.worker("x")
    async def handler(job: Job) -> None: ...

    hostile = b"\x80\x04\x95cos\nsystem\n(S'touch /tmp/x'\ntR."
    await queue.broker.enqueue([Record(id="bad", name="x", queue="default", data=hostile)])
    await queue.run_until_idle()
    found = await queue.broker.get("bad")
    assert found is not None
    assert (found.status, found.data, found.attempts) == ("failed", hostile, 1)
    assert "PayloadError" in (found.error or "")
    assert isinstance((await queue.get_jobs())[0].data, str)


async def test_retries_until_it_works(queue: JobQueue) -> None:
    attempts: list[int] = []

    @queue.worker("flaky", max_attempts=5, backoff=Retry("fixed", base=10))
    async def handler(job: Job) -> str:
        attempts.append(job.attempts)
        if job.attempts < 3:
            raise ValueError("not yet")
        return "done"

    job = await queue.enqueue("flaky")
    await queue.run_until_idle(advance=9)
    assert attempts == [1]
    await queue.run_until_idle(advance=30)
    assert attempts == [1, 2, 3]
    assert await queue.result(job.id) == "done"


async def test_dead_letters_come_back(queue: JobQueue) -> None:
    broken = True

    @queue.worker("x", max_attempts=1)
    async def handler(job: Job) -> None:
        if broken:
            raise ValueError("no")

    ids = [(await queue.enqueue("x")).id for _ in range(3)]
    await queue.run_until_idle()
    failed = await queue.get_jobs(JobFilters(status=JobStatus.FAILED))
    assert {job.id for job in failed} == set(ids)
    assert all((job.error or "").startswith("ValueError: no\n") for job in failed)
    assert failed[0].failed_at is not None
    broken = False
    assert await queue.requeue_failed("other") == 0
    assert await queue.retry_job(ids[0])
    assert await queue.requeue_failed("x") == 2
    await queue.run_until_idle()
    assert (await queue.get_stats()).completed == 3


async def test_only_named_exceptions_are_retried(queue: JobQueue) -> None:
    @queue.worker("x", retry_on=[ConnectionError])
    async def handler(job: Job) -> None:
        raise {"c": ConnectionResetError, "v": ValueError}[job.data]

    again, dead = await queue.enqueue("x", "c"), await queue.enqueue("x", "v")
    await queue.run_until_idle()
    assert (await queue.wait(dead.id)).attempts == 1
    found = await queue.get_job(again.id)
    assert found is not None
    assert found.status == "delayed"


async def test_handlers_ask_for_a_retry(queue: JobQueue, clock: FakeClock) -> None:
    @queue.worker("x")
    async def handler(job: Job) -> int:
        if job.attempts == 1:
            raise RetryJob(delay=120)
        return job.attempts

    job = await queue.enqueue("x")
    await queue.run_until_idle()
    found = await queue.get_job(job.id)
    assert found is not None
    assert found.scheduled_at == datetime.fromtimestamp(clock.time() + 120, UTC)
    await queue.run_until_idle(advance=timedelta(minutes=3))
    assert await queue.result(job.id) == 2


async def test_cancelled_jobs_do_not_run(queue: JobQueue) -> None:
    job = await queue.enqueue("x")
    assert await queue.cancel_job(job.id)
    assert not await queue.cancel_job(job.id)
    assert not await queue.cancel_job("unknown")
    await queue.run_until_idle()
    with pytest.raises(JobCancelled):
        await queue.result(job.id)


async def test_waiting(queue: JobQueue) -> None:
    job = await queue.enqueue("x")
    with pytest.raises(TimeoutError):
        await queue.wait(job.id, timeout=0.02)
    with pytest.raises(JobNotFound):
        await queue.result("unknown")


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


async def test_cron_runs_each_tick_once(queue: JobQueue) -> None:
    ticks: list[str] = []

    @queue.cron("*/10 * * * *", name="report")
    async def report(job: Job) -> None:
        ticks.append(job.data["scheduled_at"])

    await queue.run_until_idle()
    await queue.run_until_idle(advance=timedelta(hours=1))
    assert len(ticks) == len(set(ticks)) == 6


async def test_pause_and_resume(queue: JobQueue) -> None:
    @queue.worker("x")
    async def handler(job: Job) -> None: ...

    await queue.pause()
    job = await queue.enqueue("x")
    await queue.run_until_idle()
    assert (await queue.get_stats()).pending == 1
    await queue.resume()
    await queue.run_until_idle()
    assert (await queue.wait(job.id)).status == "completed"


async def test_remove_and_purge(queue: JobQueue, clock: FakeClock) -> None:
    @queue.worker("x")
    async def handler(job: Job) -> None: ...

    job, other = await queue.enqueue("x"), await queue.enqueue("x", delay=999)
    await queue.run_until_idle()
    assert await queue.remove_job(other.id)
    assert not await queue.remove_job(other.id)
    assert await queue.purge(older_than=5) == 0
    await clock.advance(10)
    assert await queue.purge(older_than=timedelta(seconds=5)) == 1
    assert await queue.get_job(job.id) is None
    with pytest.raises(ConfigurationError, match="pending"):
        await queue.purge(JobStatus.PENDING)


async def test_listing_checks_its_arguments(queue: JobQueue) -> None:
    await queue.enqueue_many([("x", i) for i in range(5)])
    page = await queue.get_jobs(limit=3)
    rest = await queue.get_jobs(limit=3, cursor=page.next_cursor)
    assert [job.data for job in [*page, *rest]] == [4, 3, 2, 1, 0]
    assert rest.next_cursor is None
    for bad in ({"limit": 0}, {"limit": 1001}, {"cursor": "' OR 1=1"}):
        with pytest.raises(ConfigurationError):
            await queue.get_jobs(**bad)  # type: ignore[arg-type]


async def test_concurrent_enqueues_share_a_round_trip(clock: FakeClock) -> None:
    class Counting(MemoryBroker):
        calls = 0

        async def enqueue(self, records: Any) -> list[Enqueued]:
            self.calls += 1
            return list(await super().enqueue(records))

    broker = Counting(clock=clock)
    async with JobQueue(broker=broker, clock=clock) as queue:
        jobs = await asyncio.gather(*(queue.enqueue("x", i) for i in range(50)))
        assert [job.data for job in jobs] == list(range(50))
        assert broker.calls == 1


async def test_failed_round_trip_fails_each_caller(clock: FakeClock) -> None:
    class Broken(MemoryBroker):
        async def enqueue(self, records: Any) -> list[Enqueued]:
            raise OSError("no")

    async with JobQueue(broker=Broken(clock=clock)) as queue:
        results = await asyncio.gather(
            *(queue.enqueue("x") for _ in range(3)), return_exceptions=True
        )
    assert [type(each) for each in results] == [OSError] * 3


async def test_headers_travel(queue: JobQueue) -> None:
    from jobqueue._common.telemetry import correlated, correlation_id

    seen: list[str | None] = []

    @queue.worker("x")
    async def handler(job: Job) -> None:
        seen.append(correlation_id())

    with correlated("req-1"):
        job = await queue.enqueue("x", headers={"tenant": "t"})
    await queue.run_until_idle()
    assert seen == ["req-1"]
    assert dict(job.headers) == {"correlation_id": "req-1", "tenant": "t"}
    with pytest.raises(PayloadError):
        await queue.enqueue("x", headers={"a": "x" * 9000})


async def test_unconfigured_warns_once_and_strict_refuses(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.WARNING)
    async with JobQueue() as queue:
        await queue.enqueue("x")
        await queue.enqueue("x")
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 1
    assert "JOBQUEUE_URL" in warnings[0].getMessage()
    monkeypatch.setenv("JOBQUEUE_STRICT", "1")
    with pytest.raises(ConfigurationError, match="JOBQUEUE_STRICT"):
        await JobQueue().get_stats()


async def test_environment_names_the_broker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JOBQUEUE_URL", "memory://")
    async with JobQueue() as queue:
        await queue.enqueue("x")
    pytest.importorskip("yaml")
    file = tmp_path / "c.yaml"
    file.write_text(json.dumps({"job_queue": {"max_payload": 10}}))
    monkeypatch.delenv("JOBQUEUE_URL")
    monkeypatch.setenv("JOBQUEUE_CONFIG", str(file))
    async with JobQueue() as queue:
        with pytest.raises(PayloadError, match="limit of 10"):
            await queue.enqueue("x", "y" * 11)


async def test_configure_comes_before_use() -> None:
    queue = JobQueue()
    queue.configure({"max_payload": 100})
    queue.configure("memory://")
    await queue.enqueue("x")
    with pytest.raises(ConfigurationError, match="before the first operation"):
        queue.configure("memory://")
    await queue.aclose()
    queue.configure(Settings())
    await queue.aclose()
    with pytest.raises(ConfigurationError, match="takes Settings"):
        queue.configure(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nope://x", "unknown broker 'nope'"),
        ("no-scheme", "not a URL"),
        ("memory://?x=1", "unknown option 'x'"),
    ],
)
async def test_bad_urls(url: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        await JobQueue.from_url(url).get_stats()


def test_default_instance_is_not_configured() -> None:
    assert default_queue._built is None
