"""Jobs that depend on each other, limits of handlers, and what middleware sees."""

from typing import Any

import pytest

from jobqueue import (
    ConfigurationError,
    Job,
    JobContext,
    JobNotFound,
    JobOptions,
    JobQueue,
    JobStatus,
)
from jobqueue.limits import make_limit
from jobqueue.middleware import Middleware, wrapped
from jobqueue.ports import Limit


def add(queue: JobQueue) -> None:
    @queue.worker("one")
    async def one(job: Job) -> Any:
        if job.data == "bad":
            raise ValueError("bad")
        return job.data

    @queue.worker("sum")
    async def total(job: Job, ctx: JobContext) -> Any:
        results = [each.result for each in ctx.parents]
        return sum(results) + (job.data or 0)


async def test_a_chain_passes_results_on(queue: JobQueue) -> None:
    add(queue)
    jobs = await queue.chain(("one", 1), ("sum", 2), ("sum", 4))
    assert [job.status for job in jobs] == ["pending", "delayed", "delayed"]
    await queue.run_until_idle()
    assert await queue.result(jobs[-1].id, timeout=1) == 7


async def test_a_chord_runs_after_its_group(queue: JobQueue) -> None:
    add(queue)
    last = await queue.chord([("one", n) for n in range(5)], ("sum", 100))
    await queue.run_until_idle()
    assert await queue.result(last.id, timeout=1) == 110


@pytest.mark.parametrize(
    ("rule", "status"), [("fail", "failed"), ("skip", "cancelled"), ("run", "completed")]
)
async def test_what_a_failure_does_to_the_callback(
    queue: JobQueue, rule: Any, status: JobStatus
) -> None:
    add(queue)
    group = [("one", 1), ("one", "bad", JobOptions(max_attempts=1))]
    options = JobOptions(on_parent_failure=rule)
    last = await queue.chord(group, ("one", 3, options))
    await queue.run_until_idle()
    [ended] = await queue.wait_all([last], timeout=1)
    assert ended.status == status
    assert ("ParentFailed" in (ended.error or "")) == (rule != "run")


async def test_a_group_is_waited_for(queue: JobQueue) -> None:
    add(queue)
    jobs = await queue.group([("one", n) for n in range(3)])
    with pytest.raises(TimeoutError):
        await queue.wait_all(jobs, timeout=0.01)
    await queue.run_until_idle()
    assert [job.result for job in await queue.wait_all(jobs, timeout=1)] == [0, 1, 2]
    assert [job.id for job in await queue.wait_all([jobs[0].id], timeout=1)] == [jobs[0].id]


async def test_an_unknown_parent_is_refused(queue: JobQueue) -> None:
    with pytest.raises(JobNotFound, match="unknown"):
        await queue.enqueue("one", depends_on="unknown")


@pytest.mark.parametrize(
    ("given", "limit"),
    [
        ((None, None), None),
        ((3, None), Limit(3)),
        ((None, "100/m"), Limit(None, 100, 60.0)),
        ((2, "5 / 10s"), Limit(2, 5, 10.0)),
        ((None, (7, 0.5)), Limit(None, 7, 0.5)),
    ],
)
def test_limits_are_understood(given: tuple[Any, Any], limit: Limit | None) -> None:
    assert make_limit(*given) == limit


@pytest.mark.parametrize(
    "given",
    [
        (0, None),
        (True, None),
        (1.5, None),
        (None, "fast"),
        (None, (0, 1)),
        (None, (1, 0)),
        (None, 3),
    ],
)
def test_limits_that_make_no_sense(given: tuple[Any, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"concurrency|rate_limit"):
        make_limit(*given)


async def test_the_first_middleware_is_outermost() -> None:
    seen: list[str] = []

    class Noting(Middleware):
        def __init__(self, name: str) -> None:
            self.name = name

        async def run(self, job: Any, context: Any, call_next: Any) -> Any:
            seen.append(f"{self.name} in")
            result = await super().run(job, context, call_next)
            seen.append(f"{self.name} out")
            return result + 1

    async def handler() -> int:
        seen.append("handler")
        return 1

    call = wrapped([Noting("a"), Noting("b")], None, None, handler)  # type: ignore[arg-type]
    assert await call() == 3
    assert seen == ["a in", "b in", "handler", "b out", "a out"]


async def test_jobs_stand_for_their_ids(queue: JobQueue) -> None:
    add(queue)
    first = await queue.enqueue("one", 1)
    other = await queue.enqueue("one", 2)
    last = await queue.enqueue("sum", depends_on=[first, other.id, other])
    assert list(last.depends_on) == [first.id, other.id]
    alone = await queue.enqueue("sum", depends_on=first)
    assert list(alone.depends_on) == [first.id]
    await queue.run_until_idle()
    assert await queue.result(last, timeout=1) == 3
    assert (await queue.wait(alone, timeout=1)).result == 1
    found = await queue.get_job(first)
    assert found is not None
    assert found.id == first.id
    assert not await queue.cancel_job(first)
    assert await queue.remove_job(first)
