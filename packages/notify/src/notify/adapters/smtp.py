"""E-mail by SMTP: kept connections, STARTTLS, TLS, AUTH, and what refusals mean."""

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncGenerator
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from .._common.extras import require
from .._common.urls import flag, query_of, redact
from ..errors import ChannelError, ConfigurationError
from ..ports import Capabilities, Channel, Message
from .mail import build_mail, sender_of
from .smtp_session import Session

Security = Literal["starttls", "tls", "none"]
_ENHANCED = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
_PORTS = {"starttls": 587, "tls": 465, "none": 25}
# the mailbox does not exist or its name is impossible: RFC 5321, section 4.2.2
_NO_MAILBOX = {550, 551, 553}
# x.1.7 and x.1.8 are of the sender's address, whatever they answer: RFC 3463, section 3.2
_OF_SENDER = {"7", "8"}
# servers without such codes refuse at RCPT also for what the operator has to mend
_NOT_OF_RECIPIENT = re.compile(
    r"\b(relay|authenti|sender|polic|spam|block|blacklist|prohibit|not (allowed|permitted))",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"<[^>]*>|\S+@\S+")
_NOT_ALLOWED_YET, _CLOSES = 530, 421
_FRESH = 1.0
"""Seconds for which a connection is used again without a question: servers wait for minutes."""
_OPTIONS = frozenset({"security", "pool", "timeout", "verify"})


class SMTPChannel(Channel):
    """Sends e-mail through one server on a few kept connections.

    The server's certificate is checked, and with ``starttls`` (the default) nothing is sent to a
    server that does not offer it.
    """

    capabilities = Capabilities(attachments=True)

    def __init__(
        self,
        host: str,
        port: int | None = None,
        *,
        from_address: str,
        username: str | None = None,
        password: str | None = None,
        security: Security = "starttls",
        pool: int = 4,
        timeout: float = 20.0,
        tls_context: ssl.SSLContext | None = None,
        name: str = "email",
    ) -> None:
        """Describe the server; the first message connects.

        Args:
            host: The server.
            port: Its port; 587 for STARTTLS, 465 for TLS, 25 for none if None.
            from_address: The sender, ``Name <noreply@example.com>``.
            username: For AUTH; none is done if None.
            password: For AUTH.
            security: ``starttls``, ``tls`` from the first byte, or ``none``.
            pool: The most connections at once.
            timeout: Seconds for connecting and for each answer.
            tls_context: How certificates are checked; the system's way if None.
            name: The notification channel that it serves.

        Raises:
            ConfigurationError: The sender is no address, or another argument is out of range.
        """
        super().__init__(name, "smtp")
        if not host or not isinstance(host, str):
            raise ConfigurationError("an SMTP channel needs a host, like mail.example.com")
        _check_numbers(port, pool, timeout)
        if security not in _PORTS:
            raise ConfigurationError(f"security must be starttls, tls or none, not {security!r}")
        if (
            username is not None
            and security == "none"
            and host not in {"localhost", "127.0.0.1", "::1"}
        ):
            raise ConfigurationError(
                "AUTH without TLS would show the password; use starttls or tls"
            )
        self._sender = sender_of(from_address)
        self._security, self._timeout = security, timeout
        self._options: dict[str, Any] = {
            "hostname": host,
            "port": port or _PORTS[security],
            "use_tls": security == "tls",
            # aiosmtplib's None would upgrade only if the server offers it
            "start_tls": security == "starttls",
            "username": username,
            "password": password,
            "timeout": timeout,
            "tls_context": tls_context,
        }
        self._size = pool
        # with the time, of the running loop, until which they are used without a question
        self._idle: list[tuple[Session, float]] = []
        self._gate = asyncio.Semaphore(pool)

    @classmethod
    def from_url(cls, url: str, *, from_address: str, name: str = "email") -> "SMTPChannel":
        """Return a channel for ``smtp://user:password@host:587?security=starttls`` or ``smtps://``.

        Options: ``security``, ``pool`` (connections), ``timeout`` (seconds), ``verify`` (``off``
        accepts any certificate).

        Raises:
            ConfigurationError: The URL names no host, or an option or its value is unknown.
        """
        options, parts = query_of(url, allowed=_OPTIONS), urlsplit(url)
        if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
            raise ConfigurationError(f"expected smtp://host or smtps://host, not {redact(url)!r}")
        context = None
        if not flag(options, "verify", default=True):
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        chosen: Any = options.get("security", "tls" if parts.scheme == "smtps" else "starttls")
        try:
            pool, timeout = int(options.get("pool", "4")), float(options.get("timeout", "20"))
            port = parts.port
        except ValueError as exc:
            raise ConfigurationError(f"not a number in {redact(url)!r}") from exc
        return cls(
            parts.hostname,
            port,
            from_address=from_address,
            username=None if parts.username is None else unquote(parts.username),
            password=None if parts.password is None else unquote(parts.password),
            security=chosen,
            pool=pool,
            timeout=timeout,
            tls_context=context,
            name=name,
        )

    async def send(self, message: Message) -> str | None:
        smtp = require("aiosmtplib", dist="notify", extra="smtp")
        try:
            async with self._gate:
                # made when it is its turn: many that wait would all be in memory
                mail = build_mail(message, self._sender)
                async with self._session(smtp) as session:
                    await session.deliver(mail, self._sender.addr_spec, message.recipient.address)
        except (smtp.SMTPException, OSError, ValueError) as exc:
            # `from None`: the server's words and the library's often quote the address
            raise translate(exc, smtp, plain=message.recipient.address.isascii()) from None
        return str(mail["Message-ID"])

    @contextlib.asynccontextmanager
    async def _session(self, smtp: Any) -> AsyncGenerator[Session, None]:
        session = await self._ready(smtp)
        try:
            yield session
        except smtp.SMTPResponseException as exc:
            # a refusal leaves the connection in order; 421 says that the server closes it
            self._keep(session, usable=exc.code != _CLOSES)
            raise
        except (smtp.SMTPRecipientsRefused, smtp.SMTPNotSupported):
            self._keep(session, usable=True)
            raise
        except BaseException:
            session.close()
            raise
        self._keep(session, usable=True, fresh=_FRESH)

    async def _ready(self, smtp: Any) -> Session:
        while self._idle:
            session, until = self._idle.pop()
            if session.is_open:
                if asyncio.get_running_loop().time() < until:
                    return session
                try:
                    await session.reset()  # servers close idle connections without a word
                except (smtp.SMTPException, OSError):
                    session.close()
                    continue
                except BaseException:
                    session.close()
                    raise
                return session
        return await self._connected(smtp)

    async def _connected(self, smtp: Any) -> Session:
        client = smtp.SMTP(**self._options)
        try:
            await client.connect()
            if client.is_ehlo_or_helo_needed:
                await _greet(smtp, client)
            return Session(smtp, client, self._timeout)
        except smtp.SMTPResponseException as exc:
            client.close()
            # the greeting, STARTTLS or AUTH: the server has heard nothing of the message yet
            raise ChannelError(str(translate(exc, smtp)), retryable=True) from None
        except BaseException:
            client.close()
            raise

    def _keep(self, session: Session, *, usable: bool, fresh: float = 0.0) -> None:
        if usable and session.is_open and len(self._idle) < self._size:
            self._idle.append((session, asyncio.get_running_loop().time() + fresh))
        else:
            session.close()

    async def aclose(self) -> None:
        idle, self._idle = self._idle, []
        for session, _ in idle:
            with contextlib.suppress(Exception):
                await session.quit()
            session.close()

    def detach(self) -> None:
        for session, _ in self._idle:
            with contextlib.suppress(Exception):
                session.close()
        self._idle, self._gate = [], asyncio.Semaphore(self._size)


