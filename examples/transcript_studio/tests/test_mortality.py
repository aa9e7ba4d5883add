"""A web process that is killed at any step leaves nothing that waits for ever, on both profiles.

What it leaves is nothing, or goes on by itself, or can be tried again: a bar that stands still with
no job behind it is none of these.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from mortal_web import ENDED
from studio_process import HERE, PATIENCE, environ, until

from _common.processes import free_port
from transcript_studio.profile import Profile
from transcript_studio.services import Services, build
from transcript_studio.steps.working import register
from transcript_studio.web import create_app

pytestmark = pytest.mark.slow
TALK = b"1\n00:00:00,000 --> 00:00:02,000\nToday we speak of gardens.\n"
Request = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]


@pytest.fixture
async def services(profile: Profile) -> AsyncIterator[Services]:
    """Give what the workers have."""
    made = build(profile)
    await made.setup()
    register(made)
    yield made
    await made.aclose()


class Mortals:
    """Web processes that are killed at a step of theirs, one after the other."""

    def __init__(self, process: asyncio.subprocess.Process, user: str) -> None:
        self.process, self.cookies = process, {"studio_user": user}

    async def line(self) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            return (await self.process.stdout.readline()).decode().strip()

    async def killed_at(self, step: int, request: Request) -> bool:
        """Make a request to a process that is killed at a step; False if it answers before."""
        port = free_port()
        assert self.process.stdin is not None
        self.process.stdin.write(f"{step} {port}\n".encode())
        pid, url = int(await self.line()), f"http://127.0.0.1:{port}/"
        try:
            assert url.rstrip("/") in await self.line()
            return await self._dies(url, request)
        finally:
            with contextlib.suppress(ProcessLookupError):  # it would serve on
                os.kill(pid, signal.SIGKILL)
            assert await self.line() == ENDED

    async def _dies(self, url: str, request: Request) -> bool:
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE, cookies=self.cookies) as page:
            await until(lambda: answers(page))
            try:
                answer = await request(page)
            except httpx.TransportError:
                return True
        assert answer.is_success, answer.text
        return False


async def answers(page: httpx.AsyncClient) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return (await page.get("/")).is_success
    return False


@pytest.fixture
async def page(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    """Give a page on a web process that lives."""
    transport = httpx.ASGITransport(create_app(services))
    async with httpx.AsyncClient(transport=transport, base_url="http://studio.test") as made:
        await made.get("/")
        yield made


@pytest.fixture
async def mortals(profile: Profile, page: httpx.AsyncClient) -> AsyncIterator[Mortals]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(HERE / "mortal_web.py"),
        env=environ(profile),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    yield Mortals(process, page.cookies["studio_user"])
    assert process.stdin is not None
    process.stdin.close()
    assert await process.wait() == 0


def upload(content: bytes) -> Request:
    return lambda page: page.post(
        "/api/transcripts", content=content, headers={"x-file-name": "talk.srt"}
    )


def retry(id: str) -> Request:
    return lambda page: page.post(f"/api/jobs/{id}/retry")


async def listed(page: httpx.AsyncClient) -> list[str]:
    return [each["id"] for each in (await page.get("/api/transcripts")).json()["items"]]


async def completed(services: Services, page: httpx.AsyncClient, id: str) -> bool:
    """Do what workers do, press what is offered, and return whether an operation is done."""
    await services.queue.run_until_idle()
    answer = await page.get(f"/progress/{id}")
    status = answer.json()["status"] if answer.is_success else None
    if status in {None, "failed", "cancelled"}:  # the page has a button there
        tried = await page.post(f"/api/jobs/{id}/retry")
        assert tried.status_code == 202, tried.text
    elif status != "completed":
        found = await services.queue.get_stats()
        assert found.pending + found.delayed + found.processing, f"{status}, and nobody works on it"
    return status == "completed"


async def test_an_upload(services: Services, page: httpx.AsyncClient, mortals: Mortals) -> None:
    for step in range(1, 20):
        before = await listed(page)
        was_killed = await mortals.killed_at(step, upload(TALK))
        for left in set(await listed(page)) - set(before):
            await until(lambda id=left: completed(services, page, id))
        if not was_killed:
            break
    assert step > 5  # it was killed at several


async def test_a_retry(services: Services, page: httpx.AsyncClient, mortals: Mortals) -> None:
    for step in range(1, 20):
        made = (await upload(b"no cue in here")(page)).json()["id"]
        await services.queue.run_until_idle()
        entry = services.library.entry(made)
        assert entry is not None
        services.library.upload_path(entry).write_bytes(TALK)
        was_killed = await mortals.killed_at(step, retry(made))
        await until(lambda id=made: completed(services, page, id))
        if not was_killed:
            break
    assert step > 3


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_retry_without_progress(
    services: Services, page: httpx.AsyncClient, mortals: Mortals, is_known: bool
) -> None:
    """As retention leaves it: the queue knows of the job, or forgets it as well."""
    for step in range(1, 20):
        made = (await upload(TALK)(page)).json()["id"]
        await services.queue.cancel_job(made)
        await services.tracker.delete(made)
        if not is_known:
            await services.queue.remove_job(made)
        was_killed = await mortals.killed_at(step, retry(made))
        await until(lambda id=made: completed(services, page, id))
        if not was_killed:
            break
    assert step > 3


async def test_a_zip(services: Services, page: httpx.AsyncClient, mortals: Mortals) -> None:
    await upload(TALK)(page)
    await services.queue.run_until_idle()
    for step in range(1, 20):
        was_killed = await mortals.killed_at(step, lambda page: page.post("/api/archives"))
        user = page.cookies["studio_user"]
        for each in await services.tracker.list_progress(user_id=user, kind="archive"):
            await until(lambda id=each.id: completed(services, page, id))
        if not was_killed:
            break
    assert step > 2
