"""What tests of the service share: a small source, a job that has ended, a source that waits."""

import asyncio
import threading
from typing import Any

from exporter import ExportService, ExportSource

ROWS = ExportSource("custom", "1", {"rows": [{"a": 1}]})
CSV = b"a\r\n1\r\n"


async def ended(service: ExportService, *args: Any, **kwargs: Any) -> Any:
    return await service.wait((await service.export(*args, **kwargs)).id, 60)


class Gate:
    """A source that waits in the middle until it is let go."""

    def __init__(self) -> None:
        self.reached, self.release = threading.Event(), threading.Event()

    def __iter__(self):
        yield {"a": 1}
        self.reached.set()
        self.release.wait(120)
        for n in range(10_000):
            yield {"a": n}

    async def wait(self) -> None:
        async with asyncio.timeout(60):
            while not self.reached.is_set():
                await asyncio.sleep(0.001)
