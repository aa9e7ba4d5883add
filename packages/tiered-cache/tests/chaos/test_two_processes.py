"""A second real process on the same shared level."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import IO

import pytest

from tiered_cache import CacheProvider, Settings

pytestmark = [pytest.mark.chaos, pytest.mark.slow]

# answers lines of stdin: get K, set K V, delete K, invalidate T, clear
CHILD = """
import asyncio, sys
from tiered_cache import CacheProvider, Settings

async def main():
    settings = Settings.from_mapping({"l2": {"connection_string": sys.argv[1], "timeout": 20}})
    loop = asyncio.get_running_loop()
    async with CacheProvider(settings) as cache:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            name, *args = line.split()
            if name == "get":
                print(await cache.get(args[0]), flush=True)
            elif name == "set":
                await cache.set(args[0], args[1], tags=["t"])
                print("done", flush=True)
            else:
                work = {"delete": lambda: cache.delete(args[0]), "clear": cache.clear,
                        "invalidate": lambda: cache.invalidate(args)}[name]
                print((await work()).confirmed, flush=True)

asyncio.run(main())
"""


class Child:
    """A process with a cache of its own, asked by lines."""

    def __init__(self, url: str) -> None:
        command = [sys.executable, "-c", CHILD, url]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self._in: IO[str] = self.process.stdin
        self._out: IO[str] = self.process.stdout

    async def ask(self, line: str) -> str:
        self._in.write(f"{line}\n")
        self._in.flush()
        async with asyncio.timeout(60):
            return (await asyncio.to_thread(self._out.readline)).strip()

    def close(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self._in.close()
        self._out.close()


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/cache.db"
    pytest.importorskip("redis")
    found: str = request.getfixturevalue("redis_url")
    return found


@pytest.fixture
def child(url: str) -> Iterator[Child]:
    made = Child(url)
    yield made
    made.close()


@pytest.fixture
async def cache(url: str) -> AsyncIterator[CacheProvider]:
    settings = Settings.from_mapping({"l2": {"connection_string": url, "timeout": 20}})
    async with CacheProvider(settings) as made:
        await made.clear()
        yield made


@pytest.mark.parametrize("change", ["invalidate t", "delete k", "clear"])
async def test_the_other_process_sees_it_within_a_second(
    cache: CacheProvider, child: Child, change: str
) -> None:
    # there: changed by the child, seen here
    await cache.set("k", "old", tags=["t"])
    assert await child.ask("get k") == "old"
    assert await cache.get("k") == "old"
    assert await child.ask(change) == "True"
    await gone(cache)
    # and back: changed here, seen by the child
    await cache.set("k", "again", tags=["t"])
    assert await child.ask("get k") == "again"
    name, *rest = change.split()
    done = await {"invalidate": lambda: cache.invalidate(rest), "clear": cache.clear,
                  "delete": lambda: cache.delete("k")}[name]()  # fmt: skip
    assert done.confirmed
    begun = time.monotonic()
    while await child.ask("get k") != "None":
        assert time.monotonic() - begun < 60
        await asyncio.sleep(0.01)


async def gone(cache: CacheProvider) -> None:
    begun = time.monotonic()
    while await cache.get("k") is not None:
        assert time.monotonic() - begun < 60
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("change", ["invalidate t", "delete k", "clear"])
async def test_a_killed_process_loses_no_invalidation(
    cache: CacheProvider, child: Child, change: str
) -> None:
    assert await child.ask("set k old") == "done"
    assert await cache.get("k") == "old"
    assert await child.ask(change) == "True"
    child.process.kill()
    await gone(cache)
    assert await cache.get_or_set("k", lambda: "new") == "new"


async def test_a_new_process_starts_with_what_was_invalidated(
    cache: CacheProvider, child: Child, url: str
) -> None:
    await cache.set("k", "old", tags=["t"])
    await cache.set("kept", "yes", tags=["u"])
    assert await child.ask("invalidate t") == "True"
    child.process.kill()
    later = Child(url)
    try:
        assert await later.ask("get k") == "None"
        assert await later.ask("get kept") == "yes"
    finally:
        later.close()
