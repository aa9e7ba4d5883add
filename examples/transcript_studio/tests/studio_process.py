"""The studio in processes of its own: web servers and workers that tests stop, kill and restart."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from _common.processes import free_port
from transcript_studio.profile import Profile
from transcript_studio.services import build

HERE = Path(__file__).parent
GATED = "gated_worker"
_FROZEN = 40.0  # seconds: four leases
PATIENCE = 180.0  # seconds: a bound, not a pause


class Gate:
    """Says how far the recognisers of the workers get, and knows who has begun with what."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.let(0.3)

    def let(self, share: float) -> None:
        """Let recognisers come to ``share``, 0 to 1; 1 opens."""
        part = self.folder / "part"
        part.write_text(str(share))
        part.replace(self.folder / "share")

    def begin_anew(self) -> None:
        """Close for the next recordings and forget who has begun."""
        (self.folder / "begun").unlink(missing_ok=True)
        self.let(0.3)

    def begun(self) -> list[tuple[int, str]]:
        """Return process and upload of each time that a worker has begun to listen."""
        file = self.folder / "begun"
        lines = file.read_text().splitlines() if file.exists() else []
        return [(int(pid), name) for pid, name in map(str.split, lines)]


class Studio:
    """Web servers and workers on one profile."""

    def __init__(self, profile: Profile, *, module: str = GATED) -> None:
        self.profile, self.module = profile, module
        self.gate = Gate(profile.folder / "gate")
        self.webs: list[Web] = []
        self.workers: list[subprocess.Popen[bytes]] = []

    async def start(self, *, webs: int = 1, workers: int = 1) -> None:
        """Start everything; all at once, as a machine that boots does."""
        self.webs = [Web(self.profile) for _ in range(webs)]
        await asyncio.gather(*(each.start() for each in self.webs))
        self.workers = [self._worker() for _ in range(workers)]

    @property
    def url(self) -> str:
        """Where the first web server is."""
        return self.webs[0].url

    def _worker(self) -> subprocess.Popen[bytes]:
        words = ["jobqueue", "worker", f"{self.module}:queue"]
        if self.profile.is_celery:
            name = f"{os.urandom(4).hex()}@%h"
            words = ["celery", "-A", f"{self.module}:app", "worker", "-P", "threads"]
            words += ["-c", "2", "-n", name, "-l", "INFO"]
        with (self.profile.folder / "worker.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *words],
                env=environ(self.profile, STUDIO_GATE=str(self.gate.folder)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=HERE,
            )

    def kill(self, pid: int) -> None:
        """End a worker by SIGKILL."""
        worker = next(each for each in self.workers if each.pid == pid)
        worker.kill()
        worker.wait()

    def replace_dead_workers(self) -> None:
        """Start a worker for each that has died."""
        alive = [each for each in self.workers if each.poll() is None]
        self.workers = [*alive, *(self._worker() for _ in range(len(self.workers) - len(alive)))]

    def freeze(self, pid: int) -> None:
        """Stop a worker as a machine does that has no time for it; ``wake`` lets it go on."""
        os.kill(pid, signal.SIGSTOP)

    def wake(self, pid: int) -> None:
        """Let a frozen worker go on."""
        os.kill(pid, signal.SIGCONT)

    async def frozen(self, pid: int, until: Callable[[], bool]) -> None:
        """Freeze a worker until something has happened.

        Where it was in the middle of a transaction others wait for it: then it goes on for a
        moment, and is frozen in another place.
        """
        async with asyncio.timeout(PATIENCE):
            while not until():
                self.freeze(pid)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_FROZEN):
                        while not until():
                            await asyncio.sleep(0.05)
                self.wake(pid)
                await asyncio.sleep(0.05)

    async def ended(self, id: str, status: str = "completed") -> None:
        """Wait until a job has ended and its worker has said so, seen from beside the pages."""
        services = build(self.profile)
        try:
            assert (await services.queue.wait(id, timeout=PATIENCE)).status == status
        finally:
            await services.aclose()

    async def stop(self) -> None:
        """End everything."""
        self.gate.let(1)
        for worker in self.workers:
            worker.kill()
            worker.wait()
        await asyncio.gather(*(each.stop() for each in self.webs if each.process is not None))


class Web:
    """One ``studio serve`` without workers."""

    def __init__(self, profile: Profile) -> None:
        self.profile, self.port = profile, free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        words = ["-m", "transcript_studio", "serve", "--port", str(self.port), "--workers", "0"]
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, env=environ(self.profile), stdout=asyncio.subprocess.PIPE
        )
        self.process = process
        assert process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            assert await process.stdout.readline()
        await until(self._answers)

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    async def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        assert await self.process.wait() == 0
        self.process = None


def environ(profile: Profile, **more: str) -> dict[str, str]:
    """Return what a process of the studio is told."""
    return {**os.environ, **profile.environ, "PYTHONPATH": str(HERE), **more}


async def until(check: Callable[[], Awaitable[Any] | Any], what: str = "") -> Any:
    """Wait until ``check()`` gives something true, and return it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while True:
                found = check()
                if isinstance(found, Awaitable):
                    found = await found
                if found:
                    return found
                await asyncio.sleep(0.02)
    raise AssertionError(f"never true: {what or check}")


async def api(page: Any, path: str, method: str = "GET", body: Any = None) -> Any:
    """Ask the studio as the page does, with its cookie, and return the JSON."""
    data = None if body is None else json.dumps(body)
    answer = await page.request.fetch(path, method=method, data=data)
    assert answer.ok, (answer.status, await answer.text())
    return await answer.json()


@contextlib.asynccontextmanager
async def running(profile: Profile, **counts: int) -> AsyncIterator[Studio]:
    """Give a studio for the duration of the block."""
    studio = Studio(profile)
    try:
        await studio.start(**counts)
        yield studio
    finally:
        await studio.stop()