async def _greet(smtp: Any, client: Any) -> None:
    """Introduce ourselves, if need be in the words of old servers."""
    try:
        await client.ehlo()
    except smtp.SMTPHeloError:
        if not client.is_connected:
            raise
        await client.helo()


def _check_numbers(port: Any, pool: Any, timeout: Any) -> None:
    if port is not None and not (isinstance(port, int) and 0 < port <= 65_535):
        raise ConfigurationError(f"port is 1 to 65535, not {port!r}")
    if not (isinstance(pool, int) and 1 <= pool <= 100):
        raise ConfigurationError(f"pool is 1 to 100 connections, not {pool!r}")
    if not (isinstance(timeout, int | float) and 0 < timeout <= 600):
        raise ConfigurationError(f"timeout is over 0, up to 600 seconds, not {timeout!r}")


def translate(exc: Any, smtp: Any, *, plain: bool = True) -> ChannelError:
    """Return what a failure of the library means; the server's words are not in it.

    Args:
        exc: What the library raised.
        smtp: The library.
        plain: Whether the address is ASCII, so that any server can take it.
    """
    if isinstance(exc, smtp.SMTPAuthenticationError | smtp.SMTPHeloError):
        # the operator's mistake, not the message's: it waits for the right password
        what = "the greeting was" if isinstance(exc, smtp.SMTPHeloError) else "credentials"
        return ChannelError(f"smtp {exc.code}: {what} refused", retryable=True)
    refused = exc.recipients[0] if isinstance(exc, smtp.SMTPRecipientsRefused) else exc
    if isinstance(refused, smtp.SMTPResponseException):
        return _by_code(refused.code, str(refused.message), at_rcpt=refused is not exc)
    if isinstance(exc, smtp.SMTPNotSupported) and not plain:
        return ChannelError("smtp: the server cannot take such an address")
    if isinstance(exc, smtp.SMTPNotSupported) or type(exc) is smtp.SMTPException:
        # nothing was sent, and the server may be mended
        text = "smtp: the server does not offer what is required of it, STARTTLS or AUTH"
        return ChannelError(text, retryable=True)
    if isinstance(exc, ValueError) and not isinstance(exc, OSError):  # certificates are both
        return ChannelError("smtp: the message cannot be sent as it is")
    late = isinstance(exc, smtp.SMTPTimeoutError | TimeoutError)
    what = "no answer in time" if late else type(exc).__name__
    return ChannelError(f"smtp: {what}", retryable=True)


def _by_code(code: int, words: str, *, at_rcpt: bool) -> ChannelError:
    found = _ENHANCED.search(words)
    text = f"smtp {code}{f' {found[0]}' if found else ''}"
    # 530: it wants AUTH or STARTTLS (RFC 4954, section 6), as the operator has not set it up
    if code < 500 or code == _NOT_ALLOWED_YET:
        return ChannelError(text, retryable=True)
    bad = at_rcpt and _is_of_recipient(code, found, words)
    return ChannelError(text, invalid_recipient=bad)


def _is_of_recipient(code: int, found: re.Match[str] | None, words: str) -> bool:
    """Whether a refusal at RCPT is of the address, which nobody writes to any more then."""
    # RFC 3463: x.1.x speaks of addresses, x.2.1 of a disabled mailbox; 5.7.x is policy
    if found is not None and (found[2] != "1" or found[3] != "0"):
        return found[0] == "5.2.1" or (found[2] == "1" and found[3] not in _OF_SENDER)
    known = code in _NO_MAILBOX or found is not None
    return known and _NOT_OF_RECIPIENT.search(_ADDRESS.sub("", words)) is None
