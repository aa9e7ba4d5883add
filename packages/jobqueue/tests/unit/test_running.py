"""What becomes of jobs: types, retries, cron, headers."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobqueue import (
    Job,
    JobFailed,
    JobQueue,
    PayloadError,
    Retry,
    RetryJob,
)
from jobqueue.ports import Record
from jobqueue.testing import FakeClock


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


async def test_cron_runs_each_tick_once(queue: JobQueue) -> None:
    ticks: list[str] = []

    @queue.cron("*/10 * * * *", name="report")
    async def report(job: Job) -> None:
        ticks.append(job.data["scheduled_at"])

    await queue.run_until_idle()
    await queue.run_until_idle(advance=timedelta(hours=1))
    assert len(ticks) == len(set(ticks)) == 6


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


@pytest.mark.parametrize(
    ("redact", "said"),
    [
        (lambda text: text.replace("4111", "****"), "ValueError: card ****"),
        (lambda text: text[999], "the error is not stored"),
    ],
    ids=["replaces", "fails"],
)
async def test_errors_are_redacted(clock: FakeClock, redact: Any, said: str) -> None:
    async with JobQueue.from_url("memory://", clock=clock, redact=redact) as queue:

        @queue.worker("x", max_attempts=2, backoff="fixed")
        async def handler(job: Job) -> None:
            raise ValueError("card 4111")

        job = await queue.enqueue("x")
        for advance in (0, 60):
            await queue.run_until_idle(advance=advance)
            found = await queue.get_job(job.id)
            assert found is not None
            assert (found.error or "").startswith(said)
            assert "4111" not in (found.error or "")
