"""Two web servers under load while their Redis is killed and started: every answer, none stale."""

import asyncio
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("redis")
pytest.importorskip("starlette")
pytest.importorskip("httpx")
pytest.importorskip("uvicorn")

import httpx

import web_worker
from _common.server import Server

pytestmark = [pytest.mark.chaos, pytest.mark.integration, pytest.mark.slow]
SECONDS = 9.0
CLIENTS = 8
LEAST = 5  # answers; many more, on a machine that has time
BOUND = web_worker.SUSPECT + 1.0
"""Seconds after which a change that was confirmed holds in the other server, too."""


@pytest.fixture
def servers(own_redis: Server, tmp_path: Path) -> Iterator[list[str]]:
    """Give the addresses of two servers of one application."""
    numbers = tmp_path / "numbers"
    numbers.write_bytes(b"\0" * 8 * web_worker.ITEMS)
    command = [sys.executable, web_worker.__file__, own_redis.url, str(numbers)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    addresses = []
    for each in started:
        assert each.stdout is not None
        addresses.append(f"http://127.0.0.1:{int(each.stdout.readline())}")
    yield addresses
    for each in started:
        each.send_signal(signal.SIGTERM)
    for each in started:
        assert each.stdout is not None
        each.stdout.close()
        assert each.wait(60) in {0, -signal.SIGTERM}


class Load:
    """Reads and changes items, and knows below what no answer may be."""

    def __init__(self, servers: list[str]) -> None:
        self._servers = servers
        self._own: dict[tuple[str, int], int] = defaultdict(int)
        self._confirmed: dict[int, list[tuple[float, int]]] = defaultdict(list)
        self.answers = self.confirmed = 0
        self.wrong: list[object] = []

    def floor(self, server: str, item: int) -> int:
        limit = time.monotonic() - BOUND
        known = [number for at, number in self._confirmed[item] if at < limit]
        return max([self._own[server, item], *known])

    async def client(self, seed: int, until: float) -> None:
        rng = random.Random(seed)
        async with httpx.AsyncClient(timeout=60) as http:
            # longer on a machine that has no time: few answers would say nothing
            while time.monotonic() < until or self.answers <= LEAST:
                server, item = rng.choice(self._servers), rng.randrange(web_worker.ITEMS)
                if rng.random() < 0.03:
                    await self.change(http, server, item)
                else:
                    await self.read(http, server, item, rng.choice(["items", "pages"]))

    async def read(self, http: httpx.AsyncClient, server: str, item: int, kind: str) -> None:
        floor = self.floor(server, item)
        answer = await http.get(f"{server}/{kind}/{item}")
        self.answers += 1
        if answer.status_code != 200 or answer.json()["number"] < floor:
            self.wrong.append((server, kind, item, floor, answer.status_code, answer.text))

    async def change(self, http: httpx.AsyncClient, server: str, item: int) -> None:
        answer = await http.put(f"{server}/items/{item}")
        if answer.status_code != 200:
            self.wrong.append((server, item, answer.status_code))
            return
        number = answer.json()["number"]
        self._own[server, item] = max(self._own[server, item], number)
        if answer.json()["confirmed"]:
            self.confirmed += 1
            self._confirmed[item].append((time.monotonic(), number))

    async def until_opened(self) -> None:
        """Change items until the breaker of each server has opened: on a slow machine it takes."""
        async with httpx.AsyncClient(timeout=60) as http:
            for server in self._servers:
                while not (await http.get(f"{server}/state")).json()["opened"]:
                    await self.change(http, server, 0)


async def disturb(load: Load, redis: Server, until: float) -> int:
    """Kill Redis and start it again, with some peace in between; return how often."""
    kills = 0
    while kills < 2 or time.monotonic() < until - 3:
        await asyncio.sleep(1)
        await asyncio.to_thread(redis.kill)
        kills += 1
        await asyncio.sleep(0.5)
        if kills == 1:
            await load.until_opened()
        await asyncio.to_thread(redis.restart)
    return kills


async def test_every_answer_and_none_stale(own_redis: Server, servers: list[str]) -> None:
    load, until = Load(servers), time.monotonic() + SECONDS
    clients = [load.client(seed, until) for seed in range(CLIENTS)]
    kills, *_ = await asyncio.gather(disturb(load, own_redis, until), *clients)
    assert not load.wrong, load.wrong[:5]
    assert kills > 1
    assert load.answers > LEAST
    async with httpx.AsyncClient(timeout=60) as http, asyncio.timeout(120):
        for server in servers:
            # a server that is left alone comes to rest by itself, and answers from its memory again
            while not at_rest(state := (await http.get(f"{server}/state")).json()):
                await http.get(f"{server}/items/0")
                await asyncio.sleep(0.05)
            assert state["opened"] >= 1


def at_rest(state: dict[str, object]) -> bool:
    is_sound = state["breaker"] == "closed" and state["trusted"] is True and not state["pending"]
    return is_sound and bool(state["hits"])
