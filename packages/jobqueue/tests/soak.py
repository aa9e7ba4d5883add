"""A soak: twenty kinds of jobs, workers that die and freeze, a server that comes and goes.

    python tests/soak.py --broker redis --minutes 30

With ``--broker celery`` the workers are Celery's, over RabbitMQ, and PostgreSQL is the store.
Ends with 1 and says what is wrong if an acknowledged job is lost, ends another way than its kind
does, has completed without having run to its end, or if figures and listings disagree.
"""

import argparse
import asyncio
import collections
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from _common.mariadb_server import MYSQL, fresh_mysql_database, run_mariadb  # noqa: E402
from _common.postgres_server import POSTGRES, fresh_database, run_postgres  # noqa: E402
from _common.processes import children_of  # noqa: E402
from _common.proxy import Proxy  # noqa: E402
from _common.rabbitmq_server import locate_rabbitmq, run_rabbitmq  # noqa: E402
from _common.redis_server import REDIS, run_redis  # noqa: E402
from _common.server import Server  # noqa: E402
from _common.services import locate_program  # noqa: E402
from faults import ledger  # noqa: E402
from jobqueue import BackendError, JobFilters, JobOptions, JobQueue, JobStatus  # noqa: E402

LEASE = 3.0
MOST = 2000
PAGE = 100


class Place(NamedTuple):
    """Where the jobs are: servers that may be restarted, one of them behind a proxy."""

    url: str
    servers: Sequence[Server] = ()
    proxy: Proxy | None = None
    store: str | None = None


