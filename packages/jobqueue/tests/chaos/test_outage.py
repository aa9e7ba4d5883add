"""A server that is away for longer than a lease: healthy workers keep their jobs."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from _common.mariadb_server import fresh_mysql_database
from _common.postgres_server import fresh_database
from _common.redis_server import REDIS, run_redis
from _common.server import Server
from _common.services import demanded, locate_program
from faults import ledger, until_it_works
from jobqueue import JobQueue

pytestmark = [pytest.mark.chaos, pytest.mark.slow]
LEASE = 3.0
SERVERS = {"redis": None, "own_postgres": fresh_database, "own_mysql": fresh_mysql_database}


class Scene(NamedTuple):
    """A queue on a server of our own, and two workers in processes."""

    server: Server
    queue: JobQueue
    folder: Path
    workers: Sequence[subprocess.Popen[bytes]]


@pytest.fixture(params=SERVERS)
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    fresh = SERVERS[request.param]
    with ExitStack() as stack:
        if fresh is None:
            with demanded(REDIS):
                run = run_redis(locate_program(REDIS), "--appendonly", "yes")
            server = stack.enter_context(run)
            url = server.url
        else:
            server = request.getfixturevalue(request.param)
            url = stack.enter_context(fresh(server))
        queue = JobQueue.from_url(url)
        await queue.setup()
        environ = {**os.environ, "CHAOS_FOLDER": str(tmp_path), "CHAOS_LEASE": str(LEASE)}
        workers = []
        for _ in range(2):
            process = subprocess.Popen(
                [sys.executable, "-m", "jobqueue", "worker", "chaos_app:queue"],
                env={**environ, "CHAOS_URL": url},
                cwd=Path(__file__).parent.parent,
                stderr=subprocess.DEVNULL,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
            workers.append(process)
        yield Scene(server, queue, tmp_path, workers)
        await queue.aclose()


async def until(true: Callable[[], Awaitable[bool] | bool]) -> None:
    async with asyncio.timeout(30):
        while True:
            found = true()
            if found if isinstance(found, bool) else await found:
                return
            await asyncio.sleep(0.05)


async def test_workers_get_through_an_outage(scene: Scene) -> None:
    """Long jobs go on and run once, new ones flow again, and nobody spins meanwhile."""
    jobs = await scene.queue.enqueue_many([("long", {"seconds": 2.5 * LEASE}) for _ in range(4)])
    ids = {job.id for job in jobs}
    await until(lambda: set(ledger(scene.folder, "start")) == ids)
    scene.server.kill()
    before = spent(scene.workers)
    await asyncio.sleep(1.5 * LEASE)
    # one that spins takes all that it can get, however busy the machine; these two try now and then
    assert spent(scene.workers) - before < 0.15 * 1.5 * LEASE
    scene.server.restart()
    more = await until_it_works(
        lambda: scene.queue.enqueue_many([("short", {"n": n}) for n in range(10)])
    )
    for job in more:
        done = await until_it_works(lambda job=job: scene.queue.wait(job.id, timeout=20))
        assert done.status == "completed"
    for job_id in ids:
        job = await until_it_works(lambda job_id=job_id: scene.queue.wait(job_id, timeout=30))
        assert (job.status, job.attempts) == ("completed", 1)
    assert set(ledger(scene.folder, "start").values()) == {1}


def spent(processes: Sequence[subprocess.Popen[bytes]]) -> float:
    """Return the seconds of processor time that processes have used."""
    ticks = 0
    for each in processes:
        fields = Path(f"/proc/{each.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
