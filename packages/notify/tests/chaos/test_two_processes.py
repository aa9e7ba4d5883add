"""A watcher in one process, a sender in another, on one SQLite file."""

import asyncio

import pytest

pytest.importorskip("sqlalchemy")

from chaos.delivering import send
from notify import NotificationService

pytestmark = pytest.mark.chaos


async def test_a_watcher_sees_another_process(processes, sqlite_url: str) -> None:
    async with NotificationService.from_url(sqlite_url) as service:
        heard: list[tuple[int, str]] = []

        async def watch() -> None:
            stream = service.watch("ann", 0)
            async for event in stream:
                heard.append((event.seq, event.kind))
                if event.kind == "read":
                    break
            await stream.aclose()

        task = asyncio.create_task(watch())
        senders = [processes.Process(target=send, args=(sqlite_url, 20)) for _ in range(2)]
        for each in senders:
            each.start()
        async with asyncio.timeout(120):
            await task
            for each in senders:
                await asyncio.to_thread(each.join)
                assert each.exitcode == 0
        rest = await service.store.events("ann", heard[-1][0], 100)
        assert [seq for seq, _ in heard] + [each.seq for each in rest] == list(range(1, 43))
