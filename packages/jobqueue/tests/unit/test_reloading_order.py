"""``jobqueue worker --reload`` without processes: what it does first, and with each change."""

import argparse
import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from jobqueue.cli import reloading


class World:
    """Stands for watchfiles and for the worker's process; knows what was done in which order."""

    PythonFilter = object

    def __init__(self, changes: int) -> None:
        self.done: list[str] = []
        self.stopping = asyncio.Event()
        self.kill = lambda: None
        self.changes = self._left = changes

    async def awatch(self, *_: Any, **__: Any) -> AsyncGenerator[set[tuple[int, str]], None]:
        self.done.append("watches")
        while self._left:
            await asyncio.sleep(0)
            self._left -= 1
            yield {(1, "app.py")}
        await self.stopping.wait()

    async def start(self) -> None:
        self.done.append("starts")
        await asyncio.sleep(0)
        if self.done.count("starts") == 1 + self.changes:
            self.stopping.set()

    async def stop(self) -> None:
        self.done.append("stops")


@pytest.mark.parametrize("changes", [0, 2])
async def test_what_is_saved_while_the_worker_starts_is_seen(
    monkeypatch: pytest.MonkeyPatch, changes: int
) -> None:
    """It may have read the file before: whoever watches only then never hears of the change."""
    world = World(changes)
    monkeypatch.setattr(reloading, "require", lambda *_, **__: world)
    monkeypatch.setattr(reloading, "_Child", lambda *_: world)
    monkeypatch.setattr(reloading, "_stopping", lambda _: world.stopping)
    given = argparse.Namespace(log_level="info", target="a:b", queues=None, shutdown_timeout=None)
    async with asyncio.timeout(60):
        assert await reloading.supervise(given) == 0
    assert world.done == ["watches", "starts", *["stops", "starts"] * changes, "stops"]
