"""The page of ``semsearch serve``: the token, the cookie, the names of the machine."""

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

from semsearch import ConfigurationError, SearchService

pytest.importorskip("httpx")
pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

import httpx

from semsearch._common.web_local import Gate, Pass
from semsearch.asgi.local import Local


@asynccontextmanager
async def served(search: SearchService, **options: Any) -> AsyncIterator[Local]:
    local = Local(search, port=0, **options)
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


async def test_the_address_lets_in_once(search: SearchService) -> None:
    async with served(search) as local, httpx.AsyncClient() as browser:
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
        async with httpx.AsyncClient() as other:
            used = await other.get(local.url)
            assert (used.status_code, "set-cookie" in used.headers) == (403, False)
            assert "used before" in used.text
            name = cookie.partition("=")[0]
            for value in ("", "x", "=;,", "\xfc"):
                answer = await other.get(
                    base, headers={"cookie": f"{name}={value}".encode("latin-1")}
                )
                assert answer.status_code == 401


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
    search: SearchService, host: str, status: int
) -> None:
    async with served(search, allowed_hosts=["ops.internal"]) as local, httpx.AsyncClient() as http:
        url = local.url.partition("?")[0]
        assert (await http.get(url, headers={"host": host})).status_code == status
        for path in ("static/page.js", local.url.removeprefix(url)):
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


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"port {port}"):
            Local(SearchService(), port=port)
    with pytest.raises(ConfigurationError, match="cannot listen"):
        Local(SearchService(), host="no.such.host.invalid", port=0)


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    """It says where it is, serves, and ends at Ctrl-C."""
    url = f"sqlite:///{tmp_path}/index.db"
    (tmp_path / "note.txt").write_text("The tides follow the moon.")
    run = [sys.executable, "-m", "semsearch"]
    subprocess.run([*run, "index", str(tmp_path), "--url", url], check=True, capture_output=True)
    command = [*run, "serve", "--url", url, "--port", "0", "--title", "Notes"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+/\?token=\S+", process.stdout.readline())
        assert found is not None
        with httpx.Client(follow_redirects=True) as browser:
            assert "<title>Search</title>" in browser.get(found[0]).text
            base = found[0].partition("?")[0]
            assert browser.get(f"{base}api/config").json()["title"] == "Notes"
            hits = browser.post(f"{base}api/search", json={"query": "tides"}).json()["hits"]
            assert hits[0]["id"] == "note.txt"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
        assert (process.returncode, errors) == (0, "")
    finally:
        process.kill()
        process.wait()