class Soak:
    """One run."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.url, self.servers, self.proxy, self.store = place
        self.folder = folder
        self.rng = random.Random(7)
        self.asked: dict[str, str] = {}
        self.cancelled: set[str] = set()
        self.perhaps: set[str] = set()  # the answer got lost
        self.workers: list[subprocess.Popen[bytes]] = []
        self.faults: collections.Counter[str] = collections.Counter()
        self.wrong: list[str] = []
        self.ends: collections.Counter[str] = collections.Counter()

    def start(self) -> None:
        words = ["jobqueue", "--log-level", "warning", "worker", "soak_app:queue"]
        environ = {**os.environ, "CHAOS_URL": self.url, "CHAOS_FOLDER": str(self.folder)}
        environ["PYTHONFAULTHANDLER"] = "1"  # SIGABRT shows where a worker hangs
        if self.store is not None:
            words = ["celery", "-A", "soak_app:app", "worker", "-l", "WARNING", "-c", "3"]
            environ["CHAOS_STORE"] = self.store
        with (self.folder / f"log{time.monotonic_ns()}").open("wb") as log:
            self.workers.append(
                subprocess.Popen(
                    [sys.executable, "-m", *words],
                    env={**environ, "CHAOS_LEASE": str(LEASE)}, cwd=HERE, stdout=log, stderr=log,
                )
            )  # fmt: skip

    async def feed(self, queue: JobQueue, until: float) -> None:
        """Enqueue all sorts of jobs; what is not acknowledged is asked for again by its id."""
        while time.monotonic() < until:
            if self.rng.random() < 0.05:
                while (await persist(queue.get_stats)).pending > MOST and time.monotonic() < until:
                    await asyncio.sleep(0.5)  # the workers have enough to do
            specs = [self.spec() for _ in range(self.rng.randint(1, 30))]
            await persist(lambda specs=specs: queue.enqueue_many(specs))
            for name, _, options in specs:
                self.asked[options.id] = name
            if self.rng.random() < 0.2:
                await self.flow(queue)
            if self.rng.random() < 0.2:
                victim = self.rng.choice(list(self.asked))
                try:
                    if await queue.cancel_job(victim):
                        self.cancelled.add(victim)
                except BackendError:
                    self.perhaps.add(victim)
            await asyncio.sleep(0.05)

    def spec(self) -> tuple[str, Any, JobOptions]:
        name = self.rng.choices(
            ["quick", "nap", "long", "thread", "process", "mail", "point", "shaky", "dead",
             "overdue", "limited", "rated", "fleeting", "bulk", "breeder", "heavy", "poison"],
            [20, 10, 1, 3, 1, 5, 5, 5, 1, 1, 5, 3, 10, 20, 3, 2, 0.02],
        )[0]  # fmt: skip
        data: dict[str, Any] = {
            "quick": {"n": self.rng.randint(0, 9)},
            "long": {"seconds": self.rng.choice([1, 2 * LEASE])},
            "mail": {"to": "ä", "copies": 2},
            "point": {"x": 1.5, "y": 2},
            "heavy": {"text": "x" * 200_000},
        }.get(name, {})
        job_id = f"{name}-{len(self.asked)}-{self.rng.getrandbits(64):x}"
        key = self.rng.choice(["a", "b", None]) if name == "limited" else None
        return name, data, JobOptions(
            id=job_id, priority=self.rng.choice([0, 0, 0, 5, -5]), limit_key=key,
            delay=self.rng.choice([0, 0, 0, self.rng.uniform(0, 3)]),
            timeout=0.2 if name == "overdue" else None,
            max_attempts={"dead": 2, "overdue": 1, "poison": 3}.get(name, 1000),
        )  # fmt: skip

    async def flow(self, queue: JobQueue) -> None:
        ids = [f"flow-{self.rng.getrandbits(64):x}" for _ in range(4)]
        # a job may be in the hands of three workers that are killed: it is no poison for that
        most = 1000
        specs = [("parent", {}, JobOptions(id=each, max_attempts=most)) for each in ids[:3]]
        last = JobOptions(id=ids[3], depends_on=ids[:3], max_attempts=most)
        specs.append(("child", {}, last))
        await persist(lambda: queue.enqueue_many(specs))
        self.asked |= dict.fromkeys(ids[:3], "parent") | {ids[3]: "child"}

    async def disturb(self, until: float) -> None:
        """Every second or so something bad happens."""
        acts: list[Callable[[], Any]] = [self.kill, self.kill, self.freeze, self.terminate]
        if self.proxy is not None:
            acts += [self.cut, self.cut, self.hole]
        if self.servers:
            acts.append(self.restart)
        if self.store is not None:
            acts.append(self.orphan)
        while time.monotonic() < until:
            await asyncio.sleep(self.rng.uniform(0.3, 2.0))
            act = self.rng.choice(acts)
            self.faults[act.__name__] += 1
            await act()

    async def kill(self) -> None:
        victim = self.workers.pop(self.rng.randrange(len(self.workers)))
        end(victim)
        await asyncio.to_thread(victim.wait)
        self.start()

    async def orphan(self) -> None:
        """Kill one process of a pool."""
        if children := children_of(self.rng.choice(self.workers).pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.rng.choice(children), signal.SIGKILL)

    async def terminate(self) -> None:
        victim = self.workers.pop(self.rng.randrange(len(self.workers)))
        victim.terminate()
        try:
            code = await asyncio.to_thread(victim.wait, 30)
        except subprocess.TimeoutExpired:
            self.wrong.append(f"a worker ({victim.pid}) has not ended within 30 s of SIGTERM")
            end(victim, signal.SIGABRT)
            code = await asyncio.to_thread(victim.wait)
        # a poison job may end it first, or its signal come before it listens
        if code not in {0, 9, -signal.SIGTERM, -signal.SIGABRT}:
            self.wrong.append(f"a worker ended with {code} after SIGTERM")
        self.start()

    async def freeze(self) -> None:
        worker = self.rng.choice(self.workers)
        # of a pool one process, be it the first or one that runs jobs
        victim = self.rng.choice([worker.pid, *children_of(worker.pid)])
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGSTOP)
            await asyncio.sleep(self.rng.choice([0.2, LEASE + 0.5]))
            os.kill(victim, signal.SIGCONT)

    async def cut(self) -> None:
        assert self.proxy is not None
        await asyncio.to_thread(self.proxy.cut)

    async def hole(self) -> None:
        assert self.proxy is not None
        self.proxy.mode = self.rng.choice(["blackhole", "drop_requests", "drop_replies", "refuse"])
        await asyncio.sleep(self.rng.uniform(0.1, 1.5))
        self.proxy.mode = "pass"
        await asyncio.to_thread(self.proxy.cut)

    async def restart(self) -> None:
        server = self.rng.choice(self.servers)
        if self.rng.random() < 0.5:
            await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.restart)

    async def revive(self, until: float) -> None:
        """Poison jobs end workers: start others."""
        while time.monotonic() < until:
            await asyncio.sleep(0.2)
            for each in [each for each in self.workers if each.poll() is not None]:
                if each in self.workers:
                    self.workers.remove(each)
                    self.start()

    async def judge(self, queue: JobQueue) -> list[str]:
        """Wait until all is done and return what is wrong."""
        least, moved = float("inf"), time.monotonic()
        while True:
            stats = await persist(queue.get_stats)
            left = stats.pending + stats.processing + stats.delayed
            if not left:
                break
            if left < least:  # a busy machine may have much to make up for
                least, moved = left, time.monotonic()
            if time.monotonic() > moved + 60:
                return [*self.wrong, f"not everything ends: {stats}"]
            for each in [each for each in self.workers if each.poll() is not None]:
                self.workers.remove(each)
                self.start()
            await asyncio.sleep(0.5)
        while self.workers:  # else ticks would go on, and nothing could be compared
            worker = self.workers.pop()
            end(worker)
            worker.wait()
        wrong, counts = self.wrong, collections.Counter[str]()
        jobs = [job async for job in every(queue)]
        ended = set(ledger(self.folder, "end"))
        seen = {job.id for job in jobs}
        for job in jobs:
            counts[job.status] += 1
            if job.status == "completed" and job.id not in ended:
                wrong.append(f"{job.id} completed without having run")
            expected = {"failed"} if job.name in {"dead", "overdue", "poison"} else {"completed"}
            if job.id in self.cancelled:
                expected = {"cancelled"}
            elif job.id in self.perhaps:
                expected |= {"cancelled"}
            if job.name == "child":
                expected |= {"failed"}  # a parent may have been cancelled
            if job.name == "ticking":
                expected |= {"pending", "processing"}  # the last ones
            if job.status not in expected:
                wrong.append(f"{job.id} is {job.status}: {job.error}")
        for job_id, name in self.asked.items():
            if job_id not in seen and not (name == "fleeting" and job_id in ended):
                wrong.append(f"{job_id} is lost")
        self.ends = counts
        stats = await persist(queue.get_stats)
        told = {str(each): getattr(stats, str(each)) for each in JobStatus}
        wrong += [
            f"{counts[status]} {status} jobs listed, {told[status]} counted"
            for status in ("completed", "failed", "cancelled")
            if counts[status] != told[status]
        ]
        return wrong


async def persist(work: Callable[[], Any]) -> Any:
    """Do what an application does while its broker is away."""
    while True:
        try:
            return await work()
        except BackendError as exc:
            if not exc.retryable:
                raise
            await asyncio.sleep(0.05)


async def every(queue: JobQueue) -> AsyncIterator[Any]:
    cursor = None
    while True:
        # the heavy ones make a page long: on a busy machine too long for the queue's timeout
        page = await persist(lambda cursor=cursor: queue.get_jobs(JobFilters(), PAGE, cursor))
        for job in page:
            yield job
        if (cursor := page.next_cursor) is None:
            return


def end(worker: subprocess.Popen[bytes], signum: int = signal.SIGKILL) -> None:
    """Kill a worker, and the processes of its pool if it has one."""
    for pid in [worker.pid, *children_of(worker.pid)] if worker.poll() is None else []:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)


@contextlib.contextmanager
def place(kind: str, folder: Path) -> Iterator[Place]:
    """Start the server, with a proxy before it."""
    with ExitStack() as stack:
        if kind == "sqlite":
            yield Place(f"sqlite:///{folder}/jobs.db")
            return
        if kind == "redis":
            options = ("--appendonly", "yes", "--appendfsync", "always")
            server = stack.enter_context(run_redis(locate_program(REDIS), *options))
            url = f"{server.url}?timeout=1"
        elif kind in {"postgres", "celery"}:
            server = stack.enter_context(run_postgres(locate_program(POSTGRES)))
            url = f"{stack.enter_context(fresh_database(server))}?timeout=2"
        else:
            server = stack.enter_context(run_mariadb(locate_program(MYSQL)))
            url = f"{stack.enter_context(fresh_mysql_database(server))}?timeout=2"
        assert server.port is not None
        proxy = stack.enter_context(Proxy(server.port))
        url = url.replace(f":{server.port}/", f":{proxy.port}/")
        if kind == "celery":
            rabbit = stack.enter_context(run_rabbitmq(locate_rabbitmq(own=True)))
            yield Place(f"celery+{rabbit.url}?prefix=soak-", [server, rabbit], proxy, url)
        else:
            yield Place(url, [server], proxy)


async def main() -> int:
    """Run and judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--broker",
        default="redis",
        choices=["redis", "postgres", "mysql", "sqlite", "celery"],
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--workers", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, place(given.broker, Path(name)) as found:
        soak = Soak(found, Path(name))
        store = {} if soak.store is None else {"store": soak.store}
        async with JobQueue.from_url(soak.url, **store) as queue:
            await queue.setup()
            for _ in range(given.workers):
                soak.start()
            until = time.monotonic() + given.minutes * 60
            try:
                work = (soak.feed(queue, until), soak.disturb(until), soak.revive(until))
                await asyncio.gather(*work)
                wrong = await soak.judge(queue)
            finally:
                for each in soak.workers:
                    end(each)
                    each.wait()
        print(f"{len(soak.asked)} jobs asked for, stored: {dict(soak.ends)}")
        print(f"{soak.faults.total()} faults: {dict(soak.faults)}")
        twice = sum(n > 1 for n in ledger(Path(name), "end").values())
        print(f"{twice} jobs ran to their end more than once")
        for each in wrong[:40]:
            print(each)
        if wrong:
            kept = Path(tempfile.mkdtemp(prefix="soak"))
            for log in Path(name).glob("l*"):
                (kept / log.name).write_bytes(log.read_bytes())
            print(f"{len(wrong)} things are wrong; logs and ledger in {kept}")
        return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
