"""Who hands messages to a provider, and what a message is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from ..models import Attachment, Recipient
from .capabilities import Capabilities


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a channel sends: rendered, checked, to one address.

    Attributes:
        key: Stable over attempts; providers that drop duplicates get it.
        recipient: Where to.
        subject: One line.
        text: Plain text.
        html: The same as HTML, if there is any.
        action_url: An absolute link or a path.
        action_label: One line for the link.
        metadata: The notification's.
        type: The notification's.
        category: The notification's.
        critical: Whether it is urgent.
        created_at: Seconds since the epoch.
        attachments: Files.
        notification_id: Of the notification; of the newest one in a digest.
        expires_at: Seconds since the epoch after which nobody wants it any more.
        unsubscribe_url: Where one click ends the category over this channel; mail shows it.
    """

    key: str
    recipient: Recipient
    subject: str
    text: str
    html: str | None = None
    action_url: str | None = None
    action_label: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    type: str = "info"
    category: str | None = None
    critical: bool = False
    created_at: float = 0.0
    attachments: Sequence[Attachment] = ()
    notification_id: str = ""
    expires_at: float | None = None
    unsubscribe_url: str | None = None


class Channel(ABC):
    """Hands messages to one provider.

    Several channels of one ``name`` are tried in order. Constructors do no I/O. Safe for concurrent
    use within one event loop; each call is given a time limit from outside.
    """

    capabilities: ClassVar[Capabilities] = Capabilities()

    def __init__(self, name: str, provider: str) -> None:
        """Serve the notification channel ``name`` (``email``) by ``provider`` (``smtp``)."""
        self.name, self.provider = name, provider

    @abstractmethod
    async def send(self, message: Message) -> str | None:
        """Hand ``message`` over; return the provider's id of it, if it gives one.

        Raises:
            ChannelError: It was not taken; its class decides what follows. Its text and cause hold
                neither addresses nor content.
        """

    async def aclose(self) -> None:
        """Disconnect; a later call connects again."""

    def detach(self) -> None:
        """Forget, without I/O, what is bound to another event loop or process."""
