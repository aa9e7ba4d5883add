"""What is said on a kept SMTP connection: one mail after the other, in few steps.

aiosmtplib connects, upgrades to TLS and signs in; it then hands the connection over. Where the
server offers PIPELINING (RFC 2920) the envelope is one step, else three.
"""

import asyncio
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

from .mail_headers import POLICY, is_plain

_GO_ON, _CLOSING = 354, 421
_RCPT = 1  # its place in an envelope
_LONGEST = 32_768  # bytes of an answer; RFC 5321, section 4.5.3.1.5, allows 512 a line
_BARE = re.compile(rb"\r\n|\n|\r")
_POLICIES = {
    (utf8, eight): POLICY.clone(utf8=utf8, cte_type="8bit" if eight else "7bit")
    for utf8 in (False, True)
    for eight in (False, True)
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server said to one command."""

    code: int
    words: str

    @property
    def is_good(self) -> bool:
        """Whether it did what it was asked."""
        return 200 <= self.code < 300


class Session(asyncio.Protocol):
    """A connection after EHLO and AUTH. Used by one task at a time.

    Any exception but a refusal leaves it in the middle of something: it is closed then.
    """

    def __init__(self, smtp: Any, client: Any, timeout: float) -> None:
        """Take over the connection of ``client``.

        Args:
            smtp: The library, whose errors are raised.
            client: Connected, and signed in.
            timeout: Seconds for each answer.
        """
        self._smtp, self._timeout = smtp, timeout
        has = client.supports_extension
        self._pipelines, self._sizes = has("pipelining"), has("size")
        self._eight, self._utf8 = has("8bitmime"), has("smtputf8")
        self._said = bytearray()
        self._answers = deque[Answer]()
        self._waiter: asyncio.Future[None] | None = None
        self._wrong = ""
        found: asyncio.Transport | None = client.protocol.transport
        if found is None or found.is_closing():
            raise smtp.SMTPServerDisconnected("the connection is lost")
        self.transport = found
        found.set_protocol(self)

    @property
    def is_open(self) -> bool:
        """Whether it can be used: nobody hung up, and nothing came that was not asked for."""
        unasked = self._answers or self._said
        return not (self._wrong or unasked or self.transport.is_closing())

    async def deliver(self, mail: EmailMessage, sender: str, recipient: str) -> None:
        """Hand a mail over.

        Raises:
            SMTPException: As the library: it was refused, or nobody knows.
            ValueError: An address cannot be written.
        """
        plain = recipient.isascii() and sender.isascii()
        if not plain and not self._utf8:
            raise self._smtp.SMTPNotSupported("SMTPUTF8 is not supported by this server")
        content = mail.as_bytes(policy=_POLICIES[not plain, self._eight])
        if not content.count(b"\r\n") == content.count(b"\n") == content.count(b"\r"):
            content = _BARE.sub(b"\r\n", content)
        options = b" SIZE=%d" % len(content) if self._sizes else b""
        options += b" BODY=8BITMIME" if self._eight else b""
        options += b"" if plain else b" SMTPUTF8"
        mail_from = b"MAIL FROM:%s%s\r\n" % (self._path(sender), options)
        rcpt_to = b"RCPT TO:%s\r\n" % self._path(recipient)
        await self._envelope((mail_from, rcpt_to, b"DATA\r\n"), recipient)
        # a line that begins with a dot gets a second one: RFC 5321, section 4.5.2
        stuffed = content.replace(b"\r\n.", b"\r\n..")
        said = await self._ask(stuffed, b".\r\n" if stuffed.endswith(b"\r\n") else b"\r\n.\r\n")
        if not said.is_good:
            raise self._refused(said)

    async def reset(self) -> None:
        """Ask whether the server is still there, and forget what it was told of a mail."""
        said = await self._ask(b"RSET\r\n")
        if not said.is_good:
            raise self._refused(said)

    async def quit(self) -> None:
        """Say goodbye, and close the connection."""
        try:
            await self._ask(b"QUIT\r\n")
        finally:
            self.close()

    def close(self) -> None:
        """Close the connection; what the server does not take is not kept for it."""
        if self.transport.is_closing():
            return
        if self.transport.get_write_buffer_size():
            self.transport.abort()  # closed, it would wait until all is taken
        else:
            self.transport.close()

    async def _envelope(self, commands: Sequence[bytes], recipient: str) -> None:
        """Say from whom and to whom, until the server waits for the content."""
        said = list[Answer]()
        if self._pipelines:
            self._write(*commands)
            said = await self._answers_to(len(commands))
        else:
            while len(said) < len(commands) and all(each.is_good for each in said):
                said.append(await self._ask(commands[len(said)]))
        goes_on = len(said) == len(commands) and said[-1].code == _GO_ON
        for place, each in enumerate(said):
            if each.is_good or (goes_on and each is said[-1]):
                continue
            if goes_on:
                # "the client … should send a single dot": RFC 2920, section 3.1
                await self._ask(b".\r\n")
            raise self._refused(each, recipient if place == _RCPT else None)
        if not goes_on:
            raise self._refused(said[-1])

    async def _answers_to(self, count: int) -> list[Answer]:
        """Return the answers to so many commands; fewer if it hangs up on a refusal."""
        said = list[Answer]()
        while len(said) < count and not (said and said[-1].code == _CLOSING):
            try:
                said.append(await self._answer())
            except self._smtp.SMTPServerDisconnected:
                if all(each.is_good for each in said):
                    raise
                break
        return said

    def _path(self, address: str) -> bytes:
        if is_plain(address):
            return b"<%s>" % address.encode()
        # a quoted name, say; what would end the command is refused with ValueError
        made: str = self._smtp.email.quote_address(address)
        if not made.isprintable():
            raise ValueError("not an address")
        return made.encode()

    def _refused(self, said: Answer, recipient: str | None = None) -> Exception:
        smtp: Any = self._smtp
        if recipient is None or said.code == _CLOSING:
            made: Exception = smtp.SMTPResponseException(said.code, said.words)
            return made
        one = smtp.SMTPRecipientRefused(said.code, said.words, recipient)
        many: Exception = smtp.SMTPRecipientsRefused([one])
        return many

    async def _ask(self, *parts: bytes) -> Answer:
        self._write(*parts)
        return await self._answer()

    def _write(self, *parts: bytes) -> None:
        if not self.is_open:
            raise self._smtp.SMTPServerDisconnected(self._wrong or "the connection is lost")
        self.transport.write(b"".join(parts))

    async def _answer(self) -> Answer:
        if not self._answers and not self._wrong:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(self._timeout):
                    await self._waiter
            except TimeoutError:
                raise self._smtp.SMTPReadTimeoutError("no answer in time") from None
            finally:
                self._waiter = None
        if not self._answers:
            raise self._smtp.SMTPServerDisconnected(self._wrong or "the connection is lost")
        return self._answers.popleft()

    def data_received(self, data: bytes) -> None:
        """Take answers apart."""
        self._said += data
        end = self._said.rfind(b"\n") + 1
        if not end:
            if len(self._said) > _LONGEST:
                self._fail("an answer without an end")
            return
        lines = bytes(self._said[:end]).split(b"\n")[:-1]
        start = 0
        for place, line in enumerate(lines):
            if line[3:4] == b"-":
                continue
            self._take(lines[start : place + 1])
            start = place + 1
        rest = lines[start:]
        self._said[:end] = b"".join(each + b"\n" for each in rest)
        if len(self._said) > _LONGEST:
            self._fail("an answer without an end")
        self._wake()

    def _take(self, lines: list[bytes]) -> None:
        code = lines[-1][:3]
        if self._wrong:
            return  # after an answer that was none it may be the answer to anything
        # RFC 5321, section 4.2.1: the first digit is 2 to 5
        if not code.isdigit() or not 200 <= int(code) < 600 or len(self._answers) > 10:
            self._fail("an answer that is none")
            return
        words = b"\n".join(each[4:].strip() for each in lines)
        self._answers.append(Answer(int(code), words.decode("utf-8", "replace")))

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that nothing more comes."""
        self._wrong = self._wrong or "the connection is lost"
        self._wake()

    def _fail(self, why: str) -> None:
        self._wrong = why
        self._answers.clear()
        self.transport.abort()

    def _wake(self) -> None:
        news = bool(self._answers or self._wrong)
        if news and self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
