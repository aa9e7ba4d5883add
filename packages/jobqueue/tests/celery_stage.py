"""Real Celery workers for the tests: how they are started, killed and looked at."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from _common.processes import children_of
from faults import PATIENCE
from jobqueue import JobQueue, JobStatus, Settings

HERE = Path(__file__).parent


class Note(NamedTuple):
    """A line of the ledger."""

    job_id: str
    pid: int
    at: float


class Stage:
    """A queue, its workers and their ledger."""

    def __init__(self, folder: Path, url: str, store: str, **settings: Any) -> None:
        self.folder = folder
        broker = {"connection_string": url, "store": store}
        self.mapping = {"broker": broker, "defaults": {"max_attempts": 50}, **settings}
        self.settings = Settings.from_mapping(self.mapping)
        self.queue = JobQueue(self.settings)
        self.processes: list[subprocess.Popen[bytes]] = []
        if twin := os.environ.get("CHAOS_TWIN"):
            from celery_twins import TWINS

            TWINS[twin](self.queue)

    def celery(self, pool: str = "prefork", count: int = 2) -> subprocess.Popen[bytes]:
        """Start ``celery worker``, as its documentation says."""
        words = ["-m", "celery", "-A", "celery_jobs:app", "worker", "-l", "INFO"]
        return self.start(*words, "-P", pool, "-c", str(count))

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        environ = {
            **os.environ,
            "CHAOS_FOLDER": str(self.folder),
            "CHAOS_SETTINGS": json.dumps(self.mapping),
        }
        with (self.folder / f"log{len(self.processes)}").open("wb") as log:
            made = subprocess.Popen(
                [sys.executable, *words],
                env=environ,
                cwd=HERE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(made)
        return made

    @property
    def log(self) -> str:
        """What the workers wrote, in the order of their start."""
        files = sorted(self.folder.glob("log*"))
        return "".join(file.read_text(errors="backslashreplace") for file in files)

    def notes(self, word: str) -> list[Note]:
        """What handlers noted with ``word``."""
        file = self.folder / "ledger"
        lines = file.read_text().splitlines() if file.exists() else []
        return [
            Note(job_id, int(pid), float(at))
            for said, job_id, pid, at in map(str.split, lines)
            if said == word
        ]

    def ledger(self, word: str) -> Counter[str]:
        return Counter(each.job_id for each in self.notes(word))

    async def done(self, *ids: str) -> None:
        """Wait until all jobs have completed."""
        for job in await self.queue.wait_all(ids, PATIENCE):
            assert job.status is JobStatus.COMPLETED, (job.error, self.log[-4000:])


@contextlib.contextmanager
def staged(folder: Path, url: str, store: str, **settings: Any) -> Iterator[Stage]:
    """Give a stage; its processes end with the block, by their own process groups."""
    stage = Stage(folder, url, store, **settings)
    try:
        yield stage
    finally:
        for process in stage.processes:
            kill_all(process)


def kill_all(process: subprocess.Popen[bytes]) -> None:
    """End a worker and its pool by SIGKILL."""
    for pid in [process.pid, *children_of(process.pid)] if process.poll() is None else []:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
