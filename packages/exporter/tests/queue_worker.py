"""A worker of a job queue, as a process: takes ids from its input, says what became of them."""

import asyncio
import sys
import time

from exporter import ExportError, ExportService, Settings


async def main(folder: str) -> None:
    """Serve until the input ends."""
    settings = Settings.from_mapping(
        {
            "storage": {"url": f"file://{folder}/files"},
            "history": {"url": f"sqlite:///{folder}/history.db"},
            "jobs": {"lease": 1},
        }
    )
    async with ExportService(settings) as service:

        @service.source("slow")
        def slow(source_id: str):
            yield {"text": "begun", "start": 0}
            if source_id == "hangs":
                print("begun", flush=True)
                time.sleep(60)
            for number in range(1000):
                yield {"text": f"line {number}", "start": number}

        while line := await asyncio.to_thread(sys.stdin.readline):
            while True:
                try:
                    job = await service.run(line.strip())
                except ExportError as exc:
                    if exc.reason != "busy":
                        raise
                    await asyncio.sleep(0.05)
                    continue
                break
            print(job.status, flush=True)


asyncio.run(main(sys.argv[1]))
