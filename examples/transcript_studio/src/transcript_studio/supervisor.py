"""Worker processes beside the studio: started, watched, and started again when one dies."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from typing import IO

from .profile import Profile

_WORKER = "transcript_studio.worker"
_JOBQUEUE = ("jobqueue", "worker", f"{_WORKER}:queue")
# one process for each worker: the supervisor does what a pool of Celery's would
_CELERY = ("celery", "-A", f"{_WORKER}:app", "worker", "-P", "threads", "-c", "2", "-l", "INFO")


class Supervisor:
    """Keeps ``count`` worker processes running."""

    def __init__(self, profile: Profile, *, count: int = 1) -> None:
        """Prepare workers; their log goes to ``worker.log`` in the folder of the data."""
        self._profile, self._count = profile, count
        self._processes: list[subprocess.Popen[bytes]] = []
        self.restarts = 0

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return [each.pid for each in self._processes]

    def _start(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        module, *words = _CELERY if self._profile.is_celery else _JOBQUEUE
        if self._profile.is_celery:
            # Celery tells its workers apart by name
            words += ["-n", f"studio-{os.getpid()}-{os.urandom(4).hex()}@%h"]
        return subprocess.Popen(  # noqa: S603  our own interpreter and words
            [sys.executable, "-m", module, *words],
            env={**os.environ, **self._profile.environ},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator["Supervisor", None]:
        """Run the workers for as long as the block."""
        folder = self._profile.folder
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "worker.log").open("ab") as log:
            self._processes = [self._start(log) for _ in range(self._count)]
            watcher = asyncio.create_task(self._watch(log), name="studio-supervisor")
            try:
                yield self
            finally:
                watcher.cancel()
                await asyncio.wait([watcher])
                await asyncio.to_thread(self._stop)

    async def _watch(self, log: IO[bytes]) -> None:
        while True:
            await asyncio.sleep(0.2)
            for number, process in enumerate(self._processes):
                if process.poll() is not None:
                    self.restarts += 1
                    # a worker that dies at once must not be started a hundred times a second
                    await asyncio.sleep(min(5.0, 0.2 * self.restarts))
                    self._processes[number] = self._start(log)

    def _stop(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
