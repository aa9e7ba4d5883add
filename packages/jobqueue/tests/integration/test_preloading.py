"""Celery's main process forks while a thread of it uses the broker: nothing is imported then."""

import subprocess
import sys

import pytest

pytest.importorskip("celery")
pytest.importorskip("redis")
pytest.importorskip("sqlalchemy")
pytestmark = [pytest.mark.integration, pytest.mark.slow]

WORK = """
import asyncio, sys
from jobqueue import JobQueue
from jobqueue.ports import WorkerCall
from jobqueue.worker.door import Door
from jobqueue.worker.housekeeping import Housekeeping

queue = JobQueue.from_url("celery+amqp://127.0.0.1:1//?timeout=1", store=sys.argv[1])
asyncio.run(queue.setup()) if sys.argv[2] == "setup" else None
Door(queue, lambda name, count: None).preload()
before = set(sys.modules)

async def work():
    async with queue:
        await queue.broker.step(WorkerCall("w", 10.0, {"default": 1}))
        await queue.broker.purge((), 0.0, 10)
        await queue.enqueue("job")

asyncio.run(work()) if sys.argv[2] != "setup" else None
print(sorted(set(sys.modules) - before))
"""


def run(store: str, what: str) -> str:
    words = [sys.executable, "-c", WORK, store, what]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.strip()


@pytest.mark.parametrize("kind", ["sqlite", "postgres_url", "mysql_url", "redis_url"])
def test_a_thread_imports_nothing_that_was_preloaded(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, kind: str
) -> None:
    folder = tmp_path_factory.mktemp("jobs")
    store = f"sqlite:///{folder}/jobs.db"
    if kind != "sqlite":
        store = request.getfixturevalue(kind)
    run(store, "setup")
    assert run(store, "work") == "[]"


BEGIN = """
import sys
from types import SimpleNamespace
from jobqueue import JobQueue

queue = JobQueue.from_url("celery+amqp://127.0.0.1:1//?timeout=1", store=sys.argv[1])
[keeper] = [step for step in queue.celery_app().steps["worker"] if step.__name__ == "Keeper"]
assert "sqlalchemy" not in sys.modules and "asyncpg" not in sys.modules
keeper(SimpleNamespace(pool_cls=int, options={}))
print("sqlalchemy.engine" in sys.modules and "asyncpg" in sys.modules)
"""


def test_a_worker_preloads_before_its_pool_has_children() -> None:
    words = [sys.executable, "-c", BEGIN, "postgresql://nobody@127.0.0.1:1/nowhere"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout.strip() == "True", done.stderr
