"""A real SMTP server (aiosmtpd) with faults on demand."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest

aiosmtpd = pytest.importorskip("aiosmtpd.smtp")


@dataclass
class Sink:
    """What arrived, and what to answer: scripts of the next answers per command."""

    port: int = 0
    mails: list[EmailMessage] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    rcpts: list[list[str]] = field(default_factory=list)
    mail_answers: list[str] = field(default_factory=list)
    rcpt_answers: list[str] = field(default_factory=list)
    data_answers: list[str] = field(default_factory=list)
    secure: list[bool] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    connections: int = 0
    resets: int = 0

    async def handle_RSET(self, server, session, envelope):
        self.resets += 1
        return "250 OK"

    async def handle_MAIL(self, server, session, envelope, address, options):
        if self.mail_answers:
            return self.mail_answers.pop(0)
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        if self.rcpt_answers and (said := self.rcpt_answers.pop(0)):
            return said
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        said = self.data_answers.pop(0) if self.data_answers else ""
        if said == "hang":
            await asyncio.sleep(3600)
        self._take(session, envelope)
        if said == "cut":
            server.transport.abort()
            return "250 gone"
        if said:
            self.mails.pop()
            self.raw.pop()
            return said
        return "250 OK"

    def _take(self, session, envelope) -> None:
        self.raw.append(envelope.content)
        self.rcpts.append(list(envelope.rcpt_tos))
        self.mails.append(message_from_bytes(envelope.content, policy=policy.default))
        self.secure.append(session.ssl is not None)


@contextlib.asynccontextmanager
async def running(
    sink: Sink | None = None,
    *,
    tls: ssl.SSLContext | None = None,
    starttls: ssl.SSLContext | None = None,
    password: str | None = None,
    strip_starttls: bool = False,
    utf8: bool = True,
) -> AsyncIterator[Sink]:
    """Serve on an ephemeral port of this event loop."""
    made = sink or Sink()

    def authenticate(server, session, envelope, mechanism, data) -> Any:
        name, secret = data.login.decode(), data.password.decode()
        made.logins.append((name, secret))
        return aiosmtpd.AuthResult(success=secret == password, handled=False)

    open_ = set()

    def factory():
        made.connections += 1
        server = aiosmtpd.SMTP(
            made,
            hostname="sink.test",
            enable_SMTPUTF8=utf8,
            tls_context=None if strip_starttls else starttls,
            require_starttls=starttls is not None and not strip_starttls,
            authenticator=authenticate if password else None,
            auth_required=password is not None,
            auth_require_tls=starttls is not None,
            loop=asyncio.get_running_loop(),
        )
        open_.add(server)
        return server

    listener = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0, ssl=tls)
    made.port = listener.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        listener.close()
        for server in open_:
            if server.transport is not None:
                server.transport.abort()
            if (task := getattr(server, "_handler_coroutine", None)) is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
