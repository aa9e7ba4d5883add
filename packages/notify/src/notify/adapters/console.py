"""Messages on the terminal, for development."""

import sys
from typing import TextIO

from ..ports import (
    Channel,
    Message,
)


class ConsoleChannel(Channel):
    """Prints messages in place of sending them, with addresses and texts: not for production."""

    def __init__(self, name: str = "email", *, stream: TextIO | None = None) -> None:
        """Serve the channel ``name``; ``stream`` is standard output if None."""
        super().__init__(name, "console")
        self._stream = stream

    async def send(self, message: Message) -> str | None:
        lines = [
            f"--- {self.name} to {message.recipient.address} ---",
            f"Subject: {message.subject}",
            "",
            message.text,
            "---",
        ]
        # one write, so that messages sent at once do not mix
        (self._stream or sys.stdout).write("".join(f"{line}\n" for line in lines))
        return None
