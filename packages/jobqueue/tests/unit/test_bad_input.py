"""Wrong values: our own errors with a text that helps, and nothing stored."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from jobqueue import (
    ConfigurationError,
    JobContext,
    JobFilters,
    JobOptions,
    JobQueue,
    JobQueueError,
    Retry,
    Worker,
)
from jobqueue.cli import main
from jobqueue.ports import Lease

HUGE = 10**5000


@pytest.mark.parametrize(
    "bad",
    [
        {"priority": 2.5}, {"max_attempts": 1.5}, {"delay": HUGE}, {"delay": "5"},
        {"timeout": float("nan")}, {"headers": ["a"]}, {"headers": {"a": "\ud800"}},
        {"on_duplicate": []}, {"backoff": []}, {"id": 5}, {"queue": b"q"}, {"options": {}},
        {"options": {"priority": 1}}, {"options": JobOptions(delay="x")},  # type: ignore[arg-type]
    ],
)  # fmt: skip
async def test_options(queue: JobQueue, bad: dict[str, Any]) -> None:
    with pytest.raises(JobQueueError):
        await queue.enqueue("x", {}, **bad)
    assert not await queue.get_jobs()


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"backoff": lambda attempt: attempt}, "backoff to @queue.worker"),
        ({"headers": {"tenant": 7}}, "'tenant', 7"),
        ({"delay": "1h"}, "not '1h'"),
    ],
)
async def test_what_was_wrong_is_told(queue: JobQueue, bad: dict[str, Any], said: str) -> None:
    with pytest.raises(JobQueueError, match=said):
        await queue.enqueue("x", **bad)


async def test_lengths_of_time_may_be_timedeltas(queue: JobQueue) -> None:
    minute = timedelta(minutes=1)
    job = await queue.enqueue("x", delay=minute, timeout=minute, result_ttl=minute)
    found = await queue.broker.get(job.id)
    assert found is not None
    assert (found.timeout, found.result_ttl) == (60.0, 60.0)
    for bad in (-1, "1h", float("nan")):
        with pytest.raises(ConfigurationError, match="advance must be"):
            await queue.run_until_idle(advance=bad)  # type: ignore[arg-type]


def test_numbers_that_make_no_sense_are_shown() -> None:
    with pytest.raises(ConfigurationError, match=r"not \(-1, 2\.0, 3600\.0\)"):
        Retry(base=-1)
    with pytest.raises(ValueError, match="not '50%'"):
        JobContext(Lease("a", 1), name="x", attempt=1).progress("50%")  # type: ignore[arg-type]


@pytest.mark.parametrize("job", ["ab", ("x",), ("x", 1, JobOptions(), 2), None])
async def test_many(queue: JobQueue, job: Any) -> None:
    with pytest.raises(ConfigurationError, match="a job must be"):
        await queue.enqueue_many([("x", 1), job])
    assert not await queue.get_jobs()


@pytest.mark.parametrize(
    "moment",
    [
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14))),
        datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-12))),
    ],
)
async def test_moments_beyond_utc(queue: JobQueue, moment: datetime) -> None:
    with pytest.raises(ConfigurationError, match="UTC"):
        await queue.schedule("x", {}, moment)


async def test_questions(queue: JobQueue) -> None:
    for bad in ("\ud800", "a\0b", 5, [], ""):
        for ask in (queue.get_job, queue.cancel_job, queue.retry_job, queue.remove_job, queue.wait):
            with pytest.raises(ConfigurationError, match="job's id"):
                await ask(bad)  # type: ignore[operator]
    filters: list[Any] = [
        {}, JobFilters(name=5), JobFilters(queue="\ud800"), JobFilters(status="gone"),  # type: ignore[arg-type]
        JobFilters(created_after="now"),  # type: ignore[arg-type]
    ]  # fmt: skip
    for each in filters:
        with pytest.raises(ConfigurationError):
            await queue.get_jobs(each)
    for options in ({"limit": 2.5}, {"cursor": 5}, {"cursor": "9" * 30}, {"cursor": "\u0669"}):
        with pytest.raises(ConfigurationError):
            await queue.get_jobs(**options)  # type: ignore[arg-type]
    for value in (float("nan"), -1, "x", HUGE):
        with pytest.raises(ConfigurationError, match="older_than"):
            await queue.purge(older_than=value)  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError, match="timeout"):
            await queue.wait("x", value)  # type: ignore[arg-type]


async def test_naive_filters_are_in_the_configured_zone() -> None:
    queue = JobQueue()
    queue.configure({"scheduler": {"timezone": "Etc/GMT+12"}})
    async with queue:
        await queue.enqueue("x")
        now = datetime.now(UTC).replace(tzinfo=None)
        assert not await queue.get_jobs(JobFilters(created_after=now - timedelta(hours=1)))
        assert await queue.get_jobs(JobFilters(created_after=now - timedelta(hours=13)))


@pytest.mark.parametrize(
    "queues", [{}, {"q": "4"}, {"q": True}, {"q": 0}, {"q": HUGE}, {5: 1}, {"\0": 1}, ["q"]]
)
def test_worker_slots(queue: JobQueue, queues: Any) -> None:
    with pytest.raises(ConfigurationError):
        Worker(queue, queues)


@pytest.mark.parametrize(
    "bad",
    [
        {"max_attempts": 0}, {"timeout": -1}, {"backoff": "linear"}, {"retry_on": ["E"]},
        {"retry_on": ValueError}, {"result_ttl": float("nan")},
    ],
)  # fmt: skip
def test_handler_options(queue: JobQueue, bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        queue.worker("x", **bad)


def test_a_decorator_without_its_brackets(queue: JobQueue) -> None:
    with pytest.raises(ConfigurationError, match=r"write @queue\.worker\('thumbnail'\)"):
        queue.worker(lambda: None)  # type: ignore[arg-type]


@pytest.mark.parametrize("target", [":", ".x", "", "\udcff:q", "a b:q"])
def test_worker_command(target: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["worker", target]) == 2
    assert "module:queue" in capsys.readouterr().err
