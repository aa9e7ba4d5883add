"""The worker: three kinds of handlers, cancelling, stopping, blocked loops."""

import asyncio
import logging
import os
import random
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from jobqueue import ConfigurationError, Job, JobContext, JobQueue, JobStatus, Settings, Worker
from jobqueue.worker.attempts import Performer
from jobqueue.worker.runners import Runners
from process_handlers import (
    async_in_process,
    dies,
    in_process,
    logs,
    naps,
    no_number,
    not_yet,
    raises,
    sleeps,
    takes_nothing,
)


@asynccontextmanager
async def working(queue: JobQueue, **options: float) -> AsyncIterator[Worker]:
    worker = Worker(queue, {"default": 8}, **options)
    running = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await running


@pytest.fixture
async def live() -> AsyncIterator[JobQueue]:
    """A queue in memory on the machine's clock."""
    async with JobQueue.from_url("memory://") as made:
        yield made


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.005)


async def test_three_kinds_in_one_worker(live: JobQueue) -> None:
    @live.worker("loop")
    async def on_loop(job: Job) -> bool:
        return threading.current_thread() is threading.main_thread()

    @live.worker("thread")
    def in_thread(job: Job) -> bool:
        return threading.current_thread() is not threading.main_thread()

    live.process("process", in_process, run_in="process")
    live.process("async", async_in_process, run_in="process")
    async with working(live):
        jobs = [
            await live.enqueue(name, {"n": 1}) for name in ("loop", "thread", "process", "async")
        ]
        results = [await live.result(job.id, timeout=60) for job in jobs]
    assert results[:2] == [True, True]
    assert results[2]["pid"] != os.getpid()
    assert results[2]["data"] == {"n": 1}
    assert results[3] != os.getpid()


async def test_handlers_without_parameters(live: JobQueue) -> None:
    @live.worker("loop")
    async def on_loop() -> str:
        return "loop"

    @live.worker("thread")
    def in_thread() -> str:
        return "thread"

    live.process("process", takes_nothing, run_in="process")
    async with working(live):
        jobs = [await live.enqueue(name, {"n": 1}) for name in ("loop", "thread", "process")]
        results = [await live.result(job, timeout=60) for job in jobs]
    assert results == ["loop", "thread", "nothing"]


async def test_process_handlers_fail_and_die_alone(live: JobQueue) -> None:
    live.process("dies", dies, run_in="process", max_attempts=1)
    live.process("raises", raises, run_in="process", max_attempts=1)
    async with working(live):
        dead, bad = await live.enqueue("dies"), await live.enqueue("raises")
        first, second = await live.wait(dead.id, 60), await live.wait(bad.id, 60)
    assert first.error == "ProcessHandlerError: the handler's process died (exit code 7)"
    lines = (second.error or "").splitlines()
    assert lines[0] == "ValueError: from the child"
    frames = [line.rpartition(" in ")[2] for line in lines if line.startswith("  File ")]
    assert frames == ["raises"]


async def test_what_a_process_returns_is_checked_like_all_results(live: JobQueue) -> None:
    live.process("x", no_number, run_in="process")
    async with working(live):
        job = await live.wait((await live.enqueue("x")).id, 60)
    assert (job.status, job.attempts) == ("failed", 1)
    assert (job.error or "").startswith("PayloadError: result of job")


