"""What every e-mail channel checks and writes."""

import re
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from typing import Any

from .._common.clock import utc
from ..errors import ChannelError, ConfigurationError
from ..ports import Message
from .mail_headers import POLICY, is_plain, receiver

# what the standard library's parser raises on malformed text
_MALFORMED = (ValueError, IndexError, MessageError)
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
_LONGEST = 320  # RFC 3696, errata 1690, allows 254; some have more


def sender_of(text: str) -> Address:
    """Return the address in ``Name <user@host>`` or ``user@host``.

    Raises:
        ConfigurationError: There is none.
    """
    given: Any = text  # an annotation binds nobody
    name, spec = parseaddr(text) if isinstance(given, str) else ("", "")
    try:
        if spec.count("@") == 1 and "=?" not in text and not any(ord(c) < 32 for c in text):
            return Address(name, addr_spec=spec)
    except _MALFORMED:
        pass
    raise ConfigurationError(f"from_address is no e-mail address: {text!r}")


def build_mail(message: Message, sender: Address) -> EmailMessage:
    """Return the e-mail of a message; its Message-ID is the same for every attempt.

    Raises:
        ChannelError: The recipient's address is none, or a part cannot stand in a header.
    """
    mail, to = EmailMessage(policy=POLICY), checked(message)
    try:
        mail["From"], mail["To"] = sender, receiver(to)
        mail["Subject"] = message.subject
        mail["Date"] = format_datetime(utc(message.created_at))
        mail["Message-ID"] = message_id(message, sender)
        mail["Auto-Submitted"] = "auto-generated"
        if message.critical:
            mail["Importance"] = "high"
        for name, value in list_headers(message).items():
            mail[name] = value
        mail.set_content(message.text)
        if message.html is not None:
            mail.add_alternative(message.html, subtype="html")
        for each in message.attachments:
            kind, _, sub = each.content_type.partition("/")
            mail.add_attachment(each.content, maintype=kind, subtype=sub, filename=each.filename)
    except _MALFORMED:
        raise ChannelError("a part of the message cannot stand in an e-mail") from None
    return mail


def checked(message: Message) -> Address:
    """Return the recipient of an e-mail whose parts can stand in headers, whoever writes them.

    Raises:
        ChannelError: The address is none, or a part cannot stand in a header.
    """
    to = message.recipient
    headers = [message.subject, to.name or "", to.address]
    headers += [each.filename for each in message.attachments]
    if any("?=" in each.partition("=?")[2] for each in headers):
        # EmailMessage decodes encoded words that it is given, and writes their line breaks out
        raise ChannelError("a part of the message cannot stand in an e-mail")
    if any(not each.isprintable() for each in headers):
        raise ChannelError("a part of the message cannot stand in an e-mail")
    try:
        if len(to.address) <= _LONGEST:
            return _address(to.name or "", to.address)
    except _MALFORMED:
        pass
    raise ChannelError("the address is no e-mail address", invalid_recipient=True)


def _address(name: str, text: str) -> Address:
    if is_plain(text):
        local, _, domain = text.rpartition("@")
        return Address(name, username=local, domain=domain)
    if text.isascii():
        return Address(name, addr_spec=text)
    # RFC 6531 allows letters beyond ASCII where those of ASCII may stand; the parser does not know
    like = Address(addr_spec=_BEYOND_ASCII.sub("x", text))
    local, _, domain = text.rpartition("@")
    if _BEYOND_ASCII.sub("x", local) != like.username:  # it is quoted
        raise ValueError("not a plain address")
    return Address(name, username=local, domain=domain)


def list_headers(message: Message) -> dict[str, str]:
    """Return the headers of one-click unsubscription (RFC 8058, section 3.1), if it has a link."""
    if message.unsubscribe_url is None:
        return {}
    return {
        "List-Unsubscribe": f"<{message.unsubscribe_url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def message_id(message: Message, sender: Address) -> str:
    """Return the Message-ID: the same for every attempt."""
    return f"<{message.key}@{sender.domain}>"
