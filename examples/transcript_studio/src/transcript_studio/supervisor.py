"""Worker processes beside the studio: started, watched, and started again when one dies."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import IO


class Supervisor:
    """Keeps ``count`` worker processes running."""

    def __init__(self, folder: Path, *, mail_url: str | None = None, count: int = 1) -> None:
        """Prepare workers on the data of ``folder``; their log goes to ``worker.log`` in it."""
        self._folder, self._mail, self._count = folder, mail_url, count
        self._processes: list[subprocess.Popen[bytes]] = []
        self.restarts = 0

    @property
    def pids(self) -> list[int]:
        """The process ids of the workers."""
        return [each.pid for each in self._processes]

    def _start(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        environ = {**os.environ, "STUDIO_DATA": str(self._folder.absolute())}
        if self._mail is not None:
            environ["STUDIO_MAIL"] = self._mail
        command = [sys.executable, "-m", "jobqueue", "worker", "transcript_studio.worker:queue"]
        return subprocess.Popen(  # noqa: S603  our own interpreter and words
            command, env=environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator["Supervisor", None]:
        """Run the workers for as long as the block."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "worker.log").open("ab") as log:
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
