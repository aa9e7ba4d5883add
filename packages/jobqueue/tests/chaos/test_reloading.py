"""``jobqueue worker --reload`` with real processes and files."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from _common.processes import children_of
from faults import PATIENCE, until
from jobqueue import JobQueue, JobStatus

pytest.importorskip("sqlalchemy")
pytest.importorskip("watchfiles")
pytestmark = [pytest.mark.chaos, pytest.mark.slow]
CODE = """
import asyncio
from pathlib import Path
from jobqueue import Job, JobQueue
from words import WORD

queue = JobQueue.from_url("{url}")


@queue.worker("say")
async def say(job: Job) -> str:
    return WORD


@queue.worker("long")
async def long(job: Job) -> str:
    while not Path(job.data).exists():
        await asyncio.sleep(0.02)
    return WORD
"""


class Reloading:
    """The command in a folder of its own."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.log = folder, folder / "log"
        (folder / "app.py").write_text(CODE.format(url=url))
        self.say("one")
        command = [sys.executable, "-m", "jobqueue", "worker", "app:queue", "--reload"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--shutdown-timeout", "20", "--queues", "default=2"],
                cwd=folder,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # a file that is written again within a second looks to Python as it was before
                env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            )

    def say(self, word: str) -> None:
        (self.folder / "words.py").write_text(f"WORD = {word!r}\n")

    async def logged(self, text: str, times: int = 1) -> None:
        def is_there() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return self.log.read_text().count(text) >= times

        await until(is_there)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.db"


@pytest.fixture
async def queue(url: str) -> AsyncIterator[JobQueue]:
    async with JobQueue.from_url(url) as made:
        yield made


@pytest.fixture
def reloading(tmp_path: Path, url: str) -> Iterator[Reloading]:
    made = Reloading(tmp_path, url)
    yield made
    for pid in children_of(made.process.pid) if made.process.poll() is None else []:
        os.kill(pid, signal.SIGKILL)
    made.process.kill()
    made.process.wait()


async def said(queue: JobQueue) -> str:
    found: str = await queue.result((await queue.enqueue("say")).id, PATIENCE)
    return found


async def begun(queue: JobQueue, go: Path) -> str:
    """Return a job that runs, and will until there is a file ``go``."""
    job = await queue.enqueue("long", str(go))

    async def is_running() -> bool:
        found = await queue.get_job(job.id)
        return found is not None and found.status == "processing"

    await until(is_running)
    return job.id


async def test_changes_and_mistakes(queue: JobQueue, reloading: Reloading) -> None:
    """A change is live at once, a syntax error ends nothing, a data file changes nothing."""
    await reloading.logged("worker.started")
    assert await said(queue) == "one"
    (reloading.folder / "notes.txt").write_text("not code")
    reloading.say("two")
    await reloading.logged("words.py changed")
    await reloading.logged("worker.started", 2)
    assert await said(queue) == "two"
    (reloading.folder / "words.py").write_text("WORD = = 3\n")
    await reloading.logged("SyntaxError")
    await reloading.logged("starts anew when a file changes")
    waiting = await queue.enqueue("say")
    reloading.say("three")
    assert await queue.result(waiting.id, PATIENCE) == "three"
    assert "notes.txt" not in reloading.log.read_text()


async def test_running_jobs_finish_before_the_new_code_runs(
    queue: JobQueue, reloading: Reloading
) -> None:
    await reloading.logged("worker.started")
    go = reloading.folder / "go"
    job_id = await begun(queue, go)
    reloading.say("two")
    await reloading.logged("worker.draining")
    go.touch()
    done = await queue.wait(job_id, PATIENCE)
    assert (done.result, done.attempts) == ("one", 1)
    assert await said(queue) == "two"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_the_end_is_graceful(
    queue: JobQueue, reloading: Reloading, number: signal.Signals
) -> None:
    """Ctrl-C reaches the whole group, SIGTERM the supervisor: the job finishes either way."""
    await reloading.logged("worker.started")
    go = reloading.folder / "go"
    job_id = await begun(queue, go)
    send: Callable[[int, int], None] = os.killpg if number == signal.SIGINT else os.kill
    send(reloading.process.pid, number)
    await reloading.logged("worker.draining")
    go.touch()
    assert await asyncio.to_thread(reloading.process.wait, PATIENCE) == 0
    done = await queue.get_job(job_id)
    assert done is not None
    assert (done.status, done.attempts) == (JobStatus.COMPLETED, 1)


async def test_the_worker_ends_with_its_supervisor(queue: JobQueue, reloading: Reloading) -> None:
    """kill -9 of the supervisor leaves no worker that would run old code for ever."""
    await reloading.logged("worker.started")
    [child] = children_of(reloading.process.pid)
    reloading.process.kill()
    await asyncio.to_thread(reloading.process.wait)
    await until(lambda: "worker.stopped" in reloading.log.read_text())
    await until(lambda: not Path(f"/proc/{child}").exists())
