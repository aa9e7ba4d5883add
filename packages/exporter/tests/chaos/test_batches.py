"""A batch whose process is killed goes on in the next one, from where it was."""

import asyncio
import hashlib
import io
import json
import os
import signal
import sys
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from batch_child import COUNT, service_at, text_of
from exporter import ExportJob, ExportService, ExportStatus
from exporter._common.clock import SystemClock

pytest.importorskip("sqlalchemy")
pytestmark = [pytest.mark.chaos, pytest.mark.slow]
CHILD = Path(__file__).parents[1] / "batch_child.py"


@pytest.fixture
def history(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/history.db"
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


def on(*kinds: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("history", kinds, indirect=True)


Begin = Callable[[str], Awaitable[asyncio.subprocess.Process]]


@pytest.fixture
async def begin(tmp_path: Path, history: str) -> AsyncIterator[Begin]:
    """Starts processes; those that a test leaves are ended."""
    started: list[asyncio.subprocess.Process] = []

    async def begun(what: str) -> asyncio.subprocess.Process:
        made = await asyncio.create_subprocess_exec(
            sys.executable, CHILD, tmp_path, history, what, stdout=asyncio.subprocess.PIPE
        )
        started.append(made)
        return made

    yield begun
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def says(process: asyncio.subprocess.Process) -> str:
    async with asyncio.timeout(60):
        return (await process.stdout.readline()).decode().strip()


def lines(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()] if path.exists() else []


async def until(path: Path, number: int) -> None:
    """Wait until ``number`` is the last word of a file."""
    async with asyncio.timeout(60):
        while lines(path)[-1:] != [number]:
            await asyncio.sleep(0.005)


async def killed(process: asyncio.subprocess.Process) -> None:
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()


class Behind(SystemClock):
    """A clock by which no lease is over yet, however long a busy machine lets a process wait."""

    seconds = 600.0

    def time(self) -> float:
        return super().time() - self.seconds


async def check(service: ExportService, job_id: str) -> ExportJob:
    """Check the archive, and that nothing else is left."""
    done = await service.get_job(job_id)
    assert (done.status, done.records, done.metadata) == (ExportStatus.COMPLETED, COUNT, {"n": 1})
    archive = zipfile.ZipFile(io.BytesIO(await service.download(job_id)))
    assert archive.testzip() is None
    manifest = json.loads(archive.read("manifest.json"))["items"]
    assert [item["source_id"] for item in manifest] == [str(n) for n in range(COUNT)]
    for number, item in enumerate(manifest):
        if number == 3:
            assert item["status"] == "failed"
            continue
        data = archive.read(item["name"])
        assert (len(data), hashlib.sha256(data).hexdigest()) == (item["size"], item["sha256"])
        assert json.loads(data.splitlines()[-1]) == {"text": text_of(str(number))}
    stored = [file.key async for file in service.storage.list_keys()]
    assert stored == [(await service.history.get(job_id)).key]
    assert await service.history.get_notes(job_id) == {}
    return done


@on("sqlite", "postgres", "mysql")
async def test_killed_in_the_middle(tmp_path: Path, history: str, begin: Begin) -> None:
    (tmp_path / "slow").touch()
    process = await begin("start")
    job_id = await says(process)
    for number in range(7):
        (tmp_path / f"go-{number}").touch()
    # all seven are told as done; the eighth is in the making
    await until(tmp_path / "told", 7)
    await until(tmp_path / "made", 7)
    await killed(process)
    for number in range(7, COUNT):
        (tmp_path / f"go-{number}").touch()
    process = await begin("recover")
    assert await says(process) == job_id
    assert await says(process) == "completed"
    await process.wait()
    made = lines(tmp_path / "made")
    # what failed is tried again, what was in the making is begun again, the rest was made once
    assert {n: made.count(n) for n in range(COUNT)} == {
        n: 2 if n in {3, 7} else 1 for n in range(COUNT)
    }
    async with service_at(tmp_path, history) as service:
        done = await check(service, job_id)
        assert (done.attempts, done.warnings) == (2, ("1 of 12 items failed; see manifest.json",))
        await service.cleanup()
        assert await service.recover() == []
        assert await service.delete(job_id)
        assert [file async for file in service.storage.list_keys()] == []
    assert not [path for path in (tmp_path / "files").rglob("*") if path.is_file()]


@on("sqlite")
async def test_killed_again_and_again(tmp_path: Path, history: str, begin: Begin) -> None:
    (tmp_path / "slow").touch()
    process = await begin("start")
    job_id = await says(process)
    known = 0
    for number in (0, 4, 9):
        for each in range(known, number):
            (tmp_path / f"go-{each}").touch()
        await until(tmp_path / "made", number)
        await killed(process)
        known = number
        process = await begin("recover")
        assert await says(process) == job_id
    for each in range(known, COUNT):
        (tmp_path / f"go-{each}").touch()
    assert await says(process) == "completed"
    await process.wait()
    made, told = lines(tmp_path / "made"), lines(tmp_path / "told")
    for number in told:  # items that were reported as done before the first kill
        if number != 4:  # the one that fails
            assert made.count(number - 1) == 1
    async with service_at(tmp_path, history) as service:
        assert (await check(service, job_id)).attempts == 4


@on("sqlite", "postgres")
async def test_one_of_two_processes_gets_it(tmp_path: Path, history: str, begin: Begin) -> None:
    (tmp_path / "slow").touch()
    process = await begin("start")
    job_id = await says(process)
    await until(tmp_path / "made", 0)
    await killed(process)
    (tmp_path / "slow").unlink()
    # long leases: on a busy machine whoever has it must not be taken for dead
    one, two = (service_at(tmp_path, history, lease=600) for _ in range(2))
    async with one, two:
        taken: list[ExportJob] = []
        async with asyncio.timeout(60):
            while not taken:
                for found in await asyncio.gather(one.recover(), two.recover()):
                    taken += found
                await asyncio.sleep(0.02)
        assert [job.id for job in taken] == [job_id]
        await one.wait(job_id, 60)
    async with service_at(tmp_path, history) as service:
        await check(service, job_id)


@on("sqlite", "postgres", "mysql")
async def test_who_waits_hears_of_the_death(tmp_path: Path, history: str, begin: Begin) -> None:
    """Waiting, watching and asking end with the lease; no cleanup runs in between."""
    (tmp_path / "slow").touch()
    clock = Behind()
    async with service_at(tmp_path, history, clock=clock) as service:
        await service.setup()
        process = await begin("start")
        job_id = await says(process)
        await until(tmp_path / "made", 0)
        waiting = asyncio.create_task(service.wait(job_id, 60))
        watching = asyncio.create_task(states(service, job_id))
        await until_running(service, job_id)
        await killed(process)
        clock.seconds = 0.0
        done = await waiting
        assert (done.status, done.error) == (
            ExportStatus.FAILED,
            "ExportError: the process that ran the export is gone",
        )
        assert (await watching)[-1] is ExportStatus.FAILED
        (tmp_path / "slow").unlink()
        await service.retry(job_id)
        await service.wait(job_id, 60)
    async with service_at(tmp_path, history) as service:
        await check(service, job_id)


async def states(service: ExportService, job_id: str) -> list[ExportStatus]:
    return [job.status async for job in service.watch(job_id)]


async def until_running(service: ExportService, job_id: str) -> None:
    async with asyncio.timeout(60):
        while (await service.get_job(job_id)).status is not ExportStatus.PROCESSING:
            await asyncio.sleep(0.005)
