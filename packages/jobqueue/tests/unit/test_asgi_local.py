"""The dashboard of ``jobqueue dashboard``: the token, the cookie, the names of the machine."""

import asyncio
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from jobqueue import ConfigurationError, JobQueue

pytest.importorskip("httpx")
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

import httpx

from jobqueue._common.web_local import Gate, Pass
from jobqueue.asgi.local import Local


@asynccontextmanager
async def served(queue: JobQueue, **options: Any) -> AsyncIterator[Local]:
    local = Local(queue, port=0, **options)
    stops: list[Callable[[], None]] = []
    task = asyncio.create_task(local.serve(stops.append))
    try:
        yield local
    finally:
        while not stops:
            await asyncio.sleep(0.01)
        stops[0]()
        async with asyncio.timeout(60):
            await task


def patient() -> httpx.AsyncClient:
    """A browser that waits as long as a busy machine needs."""
    return httpx.AsyncClient(timeout=60)


async def test_the_address_lets_in_once(queue: JobQueue) -> None:
    async with served(queue) as local, patient() as browser:
        base = local.url.partition("?")[0]
        assert base.startswith("http://127.0.0.1:")
        assert (await browser.get(base)).status_code == 401
        assert (await browser.get(f"{base}?token=wrong")).status_code == 403
        welcome = await browser.get(local.url)
        assert welcome.status_code == 303
        assert welcome.headers["location"] == "./"
        cookie = welcome.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        page = await browser.get(base)
        assert page.status_code == 200
        # the same browser may use it again, another one may not
        assert (await browser.get(local.url)).status_code == 303
        async with patient() as other:
            used = await other.get(local.url)
            assert (used.status_code, "set-cookie" in used.headers) == (403, False)
            assert "used before" in used.text
            name = cookie.partition("=")[0]
            for value in ("", "x", "=;,", "\xfc"):
                answer = await other.get(
                    base, headers={"cookie": f"{name}={value}".encode("latin-1")}
                )
                assert answer.status_code == 401


async def test_changes_are_allowed_unless_it_is_read_only(queue: JobQueue) -> None:
    await queue.enqueue("x", id="j")
    send = {"x-jobqueue": "1"}
    for read_only, status in ((True, 403), (False, 200)):
        async with served(queue, read_only=read_only) as local, patient() as browser:
            await browser.get(local.url)
            base = local.url.partition("?")[0]
            answer = await browser.post(f"{base}api/job/cancel", json={"id": "j"}, headers=send)
            assert answer.status_code == status
            assert (await browser.get(f"{base}api/jobs")).status_code == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 401),
        ("127.0.0.1:1234", 401),
        ("LOCALHOST:8321", 401),
        ("[::1]:8321", 401),
        ("ops.internal", 401),
        ("evil.test", 403),
        ("127.0.0.1.evil.test", 403),
        ("localhost@evil.test", 403),
        ("", 403),
        ("[", 403),
    ],
)
async def test_strange_names_of_the_machine_are_refused(
    queue: JobQueue, host: str, status: int
) -> None:
    async with served(queue, allowed_hosts=["ops.internal"]) as local, patient() as http:
        url = local.url.partition("?")[0]
        assert (await http.get(url, headers={"host": host})).status_code == status
        for path in ("static/main.js", local.url.removeprefix(url)):
            answer = await http.get(url + path, headers={"host": host})
            assert (answer.status_code == 403) == (status == 403)
            assert status == 401 or "set-cookie" not in answer.headers


async def test_the_gate_takes_requests_only() -> None:
    async def app(*_: Any) -> None:
        raise AssertionError

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    gate = Gate(app, ["localhost"], Pass("c"))
    await gate({"type": "websocket"}, asyncio.Event().wait, send)  # type: ignore[arg-type]
    assert not sent


async def test_an_open_page_does_not_hold_the_server(queue: JobQueue) -> None:
    """A server that stops ends its open pages in an orderly way, and does not wait for them."""
    local = Local(queue, port=0)
    stops: list[Callable[[], None]] = []
    task = asyncio.create_task(local.serve(stops.append))
    async with patient() as browser:
        await browser.get(local.url)
        url = f"{local.url.partition('?')[0]}api/events"
        async with browser.stream("GET", url) as stream:
            lines = stream.aiter_lines()
            async for line in lines:
                if line.startswith("event: overview"):
                    break
            stops[0]()
            # a page that is cut off here would raise: the response would not be complete
            async for line in lines:
                assert "error" not in line
    async with asyncio.timeout(60):
        await task


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port}"):
            Local(JobQueue(), port=port)
    with pytest.raises(ConfigurationError, match="cannot listen"):
        Local(JobQueue(), host="no.such.host.invalid", port=0)


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    """It says where it is, serves, and ends at Ctrl-C."""
    pytest.importorskip("sqlalchemy")
    url = f"sqlite:///{tmp_path}/jobs.db"
    (tmp_path / "jobs.db").touch()
    command = [sys.executable, "-m", "jobqueue", "dashboard", "--url", url, "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", process.stdout.readline())
        assert found is not None
        with httpx.Client(follow_redirects=True, timeout=60) as browser:
            assert "<title>jobqueue</title>" in browser.get(found[0]).text
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
    finally:
        process.kill()
        process.wait()
