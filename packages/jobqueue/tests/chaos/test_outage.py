"""A server that is away for longer than a lease: healthy workers keep their jobs."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from _common.mariadb_server import fresh_mysql_database
from _common.postgres_server import fresh_database
from _common.proxy import Proxy
from _common.redis_server import REDIS, run_redis
from _common.server import Server
from _common.services import demanded, locate_program
from faults import PATIENCE, ledger, until, until_it_works
from jobqueue import JobQueue

pytestmark = [pytest.mark.chaos, pytest.mark.slow]
LEASE = 3.0
# with everysec a server that is killed while the disk is busy has written nothing for two seconds
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")
SERVERS = {"redis": None, "own_postgres": fresh_database, "own_mysql": fresh_mysql_database}


class Scene(NamedTuple):
    """A queue on a server of our own, and two workers in processes behind a proxy."""

    server: Server
    queue: JobQueue
    folder: Path
    proxy: Proxy


@pytest.fixture(params=SERVERS)
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    fresh = SERVERS[request.param]
    with ExitStack() as stack:
        if fresh is None:
            with demanded(REDIS):
                run = run_redis(locate_program(REDIS), *DURABLE)
            server = stack.enter_context(run)
            url = server.url
        else:
            server = request.getfixturevalue(request.param)
            url = stack.enter_context(fresh(server))
        assert server.port is not None
        proxy = stack.enter_context(Proxy(server.port))
        queue = JobQueue.from_url(url)
        await queue.setup()
        environ = {**os.environ, "CHAOS_FOLDER": str(tmp_path), "CHAOS_LEASE": str(LEASE)}
        environ["CHAOS_URL"] = url.replace(f":{server.port}/", f":{proxy.port}/")
        for _ in range(2):
            process = subprocess.Popen(
                [sys.executable, "-m", "jobqueue", "worker", "chaos_app:queue"],
                env=environ,
                cwd=Path(__file__).parent.parent,
                stderr=subprocess.DEVNULL,
            )
            stack.callback(process.wait)
            stack.callback(process.kill)
        yield Scene(server, queue, tmp_path, proxy)
        await queue.aclose()


async def test_workers_get_through_an_outage(scene: Scene) -> None:
    """Long jobs go on and run once, new ones flow again, and nobody spins meanwhile."""
    await until(lambda: _are_up(scene.queue, 2))
    # more than one of them has slots for, and fewer than both: each looks for leases that ran out
    jobs = await scene.queue.enqueue_many([("long", {"seconds": 2.5 * LEASE}) for _ in range(6)])
    ids = {job.id for job in jobs}
    await until(lambda: set(ledger(scene.folder, "start")) == ids)
    scene.server.kill()
    before, killed = scene.proxy.accepted, time.monotonic()
    await asyncio.sleep(1.5 * LEASE)
    tries, away = scene.proxy.accepted - before, time.monotonic() - killed
    # both together about ten a second, on a slow machine fewer; whoever does not pause, hundreds
    assert tries < 20 * away
    scene.server.restart()
    more = await until_it_works(
        lambda: scene.queue.enqueue_many([("short", {"n": n}) for n in range(10)])
    )
    for job in more:
        done = await until_it_works(lambda job=job: scene.queue.wait(job.id, PATIENCE))
        assert done.status == "completed"
    for job_id in ids:
        job = await until_it_works(lambda job_id=job_id: scene.queue.wait(job_id, PATIENCE))
        assert (job.status, job.attempts) == ("completed", 1)
    assert set(ledger(scene.folder, "start").values()) == {1}


async def _are_up(queue: JobQueue, count: int) -> bool:
    return (await queue.get_stats()).workers == count
