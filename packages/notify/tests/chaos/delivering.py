"""What the processes of the chaos tests do: deliver, or send."""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from notify import (
    Channel,
    Message,
    Notification,
    NotificationService,
    Recipient,
    RecipientDirectory,
)


class Everybody(RecipientDirectory):
    async def lookup(self, user_id: str, channel: str) -> Recipient | None:
        return Recipient(f"{user_id}@example.com")


class Ledger(Channel):
    """A provider that remembers, outside the process, every message that it accepted."""

    def __init__(self, path: Path, pause: float) -> None:
        super().__init__("email", "ledger")
        self._file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
        self._pause = pause

    async def send(self, message: Message) -> str | None:
        os.write(self._file, f"{message.key} {message.subject} {os.getpid()}\n".encode())
        # accepted, and not yet marked: here the process is killed
        await asyncio.sleep(self._pause)
        return None


async def _deliver(
    database: str, ledger: str, pause: float, rates: Mapping[str, Any] | None, lease: float
) -> None:
    service = NotificationService(channels=[Ledger(Path(ledger), pause)], directory=Everybody())
    service.configure(
        {
            "storage": {"connection_string": f"sqlite:///{database}?synchronous=NORMAL"},
            "rates": rates or {},
            "delivery": {
                "lease": lease,
                "timeout": 0.9 * lease,
                "poll_interval": 0.05,
                "concurrency": 4,
            },
        }
    )
    async with service:
        await service.run()


async def _send(url: str, count: int) -> None:
    async with NotificationService.from_url(url) as service:
        for n in range(count):
            sent = await service.send(Notification(title=str(n), user_id="ann"))
        await service.mark_as_read(sent.id, "ann")


def deliver(
    database: str,
    ledger: str,
    pause: float,
    rates: Mapping[str, Any] | None = None,
    lease: float = 1.0,
) -> None:
    """Deliver until killed, within ``rates``; the ledger shows what the provider took."""
    asyncio.run(_deliver(database, ledger, pause, rates, lease))


def send(url: str, count: int) -> None:
    """Send ``count`` to ann and read the last one."""
    asyncio.run(_send(url, count))
