"""A process that makes a batch, or goes on with the one that another left.

    python batch_child.py FOLDER HISTORY start|recover

Each item says when it begins in the file ``FOLDER/made``; what the history counts as done is said
in ``FOLDER/told``. Items wait until there is the file ``FOLDER/go-N``, if there is ``FOLDER/slow``.
"""

import asyncio
import sys
import time
from pathlib import Path

from exporter import ExportService, ExportSource, Settings
from exporter._common.clock import Clock

COUNT = 12


def text_of(number: str) -> str:
    """Return the line of an item; the sixth is larger than what is held in memory."""
    return f"item {number} " + "x" * (400_000 if number == "6" else 10)


def service_at(
    folder: Path, history: str, *, lease: float = 1, clock: Clock | None = None
) -> ExportService:
    """Return a service with a loader that notes what it is asked for."""
    where = {"storage": {"url": f"file://{folder}/files"}, "history": {"url": history}}
    settings = {"jobs": {"lease": lease}, "cleanup": {"enabled": False}, **where}
    service = ExportService(Settings.from_mapping(settings), clock=clock)

    @service.source("noted")
    def load(number: str):
        with (folder / "made").open("a") as made:
            made.write(f"{number}\n")
        while (folder / "slow").exists() and not (folder / f"go-{number}").exists():
            time.sleep(0.005)
        if number == "3":
            raise ValueError("never to be had")
        yield {"text": text_of(number)}

    return service


async def main(folder: Path, history: str, what: str) -> None:
    """Start, or recover until there is something; wait for its end."""

    def told(done: int, _total: int) -> None:
        with (folder / "told").open("a") as file:
            file.write(f"{done}\n")

    async with service_at(folder, history) as service:
        await service.setup()
        if what == "start":
            items = [(ExportSource("noted", str(n)), "jsonl") for n in range(COUNT)]
            job = await service.export_batch(items, on_progress=told, metadata={"n": 1})
        else:
            while not (jobs := await service.recover()):
                await asyncio.sleep(0.05)
            (job,) = jobs
        print(job.id, flush=True)
        done = await service.wait(job.id)
        print(done.status, flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
