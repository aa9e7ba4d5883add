"""One key that many processes miss at once: one of them computes it, also if that one dies."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.chaos, pytest.mark.integration, pytest.mark.slow]

# waits for a line on stdin, then asks for one key with many tasks; tells calls, values and seconds
CHILD = """
import asyncio, json, os, sys, time
from tiered_cache import CacheProvider, Settings
url, callers, work, mode = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]
lease = float(sys.argv[5])
calls = 0

async def factory():
    global calls
    calls += 1
    if mode == "die":
        print("began", flush=True)
    await asyncio.sleep(work)
    return os.getpid()

async def main():
    l2 = {"connection_string": url, "timeout": 20, "lease": lease, "lease_wait": 600}
    async with CacheProvider(Settings.from_mapping({"l2": l2})) as cache:
        await cache.get("warm")
        while not url.startswith("memcached") and not (await cache.get_stats()).trusted:
            await asyncio.sleep(0.01)
        print("ready", flush=True)
        sys.stdin.readline()
        begun = time.perf_counter()
        found = await asyncio.gather(*(cache.get_or_set("k", factory) for _ in range(callers)))
        took = time.perf_counter() - begun
    # closed before: whoever is killed holding its lease would keep it from the next test
    print(json.dumps({"calls": calls, "values": sorted(set(found)), "took": took}), flush=True)
asyncio.run(main())
"""


class Group:
    """Processes with a cache each."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.all: list[subprocess.Popen[str]] = []

    def start(
        self, callers: int, work: float, mode: str = "plain", lease: float = 60.0
    ) -> subprocess.Popen[str]:
        given = (str(callers), str(work), mode, str(lease))
        command = [sys.executable, "-c", CHILD, self.url, *given]
        made = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.all.append(made)
        assert self.line(made) == "ready"
        return made

    @staticmethod
    def line(process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.readline().strip()

    @staticmethod
    def go(process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()

    def close(self) -> None:
        for each in self.all:
            each.kill()
            each.wait(10)
            for end in (each.stdin, each.stdout):
                assert end is not None
                end.close()


@pytest.fixture(params=["redis", "sqlite", "memcached"])
def group(request: pytest.FixtureRequest, tmp_path: Path, redis_prefix: str) -> Iterator[Group]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/c.db"
    else:
        url = request.getfixturevalue(f"{request.param}_url")
    if request.param == "memcached":
        asyncio.run(forget(url))
    made = Group(url)
    yield made
    made.close()


async def forget(url: str) -> None:
    from tiered_cache import CacheProvider, Settings

    # patient: on a busy machine what another test has left would stay
    settings = Settings.from_mapping({"l2": {"connection_string": url, "timeout": 20}})
    async with CacheProvider(settings) as cache:
        assert (await cache.clear()).confirmed


def test_four_processes_make_one_call(group: Group) -> None:
    children = [group.start(250, 0.2) for _ in range(4)]
    for each in children:
        group.go(each)
    found: list[dict[str, Any]] = [json.loads(group.line(each)) for each in children]
    assert sum(each["calls"] for each in found) == 1
    assert len({tuple(each["values"]) for each in found}) == 1
    assert max(each["took"] for each in found) < 40  # nobody waits for the lease to run out


def test_a_killed_leader_passes_on(group: Group) -> None:
    leader = group.start(10, 60, "die", 0.6)
    waiter = group.start(10, 0.05)
    group.go(leader)
    assert group.line(leader) == "began"
    group.go(waiter)
    time.sleep(0.2)
    leader.kill()
    found = json.loads(group.line(waiter))
    assert found["calls"] == 1
    assert found["values"] == [waiter.pid]
    # the lease of 0.6 s (1 s in memcached), and a look
    assert found["took"] < 40


def test_a_slow_leader_keeps_its_lease(group: Group) -> None:
    leader = group.start(1, 6.5, "die", 3.0)
    waiter = group.start(10, 0.05)
    group.go(leader)
    assert group.line(leader) == "began"
    group.go(waiter)
    assert json.loads(group.line(waiter))["calls"] == 0
    assert json.loads(group.line(leader))["calls"] == 1
