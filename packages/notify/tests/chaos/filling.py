"""A process whose files may grow no further, until it asks for more room."""

import asyncio
import contextlib
import json
import resource
import signal
from pathlib import Path

from notify import BackendError, Notification, NotificationService

ROOM = 400_000  # bytes of each file, the journal's too
PIECE = "m" * 2_000


def _note(n: int) -> Notification:
    return Notification(
        id=f"n{n}", title="t", message=PIECE, user_id="ann", channels=["in-app", "email"],
        idempotency_key=f"k{n}",
    )  # fmt: skip


async def _fill(url: str, bulk: bool) -> dict[str, list[str]]:
    told: dict[str, list[str]] = {"acknowledged": [], "refused": [], "again": []}
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    async with NotificationService.from_url(url) as service:
        await service.get_stats()
        resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, hard))
        count = 0
        while not told["refused"] and count < 2000:
            notes = [_note(count + n) for n in range(10 if bulk else 1)]
            count += len(notes)
            names = [each.id for each in notes]
            try:
                await (service.send_bulk(notes) if bulk else service.send(notes[0]))
            except BackendError:
                told["refused"] += names
            else:
                told["acknowledged"] += names
        # it stays full for some more: each is refused or stored, nothing between
        for n in range(count, count + 5):
            with contextlib.suppress(BackendError):
                await service.send(_note(n))
                told["acknowledged"].append(f"n{n}")
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        for name in told["refused"]:
            await service.send(_note(int(name[1:])))
            told["again"].append(name)
    return told


def send_until_full(url: str, report: str, bulk: bool) -> None:
    """Send until the store refuses, and again when there is room."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    told = asyncio.run(_fill(url, bulk))
    Path(report).write_text(json.dumps(told), encoding="utf-8")
