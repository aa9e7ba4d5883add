"""Processes that kill themselves, by SIGKILL, at one step between store, provider and mark."""

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from chaos.delivering import Everybody, Ledger
from notify import Channel, DeliveryStatus, Message, Notification, NotificationService
from notify.stored import Verdict

CUTS = (
    "before claim",
    "after claim",
    "before provider",
    "after provider",
    "before mark",
    "after mark",
)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Cut(Channel):
    """Hands messages to the ledger, and dies before or after one of them."""

    def __init__(self, ledger: Ledger, cut: str) -> None:
        super().__init__("email", "ledger")
        self._ledger, self._cut, self._count = ledger, cut, 0

    async def send(self, message: Message) -> str | None:
        self._count += 1
        count = self._count  # others go on meanwhile
        if count == 3 and self._cut == "before provider":
            die()
        made = await self._ledger.send(message)
        if count == 3 and self._cut == "after provider":
            die()
        return made


def cut_store(store: Any, cut: str, at: int) -> None:
    """Make the ``at``-th claim or mark the last thing that the process does."""
    when, _, what = cut.partition(" ")
    name = {"claim": "claim", "mark": "finish", "add": "add"}.get(what)
    if name is None:
        return
    original, count = getattr(store, name), 0

    async def cutting(*args: Any, **kwargs: Any) -> Any:
        nonlocal count
        if what == "mark" and not _has_gone_out(args[0]):
            # a slow connection may eat the lease before the provider is called: not what is cut
            return await original(*args, **kwargs)
        count += 1
        mine = count  # others go on meanwhile
        if mine == at and when == "before":
            die()
        made = await original(*args, **kwargs)
        if mine == at:
            die()
        return made

    setattr(store, name, cutting)


def _has_gone_out(verdicts: Sequence[Verdict]) -> bool:
    return any(each.status is DeliveryStatus.DELIVERED for each in verdicts)


def settings_of(url: str) -> dict[str, Any]:
    return {
        "storage": {"connection_string": url},
        "delivery": {"lease": 1.0, "timeout": 0.9, "poll_interval": 0.05, "concurrency": 2},
    }


async def _deliver(url: str, ledger: str, cut: str) -> None:
    channel = Cut(Ledger(Path(ledger), 0.0), cut)
    service = NotificationService(channels=[channel], directory=Everybody())
    service.configure(settings_of(url))
    async with service:
        await service.get_stats()  # connected: what is cut is the work
        cut_store(service.store, cut, 2)
        await service.run()


def deliver_until_cut(url: str, ledger: str, cut: str) -> None:
    """Deliver, and die at ``cut``; never, if it is empty."""
    asyncio.run(_deliver(url, ledger, cut))


async def _send(url: str, cut: str) -> None:
    async with NotificationService.from_url(url) as service:
        await service.get_stats()
        cut_store(service.store, cut, 3)
        for n in range(5):
            await service.send_bulk(
                [
                    Notification(
                        id=f"n{n}-{m}", title="t", user_id=f"u{m}", channels=["in-app", "email"],
                        idempotency_key=f"k{n}-{m}",
                    )
                    for m in range(4)
                ]
            )  # fmt: skip


def send_until_cut(url: str, cut: str) -> None:
    """Send in bulk, and die before or after a call of the store."""
    asyncio.run(_send(url, cut))
