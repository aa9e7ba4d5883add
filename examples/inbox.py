"""An inbox with e-mail beside it: notify without a server.

Run as a program, it plays an evening of a user: a page that is open, quiet hours, a reply.
"""

import asyncio
from datetime import UTC, datetime, timedelta

from notify import (
    MemoryDirectory,
    Notification,
    NotificationChannel,
    NotificationPreferences,
    NotificationService,
    QuietHours,
    Settings,
)
from notify.adapters.console import ConsoleChannel

IN_APP, EMAIL = NotificationChannel.IN_APP, NotificationChannel.EMAIL
service = NotificationService(
    Settings.from_url("memory://"),
    channels=[ConsoleChannel()],  # SMTPChannel.from_url("smtp://…") sends for real
    directory=MemoryDirectory({("ada", "email"): "ada@example.com"}),
)


def note(title: str, priority: str = "normal") -> Notification:
    """Return a notification for the bell and for the mailbox."""
    return Notification(
        title=title, user_id="ada", channels=[IN_APP, EMAIL], category="shop", priority=priority
    )


async def page(seen: asyncio.Queue[str]) -> None:
    """Do what an open page does: show what comes, with the unread count."""
    async for event in service.watch("ada", since=0):
        seen.put_nowait(f"{event.kind} ({event.unread} unread)")


async def main() -> None:
    """Send two notifications into quiet hours; only the critical one is mailed at once."""
    now = datetime.now(UTC)
    quiet = QuietHours(f"{now - timedelta(hours=1):%H:%M}", f"{now + timedelta(hours=1):%H:%M}")
    async with service:
        await service.set_preferences("ada", NotificationPreferences(quiet_hours=quiet))
        seen: asyncio.Queue[str] = asyncio.Queue()
        watching = asyncio.create_task(page(seen))
        shipped = await service.send(note("Your parcel is on its way"))
        await service.send(note("Somebody signed in from Mars", priority="critical"))
        print("page:", await seen.get(), "/", await seen.get())
        for each in await service.explain(shipped.id):
            print(f"{each.channel}: {each.status}")
        await service.mark_as_read(shipped.id, "ada")
        print("page:", await seen.get())
        watching.cancel()


if __name__ == "__main__":
    asyncio.run(main())