async def test_a_process_logs_where_its_worker_does(
    live: JobQueue, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    live.process("x", logs, run_in="process")
    async with working(live):
        await live.result(await live.enqueue("x"), 60)
    assert "INFO jobqueue.job.x half way" in capfd.readouterr().err


async def test_a_process_may_ask_for_a_retry_in_an_hour(live: JobQueue) -> None:
    live.process("x", not_yet, run_in="process")
    job = await live.enqueue("x")
    await live.run_until_idle()
    found = await live.get_job(job)
    assert found is not None
    assert found.scheduled_at is not None
    assert (found.scheduled_at - found.created_at).total_seconds() > 3000


async def test_a_signal_to_all_leaves_running_processes_alone(
    live: JobQueue, tmp_path: Path
) -> None:
    """A service manager may send SIGTERM to the worker's children too: the worker decides."""
    live.process("x", naps, run_in="process", max_attempts=1)
    marker = tmp_path / "pid"
    async with working(live):
        job = await live.enqueue("x", str(marker))
        await until(lambda: marker.exists() and marker.read_text() != "")
        for each in (signal.SIGTERM, signal.SIGINT):
            os.kill(int(marker.read_text()), each)
        assert await live.result(job, 60) == "rested"
        again = await live.enqueue("x", str(marker))
        assert await live.result(again, 60) == "rested"


async def test_cancelling_a_running_task(live: JobQueue) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    @live.worker("x")
    async def handler(job: Job) -> None:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    async with working(live):
        job = await live.enqueue("x")
        await started.wait()
        assert await live.cancel_job(job.id)
        async with asyncio.timeout(60):
            await ended.wait()
    assert (await live.wait(job.id)).status == "cancelled"


@pytest.mark.parametrize("when", ["claimed", "begun"])
@pytest.mark.parametrize("lost", [True, False])
async def test_what_is_cancelled_before_its_first_step_never_runs(
    queue: JobQueue, when: str, lost: bool
) -> None:
    """Cancelled so early a task runs nothing, not even its end: it held its slot for ever."""
    ran: list[str] = []

    @queue.worker("x")
    async def x(job: Job) -> None:
        ran.append(job.id)

    await queue.enqueue("x")
    worker = Worker(queue)
    step = await worker._step(queue.broker, {"default": 1})
    [attempt] = worker._leased.take(step.claimed)
    performer = Performer(queue, Runners(1), random.Random(1))
    if when == "begun":
        worker._begin(performer)
    worker._leased.lose([attempt.lease]) if lost else attempt.cancel()
    worker._begin(performer)
    assert attempt.task is not None
    await attempt.task
    assert (ran, len(worker._leased)) == ([], 0)
    assert [each.kind for each in worker._outcomes] == ([] if lost else ["released"])


async def test_cancelling_a_running_thread(live: JobQueue) -> None:
    started, stopped = threading.Event(), threading.Event()

    @live.worker("x")
    def handler(job: Job, ctx: JobContext) -> None:
        started.set()
        while not ctx.cancelled:
            stopped.wait(0.005)
        stopped.set()

    async with working(live):
        job = await live.enqueue("x")
        await until(started.is_set)
        assert await live.cancel_job(job.id)
        await until(stopped.is_set)
    assert (await live.wait(job.id)).status == "cancelled"


async def test_cancelling_a_running_process(live: JobQueue, tmp_path: Path) -> None:
    live.process("x", sleeps, run_in="process")
    marker = tmp_path / "pid"
    async with working(live):
        job = await live.enqueue("x", str(marker))
        await until(lambda: marker.exists() and marker.read_text() != "")
        pid = int(marker.read_text())
        assert await live.cancel_job(job.id)
        await until(lambda: not Path(f"/proc/{pid}").exists())


async def test_timeouts_of_each_kind(live: JobQueue, tmp_path: Path) -> None:
    released = threading.Event()

    @live.worker("loop", timeout=0.05, max_attempts=1)
    async def on_loop(job: Job) -> None:
        await asyncio.sleep(60)

    @live.worker("thread", timeout=0.05, max_attempts=1)
    def in_thread(job: Job, ctx: JobContext) -> None:
        while not ctx.cancelled:
            released.wait(0.005)

    live.process("process", sleeps, run_in="process", timeout=2, max_attempts=1)
    async with working(live):
        names = ("loop", "thread", "process")
        jobs = [await live.enqueue(name, str(tmp_path / name)) for name in names]
        ended = [await live.wait(job.id, 60) for job in jobs]
    assert [job.status for job in ended] == ["failed"] * 3
    assert all((job.error or "").startswith("JobTimeout: ran longer than") for job in ended)


async def test_a_timeout_of_the_handlers_own_is_its_own(live: JobQueue) -> None:
    @live.worker("x", max_attempts=1)
    async def handler(job: Job) -> None:
        async with asyncio.timeout(0.001):
            await asyncio.sleep(60)

    async with working(live):
        job = await live.wait((await live.enqueue("x")).id, 60)
    assert (job.error or "").startswith("TimeoutError")


async def test_stop_lets_jobs_finish(live: JobQueue) -> None:
    started, go = asyncio.Event(), asyncio.Event()

    @live.worker("x")
    async def handler(job: Job) -> str:
        started.set()
        await go.wait()
        return "finished"

    worker = Worker(live, shutdown_timeout=60)
    running = asyncio.create_task(worker.run())
    job, later = await live.enqueue("x"), await live.enqueue("x", delay=0.01)
    await started.wait()
    worker.stop()
    await asyncio.sleep(0)
    go.set()
    await running
    assert await live.result(job.id) == "finished"
    found = await live.get_job(later.id)
    assert found is not None
    assert found.attempts <= 1


async def test_stop_releases_what_does_not_finish() -> None:
    live, started = JobQueue(Settings.from_mapping({"shutdown_timeout": 3600})), asyncio.Event()

    @live.worker("x")
    async def handler(job: Job) -> None:
        started.set()
        await asyncio.sleep(60)

    worker = Worker(live, shutdown_timeout=0.01)
    running = asyncio.create_task(worker.run())
    job = await live.enqueue("x")
    await started.wait()
    worker.stop()
    async with asyncio.timeout(60):  # the settings would give it an hour
        await running
    found = await live.get_job(job.id)
    assert found is not None
    assert (found.status, found.attempts) == (JobStatus.PENDING, 0)
    await live.aclose()


async def test_a_blocked_loop_keeps_its_leases_and_is_named(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    settings = Settings.from_mapping({"lease": 0.6})
    async with JobQueue(settings) as queue:

        @queue.worker("blocks")
        async def handler(job: Job) -> int:
            time.sleep(1.5)
            return job.attempts

        async with working(queue):
            job = await queue.enqueue("blocks")
            assert await queue.result(job.id, timeout=60) == 1
    blocked = [each for each in caplog.records if each.getMessage() == "worker.loop_blocked"]
    # a busy machine may hold the loop up elsewhere, too
    assert any("time.sleep(1.5)" in each.__dict__["where"] for each in blocked)


async def test_progress_is_stored(live: JobQueue) -> None:
    settings = Settings.from_mapping({"lease": 0.3})
    async with JobQueue(settings) as queue:
        go = asyncio.Event()

        @queue.worker("x")
        async def handler(job: Job, ctx: JobContext) -> None:
            with pytest.raises(ValueError, match="between 0 and 100"):
                ctx.progress(101)
            ctx.progress(42)
            ctx.logger.info("half way")
            await go.wait()

        async with working(queue):
            job = await queue.enqueue("x")
            async with asyncio.timeout(60):
                while (found := await queue.get_job(job.id)) is None or found.progress != 42:
                    await asyncio.sleep(0.01)
            go.set()
            assert (await queue.wait(job.id, 60)).progress == 100


async def test_result_that_is_no_json_fails_the_job(live: JobQueue) -> None:
    @live.worker("x")
    async def handler(job: Job) -> object:
        return object()

    async with working(live):
        job = await live.wait((await live.enqueue("x")).id, 60)
    assert job.status == "failed"
    assert "PayloadError: result of job" in (job.error or "")


async def test_system_exit_in_a_handler_ends_only_the_job(live: JobQueue) -> None:
    @live.worker("x", max_attempts=1)
    async def handler(job: Job) -> None:
        raise SystemExit(3)

    async with working(live):
        job = await live.wait((await live.enqueue("x")).id, 60)
    assert (job.error or "").startswith("SystemExit: 3")


def test_bad_registrations(queue: JobQueue) -> None:
    async def good(job: Job) -> None: ...

    queue.process("x", good)
    queue.process("x", good)
    with pytest.raises(ConfigurationError, match="handled by"):
        queue.process("x", in_process)
    with pytest.raises(ConfigurationError, match="must take the job"):
        queue.process("some", lambda *rest: None)
    with pytest.raises(ConfigurationError, match="would block the loop"):
        queue.process("loop", in_process, run_in="loop")
    with pytest.raises(ConfigurationError, match="not importable"):
        queue.process("local", good, run_in="process")
    with pytest.raises(ConfigurationError, match="run_in"):
        queue.process("where", in_process, run_in="moon")
    with pytest.raises(ConfigurationError, match="cron expression"):
        queue.cron("every day")(good)
    with pytest.raises(ConfigurationError, match="catch_up"):
        queue.cron("* * * * *", catch_up="some")(good)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="from 1 to 10000"):
        Worker(queue, {"default": 0})


@pytest.mark.parametrize("place", ["loop", "thread"])
async def test_stored_tracebacks_begin_in_the_handler(live: JobQueue, place: str) -> None:
    def fails() -> None:
        raise ValueError("no such file")

    async def on_the_loop(job: Job) -> None:
        fails()

    def in_a_thread(job: Job) -> None:
        fails()

    handler = on_the_loop if place == "loop" else in_a_thread
    live.process("x", handler, max_attempts=1)
    async with working(live):
        job = await live.wait((await live.enqueue("x")).id, 60)
    lines = (job.error or "").splitlines()
    assert lines[0] == "ValueError: no such file"
    frames = [line.rpartition(" in ")[2] for line in lines if line.startswith("  File ")]
    assert frames == [handler.__name__, "fails"]


async def test_an_error_of_the_worker_keeps_its_traceback(live: JobQueue) -> None:
    @live.worker("x", max_attempts=1, timeout=0.01)
    async def handler(job: Job) -> None:
        await asyncio.sleep(60)

    async with working(live):
        job = await live.wait((await live.enqueue("x")).id, 60)
    assert (job.error or "").startswith("JobTimeout: ran longer than 0.01 s\n  File ")
