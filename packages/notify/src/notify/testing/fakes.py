"""A provider with a script, and a service on a clock that stands still."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from .._common.clock import FakeClock
from ..directory import MemoryDirectory
from ..errors import ChannelError
from ..models import Recipient
from ..ports import Capabilities, Channel, Message
from ..service import NotificationService
from .made import NOW

Outcome = ChannelError | Exception | str | None | Callable[[Message], Awaitable[str | None]]


class FakeChannel(Channel):
    """A provider with a script: each message takes the next outcome, then all are taken.

    An outcome is None or the provider's id (taken), an exception (raised), or a coroutine function
    that is awaited with the message and returns or raises such.
    """

    capabilities = Capabilities(attachments=True)

    def __init__(self, name: str = "email", *outcomes: Outcome, provider: str = "fake") -> None:
        """Serve the channel ``name`` with ``outcomes`` in order."""
        super().__init__(name, provider)
        self.script = list(outcomes)
        self.calls: list[Message] = []
        self.sent: list[Message] = []

    async def send(self, message: Message) -> str | None:
        """Take or refuse ``message``, as the script says."""
        self.calls.append(message)
        outcome = self.script.pop(0) if self.script else None
        if callable(outcome):
            outcome = await outcome(message)
        if isinstance(outcome, Exception):
            raise outcome
        self.sent.append(message)
        return outcome


class Outbox:
    """A service in memory on a clock that stands still, with a fake provider per channel.

    Attributes:
        clock: The service's clock.
        directory: Everybody has an address on every channel unless it is changed.
        channels: The fake providers by channel: ``email``, ``push``, ``sms``.
        service: The service; nothing goes out but in :meth:`deliver`.
    """

    def __init__(self, **settings: Any) -> None:
        """Make one; ``settings`` are sections of the settings."""
        self.clock, self.directory = FakeClock(NOW), _Everybody()
        self.channels = {name: FakeChannel(name) for name in ("email", "push", "sms")}
        self.service = NotificationService(
            channels=list(self.channels.values()), directory=self.directory, clock=self.clock
        )
        delivery = {"background": False, **settings.pop("delivery", {})}
        self.service.configure({"storage": {"type": "memory"}, "delivery": delivery, **settings})

    async def deliver(self, advance: float = 0.0) -> list[Message]:
        """Move time on by ``advance`` seconds, deliver what is due, and return what went out."""
        await self.clock.advance(advance)
        before = {name: len(each.sent) for name, each in self.channels.items()}
        await self.service.deliver_due()
        return [sent for name, each in self.channels.items() for sent in each.sent[before[name] :]]

    def sent_to(self, user_id: str, channel: str = "email") -> list[Message]:
        """Return what went out to a user over a channel."""
        found = self.channels[channel].sent
        return [each for each in found if each.recipient.address.startswith(f"{user_id}@")]


class _Everybody(MemoryDirectory):
    async def lookup(self, user_id: str, channel: str) -> Recipient | None:
        known = await super().lookup(user_id, channel)
        return known or Recipient(f"{user_id}@{channel}.example.com")


@pytest.fixture
async def outbox() -> AsyncIterator[Outbox]:
    """A fresh :class:`Outbox`."""
    made = Outbox()
    async with made.service:
        yield made
