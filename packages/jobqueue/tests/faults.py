"""What the fault tests of all brokers on servers share."""

import asyncio
import os
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from jobqueue.errors import BackendError
from jobqueue.models import JobFilters
from jobqueue.ports import Broker, Record

OWNED = Path(tempfile.gettempdir()) / f"owned-{os.getpid()}"
"""What the hostile values below would leave if somebody ran them; each test process has its own."""
PICKLE = b"\x80\x04cos\nsystem\n(S'touch %b'\ntR." % bytes(OWNED)
YAML = b"!!python/object/apply:os.system ['touch %b']" % bytes(OWNED)


PATIENCE = float(os.environ.get("CHAOS_PATIENCE", "60"))
"""Seconds after which what a test waits for will not come: a bound, not a figure."""
BUSY = 30.0
"""Seconds that a busy machine may add to what is promised."""


class Jumping:
    """A machine's clock that somebody sets wrong."""

    ahead = 0.0

    def time(self) -> float:
        return time.time() + self.ahead

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def listed(broker: Broker) -> list[Record]:
    return list(await broker.list_jobs(JobFilters(), 100, None))


async def has_ended(broker: Broker, job_id: str) -> bool:
    found = await broker.get(job_id)
    return found is not None and found.status == "completed"


async def until_it_works(work: Callable[[], Any]) -> Any:
    """Do what a worker does: try again while the broker says that it may help."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return await work()
        except BackendError as exc:
            if not exc.retryable or time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)


async def until(true: Callable[[], Awaitable[Any] | Any]) -> None:
    """Wait until it is true."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = true()
            if await found if isinstance(found, Awaitable) else found:
                return
            await asyncio.sleep(0.02)


def ledger(folder: Path, word: str) -> Counter[str]:
    """Return how often which job has noted ``word`` (see chaos_app)."""
    file = folder / "ledger"
    lines = file.read_text().splitlines() if file.exists() else []
    return Counter(line.split()[1] for line in lines if line.startswith(word))
