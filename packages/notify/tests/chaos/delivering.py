"""A delivery worker process: ``delivering.py DATABASE LEDGER PAUSE``. Started by the tests."""

import asyncio
import os
import sys
from pathlib import Path

from notify import Channel, Message, NotificationService, Recipient, RecipientDirectory


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


async def main(database: str, ledger: str, pause: float) -> None:
    service = NotificationService(channels=[Ledger(Path(ledger), pause)], directory=Everybody())
    service.configure(
        {
            "storage": {"connection_string": f"sqlite:///{database}?synchronous=NORMAL"},
            "delivery": {"lease": 1.0, "timeout": 0.9, "poll_interval": 0.05, "concurrency": 4},
        }
    )
    async with service:
        await service.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
