"""Real worker processes on each broker: kill -9, SIGSTOP, SIGTERM, poison, clock jumps."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from _common.mariadb_server import execute_mysql
from faults import BUSY, PATIENCE, ledger, until
from jobqueue import JobFilters, JobOptions, JobQueue, JobStatus

pytest.importorskip("sqlalchemy")
pytestmark = [pytest.mark.chaos, pytest.mark.slow]
LEASE = 2.0
ROOMY = 4.0  # where a lease must not run out, however late a busy machine lets its thread beat
AMPLE = 60.0  # where nothing waits for a lease to run out
Start = Callable[..., subprocess.Popen[bytes]]
BROKERS = ["sqlite", "postgres_url", "mysql_url", "redis"]


@pytest.fixture(params=BROKERS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/jobs.db"
    if request.param == "redis":
        return f"{request.getfixturevalue('redis_url')}?prefix=chaos"
    found: str = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def queue(url: str) -> AsyncIterator[JobQueue]:
    async with JobQueue.from_url(url) as made:
        await made.setup()
        yield made


@pytest.fixture
def worker(url: str, tmp_path: Path) -> Iterator[Start]:
    """Start worker processes; all end with the test."""
    started: list[subprocess.Popen[bytes]] = []
    environ = {**os.environ, "CHAOS_FOLDER": str(tmp_path), "CHAOS_LEASE": str(LEASE)}

    def start(*arguments: str, **more: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "jobqueue", "worker", "chaos_app:queue", *arguments]
        with (tmp_path / f"worker{len(started)}.log").open("wb") as log:
            made = subprocess.Popen(
                command,
                env={**environ, "CHAOS_URL": url, **more},
                cwd=Path(__file__).parent.parent,
                stderr=log,
            )
        started.append(made)
        return made

    yield start
    for each in started:
        each.kill()
        each.wait()


async def test_kill_nine_loses_nothing(queue: JobQueue, worker: Start, tmp_path: Path) -> None:
    """Fifty kills at random moments: every acknowledged job completes, and its end is real."""
    rng = random.Random(5)
    workers = [worker(), worker()]
    ids: list[str] = []
    # a job may be in the hands of many workers that are killed: it is no poison for that
    patient = JobOptions(max_attempts=1000)
    for _ in range(50):
        jobs = await queue.enqueue_many([("short", {"n": n}, patient) for n in range(40)])
        ids += [job.id for job in jobs]
        await asyncio.sleep(rng.uniform(0.0, 0.6))
        victim = rng.randrange(2)
        workers[victim].kill()
        workers[victim].wait()
        workers[victim] = worker()
    done = 0
    while done < len(ids):  # as long as it goes on, however slowly
        await until(lambda done=done: _is_beyond(queue, done))  # type: ignore[misc]
        done = await _count_ended(queue)
    stats = await queue.get_stats()
    assert (stats.completed, stats.failed) == (len(ids), 0)
    assert set(ids) == set(ledger(tmp_path, "end"))


async def _count_ended(queue: JobQueue) -> int:
    stats = await queue.get_stats()
    return stats.completed + stats.failed


async def _is_beyond(queue: JobQueue, count: int) -> bool:
    return await _count_ended(queue) > count


async def test_a_killed_workers_job_runs_again_within_two_leases(
    queue: JobQueue,
    worker: Start,
    tmp_path: Path,
) -> None:
    job = await queue.enqueue("long", {"seconds": 30})
    first = worker()
    await until(lambda: _is(queue, job.id, JobStatus.PROCESSING))
    heir = worker()
    await asyncio.sleep(LEASE)
    first.kill()
    killed = time.monotonic()
    await until(lambda: _started(tmp_path, job.id, 2))
    assert time.monotonic() - killed <= 2 * LEASE + BUSY
    assert heir.poll() is None


async def _is(queue: JobQueue, job_id: str, status: JobStatus) -> bool:
    job = await queue.get_job(job_id)
    return job is not None and job.status is status


async def test_the_processes_of_a_killed_worker_end(
    queue: JobQueue, worker: Start, tmp_path: Path
) -> None:
    """Not only when they are done: else a job that runs again would run beside itself."""
    job = await queue.enqueue("process")
    first = worker(CHAOS_LEASE=str(AMPLE))
    await until(lambda: _started(tmp_path, job.id, 1))
    [place] = [line.split()[2] for line in lines(tmp_path) if line.startswith("start ")]
    first.kill()
    await until(lambda: _is_gone(int(place)))


async def _started(folder: Path, job_id: str, times: int) -> bool:
    return ledger(folder, "start")[job_id] >= times


async def test_a_frozen_worker_cannot_complete(
    queue: JobQueue, worker: Start, url: str, tmp_path: Path
) -> None:
    """SIGSTOP past the lease: the zombie ends while its heir still runs, and is refused."""
    job = await queue.enqueue("held")
    zombie = worker()
    await until(lambda: _started(tmp_path, job.id, 1))
    await _freeze(zombie, url)
    heir = worker(CHAOS_LEASE=str(AMPLE))
    await until(lambda: _started(tmp_path, job.id, 2))
    (tmp_path / f"go{zombie.pid}").touch()
    zombie.send_signal(signal.SIGCONT)
    zombie.terminate()
    assert await asyncio.to_thread(zombie.wait, PATIENCE) == 0
    (tmp_path / f"go{heir.pid}").touch()
    done = await queue.wait(job.id, timeout=PATIENCE)
    assert (done.status, done.result, done.attempts) == ("completed", heir.pid, 2)
    heir.terminate()
    assert await asyncio.to_thread(heir.wait, PATIENCE) == 0
    after = await queue.get_job(job.id)
    assert after == done


async def _freeze(process: subprocess.Popen[bytes], url: str) -> None:
    """Stop a process outside a transaction: inside one it would keep its locks."""
    while True:
        process.send_signal(signal.SIGSTOP)
        if not _is_writing(url):
            return
        process.send_signal(signal.SIGCONT)
        await asyncio.sleep(0.01)


def _is_writing(url: str) -> bool:
    if url.startswith("mysql"):
        return execute_mysql(url, "SELECT count(*) FROM information_schema.innodb_trx") != "0"
    if not url.startswith("sqlite"):
        return False  # a step is one statement, or one script
    connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=0.2, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError:
        return True
    finally:
        connection.close()
    return False


async def test_a_long_job_runs_once_while_its_worker_lives(
    queue: JobQueue,
    worker: Start,
    tmp_path: Path,
) -> None:
    for _ in range(2):
        worker(CHAOS_LEASE=str(ROOMY))
    job = await queue.enqueue("long", {"seconds": 2.5 * ROOMY})
    assert (await queue.wait(job.id, timeout=PATIENCE)).attempts == 1
    assert ledger(tmp_path, "start")[job.id] == 1


async def test_a_poison_job_ends_and_others_flow(
    queue: JobQueue, worker: Start, tmp_path: Path
) -> None:
    bad = await queue.enqueue("poison", priority=100)
    # what runs beside the poison loses its worker too, and the attempts that go with it
    patient = JobOptions(max_attempts=20)
    good = await queue.enqueue_many([("short", {"n": n}, patient) for n in range(20)])
    current = worker()
    async with asyncio.timeout(PATIENCE):
        while (await queue.get_stats()).failed == 0:
            if current.poll() is not None:
                current = worker()
            await asyncio.sleep(0.05)
    dead = await queue.get_job(bad.id)
    assert dead is not None
    assert dead.attempts == ledger(tmp_path, "start")[bad.id] == 3
    assert "the worker vanished" in (dead.error or "")
    for job in good:
        assert (await queue.wait(job.id, timeout=PATIENCE)).status == "completed"


async def test_sigterm_finishes_and_exits_zero(
    queue: JobQueue, worker: Start, tmp_path: Path
) -> None:
    job = await queue.enqueue("long", {"seconds": 1.0})
    process = worker(CHAOS_LEASE=str(AMPLE))
    await until(lambda: _started(tmp_path, job.id, 1))
    process.terminate()
    assert await asyncio.to_thread(process.wait, PATIENCE) == 0
    ended = await queue.get_job(job.id)
    assert ended is not None
    assert (ended.status, ended.attempts) == ("completed", 1)


async def test_sigterm_releases_what_takes_too_long(
    queue: JobQueue, worker: Start, tmp_path: Path
) -> None:
    job = await queue.enqueue("long", {"seconds": 60})
    process = worker("--shutdown-timeout", "0.2", CHAOS_LEASE=str(AMPLE))
    await until(lambda: _started(tmp_path, job.id, 1))
    process.terminate()
    assert await asyncio.to_thread(process.wait, PATIENCE) == 0
    [left] = await queue.get_jobs(JobFilters(status=JobStatus.PENDING))
    assert (left.id, left.attempts) == (job.id, 0)


async def test_the_second_sigterm_ends_hard(queue: JobQueue, worker: Start, tmp_path: Path) -> None:
    job = await queue.enqueue("long", {"seconds": 60})
    process = worker()
    await until(lambda: _started(tmp_path, job.id, 1))
    process.terminate()
    await until(lambda: _logged(tmp_path, "worker.draining"))
    process.terminate()
    assert await asyncio.to_thread(process.wait, PATIENCE) == -signal.SIGTERM
    worker()
    await until(lambda: _started(tmp_path, job.id, 2))


async def _logged(folder: Path, text: str) -> bool:
    return text in (folder / "worker0.log").read_text()


async def test_cancelling_reaches_running_handlers(
    queue: JobQueue, worker: Start, tmp_path: Path
) -> None:
    """A task, a thread and a process in another process end at a word from here."""
    worker(CHAOS_LEASE=str(AMPLE))
    kinds = ("endless", "thread", "process")
    jobs = await queue.enqueue_many([(kind, {}) for kind in kinds])
    ids = [job.id for job in jobs]
    await until(lambda: _noted(tmp_path, "start", ids))
    [place] = [line.split()[2] for line in lines(tmp_path) if line.startswith(f"start {ids[2]} ")]
    for job_id in ids:
        assert await queue.cancel_job(job_id)
        assert not await queue.cancel_job(job_id)
    await until(lambda: _noted(tmp_path, "cancelled", ids[:2]))
    await until(lambda: _is_gone(int(place)))
    assert await queue.enqueue("short", {"n": 1}) is not None
    for job_id in ids:
        assert await _is(queue, job_id, JobStatus.CANCELLED)


def lines(folder: Path) -> list[str]:
    return (folder / "ledger").read_text().splitlines()


async def _noted(folder: Path, word: str, ids: Sequence[str]) -> bool:
    return set(ids) <= set(ledger(folder, word))


async def _is_gone(pid: int) -> bool:
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


async def test_each_tick_runs_once_over_several_schedulers(
    queue: JobQueue, worker: Start, tmp_path: Path
) -> None:
    workers = [worker(CHAOS_CRON="none") for _ in range(3)]
    await until(lambda: _ticked(tmp_path, 3))
    workers[0].kill()
    await until(lambda: _ticked(tmp_path, 6))
    jobs = [job for job in await queue.get_jobs(limit=100) if job.name == "tick"]
    moments = {datetime.fromisoformat(job.data["scheduled_at"]) for job in jobs}
    assert len(jobs) == len(moments)
    assert {moment.microsecond for moment in moments} == {0}  # of each second one


async def test_missed_ticks_are_caught_up_once(
    queue: JobQueue, worker: Start, tmp_path: Path
) -> None:
    """While nobody ran some were missed: three schedulers that start together make each once."""
    first = worker(CHAOS_CRON="all")
    await until(lambda: _ticked(tmp_path, 1))
    first.kill()
    first.wait()
    await asyncio.sleep(3)
    before = sum(ledger(tmp_path, "tick").values())
    for _ in range(3):
        worker(CHAOS_CRON="all")
    await until(lambda: _ticked(tmp_path, before + 6))
    jobs = [job for job in await queue.get_jobs(limit=1000) if job.name == "tick"]
    moments = sorted(datetime.fromisoformat(job.data["scheduled_at"]) for job in jobs)
    assert moments == [moments[0] + timedelta(seconds=n) for n in range(len(jobs))]


async def _ticked(folder: Path, times: int) -> bool:
    return sum(ledger(folder, "tick").values()) >= times


FAKETIME = next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)


async def test_a_jumping_clock_loses_nothing(
    queue: JobQueue, worker: Start, tmp_path: Path
) -> None:
    """One of two workers' clocks is set forward two days, then back."""
    if FAKETIME is None:
        missing = "libfaketime is not installed"
        pytest.fail(missing) if os.environ.get("REQUIRE_SERVICES") == "1" else pytest.skip(missing)
    setting = tmp_path / "clock"
    setting.write_text("+0")
    faked = {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(setting)}
    faked |= {"FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    roomy = {"CHAOS_LEASE": str(ROOMY)}
    wrong, right = worker(**faked, **roomy), worker(**roomy)
    ids = await _work_for(queue, tmp_path, wrong, right)
    # two, whoever takes them: each worker has slots to spare, and so looks for expired leases
    held = await queue.enqueue_many([("long", {"seconds": 1.5 * ROOMY}, _PATIENT)] * 2)
    await until(lambda: _noted(tmp_path, "start", [job.id for job in held]))
    later = await queue.enqueue("short", {"n": 1}, delay=86_400)
    ids += [job.id for job in held]
    for jump in ("+2d", "-1h", "+0"):
        setting.write_text(jump)
        ids += await _work_for(queue, tmp_path, wrong)
    await until(lambda: _all_ended(tmp_path, ids))
    async with asyncio.timeout(PATIENCE):
        for each in ids:
            assert (await queue.wait(each, timeout=PATIENCE)).status == "completed"
    if queue.broker.capabilities.server_clock:
        assert set(ledger(tmp_path, "start").values()) == {1}  # no lease was taken for expired
        assert await _is(queue, later.id, JobStatus.DELAYED)


# where the clock of a worker counts, a wrong one takes others' jobs for abandoned, again and again
_PATIENT = JobOptions(max_attempts=1000)


async def _work_for(queue: JobQueue, folder: Path, *workers: subprocess.Popen[bytes]) -> list[str]:
    """Enqueue jobs until each of the workers has begun one; return their ids."""
    ids: list[str] = []
    before = {each.pid: _runs(folder, each.pid) for each in workers}
    async with asyncio.timeout(PATIENCE):
        while any(_runs(folder, pid) == count for pid, count in before.items()):
            # more than one worker can do: else who is quicker may leave the other one nothing
            jobs = await queue.enqueue_many([("long", {"seconds": 0.3}, _PATIENT)] * 5)
            ids += [job.id for job in jobs]
            await asyncio.sleep(LEASE / 8)
    return ids


def _runs(folder: Path, pid: int) -> int:
    file = folder / "ledger"
    text = file.read_text() if file.exists() else ""
    return sum(line.split()[2] == str(pid) for line in text.splitlines() if line[:6] == "start ")


async def _all_ended(folder: Path, ids: list[str]) -> bool:
    return set(ids) <= set(ledger(folder, "end"))
