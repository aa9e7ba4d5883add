"""Faults of real worker processes on one SQLite file: kill -9, SIGSTOP, SIGTERM, poison."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from jobqueue import JobFilters, JobOptions, JobQueue, JobStatus

pytest.importorskip("sqlalchemy")
pytestmark = [pytest.mark.chaos, pytest.mark.slow]
LEASE = 2.0


@pytest.fixture
async def queue(tmp_path: Path) -> AsyncIterator[JobQueue]:
    async with JobQueue.from_url(f"sqlite:///{tmp_path}/jobs.db") as made:
        yield made


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Start worker processes; all end with the test."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        environ = {**os.environ, "CHAOS_FOLDER": str(tmp_path), "CHAOS_LEASE": str(LEASE)}
        command = [sys.executable, "-m", "jobqueue", "worker", "chaos_app:queue", *arguments]
        folder = Path(__file__).parent.parent
        log = (tmp_path / f"worker{len(started)}.log").open("wb")
        with log:
            made = subprocess.Popen(command, env=environ, cwd=folder, stderr=log)
        started.append(made)
        return made

    yield start
    for each in started:
        each.kill()
        each.wait()


def ledger(folder: Path, word: str) -> Counter[str]:
    file = folder / "ledger"
    lines = file.read_text().splitlines() if file.exists() else []
    return Counter(line.split()[1] for line in lines if line.startswith(word))


async def until(true: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not await true():
            await asyncio.sleep(0.05)


async def test_kill_nine_loses_nothing(queue: JobQueue, worker, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """Twelve kills at random moments: every acknowledged job completes, and once."""
    rng = random.Random(5)
    ids = [job.id for job in await queue.enqueue_many([("short", {"n": n}) for n in range(400)])]
    workers = [worker(), worker()]
    for _ in range(12):
        await asyncio.sleep(rng.uniform(0.1, 0.5))
        victim = rng.randrange(2)
        workers[victim].kill()
        workers[victim].wait()
        workers[victim] = worker()
    await until(lambda: _all_done(queue, len(ids)))
    stats = await queue.get_stats()
    assert (stats.completed, stats.failed) == (400, 0)
    ended = ledger(tmp_path, "end")
    assert set(ids) <= set(ended)


async def _all_done(queue: JobQueue, count: int) -> bool:
    stats = await queue.get_stats()
    return stats.completed + stats.failed == count


async def test_a_killed_workers_job_runs_again_within_two_leases(
    queue: JobQueue,
    worker,
    tmp_path: Path,  # type: ignore[no-untyped-def]
) -> None:
    job = await queue.enqueue("long", {"seconds": 30})
    first = worker()
    await until(lambda: _is(queue, job.id, JobStatus.PROCESSING))
    heir = worker()
    await asyncio.sleep(LEASE)
    first.kill()
    killed = time.time()
    await until(lambda: _started(tmp_path, job.id, 2))
    assert time.time() - killed <= 2 * LEASE + 1.0
    assert heir.poll() is None


async def _is(queue: JobQueue, job_id: str, status: JobStatus) -> bool:
    job = await queue.get_job(job_id)
    return job is not None and job.status is status


async def _started(folder: Path, job_id: str, times: int) -> bool:
    return ledger(folder, "start")[job_id] >= times


async def test_a_frozen_worker_cannot_complete(queue: JobQueue, worker, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """SIGSTOP past the lease: the zombie ends while its heir still runs, and is refused."""
    job = await queue.enqueue("long", {"seconds": 1.5})
    zombie = worker()
    await until(lambda: _started(tmp_path, job.id, 1))
    await _freeze(zombie, tmp_path / "jobs.db")
    heir = worker()
    await until(lambda: _started(tmp_path, job.id, 2))
    zombie.send_signal(signal.SIGCONT)
    done = await queue.wait(job.id, timeout=20)
    assert (done.status, done.result, done.attempts) == ("completed", heir.pid, 2)
    zombie.terminate()
    assert await asyncio.to_thread(zombie.wait, 20) == 0
    after = await queue.get_job(job.id)
    assert after == done


async def _freeze(process: subprocess.Popen[bytes], database: Path) -> None:
    """Stop a process outside a write: inside one it would keep the lock of the SQLite file."""
    connection = sqlite3.connect(database, timeout=0.2, isolation_level=None)
    try:
        while True:
            process.send_signal(signal.SIGSTOP)
            try:
                connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                process.send_signal(signal.SIGCONT)
                await asyncio.sleep(0.01)
            else:
                connection.execute("ROLLBACK")
                return
    finally:
        connection.close()


async def test_a_long_job_runs_once_while_its_worker_lives(
    queue: JobQueue,
    worker,
    tmp_path: Path,  # type: ignore[no-untyped-def]
) -> None:
    worker(), worker()
    job = await queue.enqueue("long", {"seconds": 2.5 * LEASE})
    assert (await queue.wait(job.id, timeout=30)).attempts == 1
    assert ledger(tmp_path, "start")[job.id] == 1


async def test_a_poison_job_ends_and_others_flow(queue: JobQueue, worker, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    bad = await queue.enqueue("poison", priority=100)
    # what runs beside the poison loses its worker too, and the attempts that go with it
    patient = JobOptions(max_attempts=20)
    good = await queue.enqueue_many([("short", {"n": n}, patient) for n in range(20)])
    current = worker()
    async with asyncio.timeout(60):
        while (await queue.get_stats()).failed == 0:
            if current.poll() is not None:
                current = worker()
            await asyncio.sleep(0.05)
    dead = await queue.get_job(bad.id)
    assert dead is not None
    assert dead.attempts == ledger(tmp_path, "start")[bad.id] == 3
    assert "the worker vanished" in (dead.error or "")
    for job in good:
        assert (await queue.wait(job.id, timeout=20)).status == "completed"


async def test_sigterm_finishes_and_exits_zero(queue: JobQueue, worker, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    job = await queue.enqueue("long", {"seconds": 1.0})
    process = worker()
    await until(lambda: _started(tmp_path, job.id, 1))
    process.terminate()
    assert await asyncio.to_thread(process.wait, 20) == 0
    ended = await queue.get_job(job.id)
    assert ended is not None
    assert (ended.status, ended.attempts) == ("completed", 1)


async def test_sigterm_releases_what_takes_too_long(
    queue: JobQueue, worker, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    job = await queue.enqueue("long", {"seconds": 60})
    process = worker("--shutdown-timeout", "0.2")
    await until(lambda: _started(tmp_path, job.id, 1))
    process.terminate()
    assert await asyncio.to_thread(process.wait, 20) == 0
    [left] = await queue.get_jobs(JobFilters(status=JobStatus.PENDING))
    assert (left.id, left.attempts) == (job.id, 0)


async def test_the_second_sigterm_ends_hard(queue: JobQueue, worker, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    job = await queue.enqueue("long", {"seconds": 60})
    process = worker()
    await until(lambda: _started(tmp_path, job.id, 1))
    process.terminate()
    await until(lambda: _logged(tmp_path, "worker.draining"))
    process.terminate()
    assert await asyncio.to_thread(process.wait, 20) == -signal.SIGTERM
    worker()
    await until(lambda: _started(tmp_path, job.id, 2))


async def _logged(folder: Path, text: str) -> bool:
    return text in (folder / "worker0.log").read_text()
