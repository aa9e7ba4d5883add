"""How long jobs waited and ran, and what JSON shows of a job."""

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from jobqueue import ConfigurationError, Job, JobFilters, JobQueue, JobStatus, QueueStats
from jobqueue.models.wire import brief, camel, to_json
from jobqueue.service.latencies import quantile, run_of, summarize, wait_of
from jobqueue.testing import FakeClock

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def job(**values: object) -> Job:
    given = {
        "id": "j", "name": "n", "status": JobStatus.COMPLETED, "data": {"a": 1}, "priority": 0,
        "attempts": 1, "max_attempts": 3, "created_at": at(0), "started_at": at(2),
        "completed_at": at(5),
    }  # fmt: skip
    return Job(**{**given, **values})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("values", "wait", "run"),
    [
        ({}, 2, 3),
        ({"scheduled_at": at(1)}, 1, 3),
        ({"scheduled_at": at(2.5)}, 0, 3),  # a clock that was set back: never less than 0
        ({"depends_on": ("p",)}, None, 3),
        ({"started_at": None, "completed_at": None}, None, None),
        ({"completed_at": None, "failed_at": at(4), "status": JobStatus.FAILED}, 2, 2),
        ({"completed_at": None, "status": JobStatus.PROCESSING}, 2, None),
    ],
)
def test_waits_and_runs(values: dict[str, object], wait: float | None, run: float | None) -> None:
    assert (wait_of(job(**values)), run_of(job(**values))) == (wait, run)


@pytest.mark.parametrize(
    ("values", "share", "found"),
    [([], 0.5, None), ([7], 0.95, 7), ([1, 2, 3, 4], 0.5, 2), (list(range(1, 101)), 0.95, 95)],
)
def test_quantiles(values: list[float], share: float, found: float | None) -> None:
    assert quantile(values, share) == found


def test_summaries() -> None:
    assert summarize([]).run_p95 is None
    found = summarize(job(completed_at=at(2 + n)) for n in range(1, 101))
    assert (found.count, found.wait_p50, found.run_p50, found.run_p95) == (100, 2, 50, 95)


async def test_latencies_of_jobs_that_ended_lately(queue: JobQueue, clock: FakeClock) -> None:
    @queue.worker("x")
    async def handler(job: Job) -> None:
        await clock.advance(job.data)

    assert (await queue.get_latencies()).count == 0
    await queue.enqueue("x", 50)
    await queue.run_until_idle()
    await clock.advance(30)
    await queue.enqueue("x", 2)
    await clock.advance(1)
    await queue.run_until_idle()
    await queue.enqueue("other", 1)
    found = await queue.get_latencies(window=20)
    assert (found.count, found.wait_p50, found.run_p50) == (1, 1, 2)
    assert (await queue.get_latencies(window=timedelta(hours=1))).run_p95 == 50
    assert (await queue.get_latencies(JobFilters(name="other"))).count == 0
    assert (await queue.get_latencies(limit=1)).count == 1
    for wrong in ({"window": -1}, {"limit": 0}, {"filters": "x"}):
        with pytest.raises(ConfigurationError):
            await queue.get_latencies(**wrong)  # type: ignore[arg-type]


def test_json_says_pythons_words_in_camel_case() -> None:
    assert [camel(each) for each in ("id", "max_attempts", "wait_p50")] == [
        "id", "maxAttempts", "waitP50",
    ]  # fmt: skip
    shown = json.loads(msgspec.json.encode(to_json(job(result=[1]))))
    assert shown == {
        "id": "j", "name": "n", "status": "completed", "data": {"a": 1}, "priority": 0,
        "attempts": 1, "maxAttempts": 3, "createdAt": "2026-01-01T12:00:00Z",
        "startedAt": "2026-01-01T12:00:02Z", "completedAt": "2026-01-01T12:00:05Z",
        "result": [1], "error": None, "failedAt": None, "queue": "default", "scheduledAt": None,
        "progress": 0.0, "headers": {}, "dependsOn": [], "worker": None,
    }  # fmt: skip
    assert to_json(QueueStats(processing=2))["oldestPendingAge"] is None


def test_lists_show_no_payloads() -> None:
    shown = brief(job(error="ValueError: " + "x" * 500 + "\nTraceback"))
    assert not shown.keys() & {"data", "result", "headers"}
    assert len(shown["error"]) == 300
