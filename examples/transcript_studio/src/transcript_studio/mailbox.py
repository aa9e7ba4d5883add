"""A mail server for the demo: takes mails on loopback and keeps them in memory."""

import contextlib
from collections.abc import Iterator
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller


class Mailbox:
    """What was mailed."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.mails: list[EmailMessage] = []
        self.url = ""

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: ARG002, N802  aiosmtpd's
        """Take a mail."""
        mail = BytesParser(policy=default).parsebytes(envelope.content)
        self.mails.append(mail)
        return "250 taken"

    @contextlib.contextmanager
    def listening(self) -> Iterator["Mailbox"]:
        """Take mails on a free port of loopback for as long as the block."""
        controller = _Controller(self, hostname="127.0.0.1", port=0)
        controller.start()
        try:
            self.url = f"smtp://127.0.0.1:{controller.port}?security=none"
            yield self
        finally:
            controller.stop()


class _Controller(Controller):
    def _trigger_server(self) -> None:
        # the base class connects to the port it was given, which is 0 here
        server: Any = self.server
        self.port = server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]  # aiosmtpd
