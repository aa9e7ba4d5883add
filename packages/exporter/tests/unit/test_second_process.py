"""A job queue whose worker is another process; they share a SQLite history and a folder."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

from exporter import Executor, ExportService, ExportSource, ExportStatus, Settings

WORKER = Path(__file__).parents[1] / "queue_worker.py"


class Pipe(Executor):
    """Sends ids to the input of a process."""

    def __init__(self) -> None:
        self.process: asyncio.subprocess.Process | None = None
        self.sent: list[str] = []

    async def submit(self, job_id: str) -> None:
        self.sent.append(job_id)
        self.process.stdin.write(f"{job_id}\n".encode())
        await self.process.stdin.drain()

    async def cancel(self, job_id: str) -> None:
        """Do nothing: what is sent cannot be taken back."""

    async def says(self) -> str:
        async with asyncio.timeout(120):
            return (await self.process.stdout.readline()).decode().strip()

    @asynccontextmanager
    async def worker(self, folder: Path) -> AsyncIterator[None]:
        pipe = asyncio.subprocess.PIPE
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, WORKER, folder, stdin=pipe, stdout=pipe
        )
        try:
            yield
        finally:
            if self.process.returncode is None:
                self.process.stdin.close()
            async with asyncio.timeout(120):
                await self.process.wait()
                while await self.process.stdout.read(1000):
                    pass


@asynccontextmanager
async def asking(folder: Path, pipe: Pipe) -> AsyncIterator[ExportService]:
    settings = Settings.from_mapping(
        {
            "storage": {"url": f"file://{folder}/files"},
            "history": {"url": f"sqlite:///{folder}/history.db"},
        }
    )
    async with ExportService(settings, executor=pipe) as service:

        @service.source("slow")
        def never(source_id: str) -> None:
            raise AssertionError("this process only asks")

        yield service


async def test_run_by_another_process(tmp_path: Path) -> None:
    pipe = Pipe()
    async with pipe.worker(tmp_path), asking(tmp_path, pipe) as service:
        job = await service.export(ExportSource("slow", "1"), "jsonl", include_metadata=False)
        assert job.status is ExportStatus.PENDING
        done = await service.wait(job.id, 120)
        assert (done.status, done.attempts) == (ExportStatus.COMPLETED, 1)
        assert (await service.download(job.id)).count(b"line ") == 1000
        assert await pipe.says() == "completed"


async def test_cancelled_in_another_process(tmp_path: Path) -> None:
    pipe = Pipe()
    async with pipe.worker(tmp_path), asking(tmp_path, pipe) as service:
        job = await service.export(ExportSource("slow", "hangs"), "txt")
        assert await pipe.says() == "begun"
        assert await service.cancel(job.id)
        assert await pipe.says() == "cancelled"
        assert (await service.get_job(job.id)).status is ExportStatus.CANCELLED
        pipe.process.send_signal(signal.SIGKILL)  # its thread sleeps on


async def test_a_killed_worker_and_the_next_one(tmp_path: Path) -> None:
    pipe = Pipe()
    async with asking(tmp_path, pipe) as service:
        async with pipe.worker(tmp_path):
            job = await service.export(ExportSource("slow", "hangs"), "txt", user_id="u")
            assert await pipe.says() == "begun"
            os.kill(pipe.process.pid, signal.SIGKILL)
        left = await service.history.get(job.id)
        assert (left.status, left.attempts) == (ExportStatus.PROCESSING, 1)
        left.source_id = "1"  # this time it does not hang
        assert await service.history.save(left)
        async with pipe.worker(tmp_path):
            await pipe.submit(job.id)  # the queue delivers it again
            done = await service.wait(job.id, 120)
            assert (done.status, done.attempts) == (ExportStatus.COMPLETED, 2)
            assert await pipe.says() == "completed"
        await service.cleanup()  # with what the killed worker left
        names = [path.name for path in (tmp_path / "files").rglob("*") if path.is_file()]
        assert names == [done.filename]
