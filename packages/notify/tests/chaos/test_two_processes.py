"""A watcher in one process, a sender in another, on one SQLite file."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

from notify import NotificationService

pytestmark = pytest.mark.chaos
SENDER = """
import asyncio, sys
from notify import Notification, NotificationService
async def main():
    async with NotificationService.from_url(sys.argv[1]) as service:
        for n in range(int(sys.argv[2])):
            sent = await service.send(Notification(title=str(n), user_id="ann"))
        await service.mark_as_read(sent.id, "ann")
asyncio.run(main())
"""


async def test_a_watcher_sees_another_process(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/n.db?synchronous=OFF"
    async with NotificationService.from_url(url) as service:
        heard: list[tuple[int, str]] = []

        async def watch() -> None:
            stream = service.watch("ann", 0)
            async for event in stream:
                heard.append((event.seq, event.kind))
                if event.kind == "read":
                    break
            await stream.aclose()

        task = asyncio.create_task(watch())
        processes = [subprocess.Popen([sys.executable, "-c", SENDER, url, "20"]) for _ in range(2)]
        async with asyncio.timeout(30):
            await task
            for each in processes:
                assert await asyncio.to_thread(each.wait) == 0
        rest = await service.store.events("ann", heard[-1][0], 100)
        assert [seq for seq, _ in heard] + [each.seq for each in rest] == list(range(1, 43))
