"""The long tail: some hundred services by Apprise, with its pauses off."""

import asyncio
import threading
from typing import Any, Self

from .._common.extras import require
from ..errors import ChannelError, ConfigurationError
from ..ports import Capabilities, Channel, Message
from ..settings import ChannelSettings

_loading = threading.Lock()  # the first call imports its plugins, which is not safe for threads
_TYPES = {"success": "success", "warning": "warning", "error": "failure"}


class AppriseChannel(Channel):
    """Sends through Apprise; addresses are its URLs, as ``discord://id/token``.

    Its plugins block and pause between messages: they run in threads, without the pauses. They say
    only yes or no, so that what was not taken is always tried again.
    """

    capabilities = Capabilities(attachments=True)

    def __init__(self, *, url: str | None = None, name: str = "chat") -> None:
        """Serve the channel ``name``.

        Args:
            url: Where everything is sent, whatever the recipient's address is.
            name: The notification channel that it serves.
        """
        super().__init__(name, "apprise")
        self._url = url

    @classmethod
    def from_settings(cls, section: ChannelSettings, name: str) -> Self:
        """Return the channel of a section of the settings, which knows ``url``.

        Raises:
            ConfigurationError: An option is given: there are none.
        """
        if section.options:
            raise ConfigurationError(f"{name} provider 'apprise' has no options")
        return cls(url=section.url, name=name)

    async def send(self, message: Message) -> str | None:
        library = require("apprise", dist="notify", extra="apprise")
        try:
            done = await asyncio.to_thread(self._notify, library, message)
        except (OSError, ValueError, TypeError, AttributeError) as exc:
            raise ChannelError(f"apprise: {type(exc).__name__}", retryable=True) from None
        if not done:
            raise ChannelError("apprise: not taken", retryable=True)
        return None

    def _notify(self, library: Any, message: Message) -> bool:
        with _loading:
            made = library.Apprise.instantiate(
                self._url or message.recipient.address, suppress_exceptions=True
            )
        if made is None:
            # its text would be the URL, with the secrets in it
            raise ChannelError("apprise: not one of its URLs", invalid_recipient=True)
        made.request_rate_per_sec = 0  # seconds that it would sleep between messages
        sender = library.Apprise()
        sender.add(made)
        body: dict[str, Any] = {
            "title": message.subject,
            "body": message.text or message.subject,
            "notify_type": _TYPES.get(message.type, "info"),
            "body_format": "text",
        }
        if message.attachments:
            memory = require("apprise.attachment.memory", dist="notify", extra="apprise")
            body["attach"] = [
                memory.AttachMemory(
                    content=each.content, name=each.filename, mimetype=each.content_type
                )
                for each in message.attachments
            ]
        return bool(sender.notify(**body))
