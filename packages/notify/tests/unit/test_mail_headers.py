"""The short ways to a header's bytes lead to those of the standard library."""

from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from notify import Attachment, ChannelError, Recipient
from notify._common.clock import utc
from notify.adapters.mail import build_mail, checked, list_headers, message_id, sender_of
from notify.adapters.mail_headers import POLICY
from notify.ports import Message
from notify.testing import message

WORDS = st.text(st.sampled_from("aZ9 .,-_@<>\"'()=?:;\\é✓%!#"), min_size=1, max_size=90)
LOCAL = st.text(st.sampled_from("aZ9.-_+!#'\"é"), min_size=1, max_size=70)
SENDERS = [
    "us@example.com", "Shop <shop@mail.example.com>", '"A, B" <a@b.example>', "Ü <u@b.example>",
]  # fmt: skip
PLAIN = policy.SMTP


def by_the_library(message: Message, sender: Address) -> EmailMessage:
    """The same mail without any of our short ways."""
    mail, to = EmailMessage(policy=PLAIN), message.recipient
    checked(message)
    local, _, domain = to.address.rpartition("@")
    if to.address.isascii():
        mail["From"], mail["To"] = sender, Address(to.name or "", addr_spec=to.address)
    else:
        mail["From"], mail["To"] = sender, Address(to.name or "", username=local, domain=domain)
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
    return mail


@given(
    subject=WORDS,
    name=st.none() | WORDS,
    local=LOCAL,
    domain=st.sampled_from(["example.com", "a.b-c.example", "ü.example", "localhost"]),
    text=st.text(max_size=200),
    key=st.sampled_from(["k1", "0" * 32, "x" * 90]),
    sender=st.sampled_from(SENDERS),
    critical=st.booleans(),
    utf8=st.booleans(),
    seven=st.booleans(),
)
@example("a" * 61, "Ann", "ann", "example.com", "t", "k1", SENDERS[0], False, False, False)
@example("a" * 62, "Ann", "ann", "example.com", "t", "k1", SENDERS[0], False, False, False)
@example("two  spaces", "A  B", "ann", "example.com", "t", "k1", SENDERS[0], False, False, False)
@example(" ends ", "Ann ", "ann", "example.com", "t", "k1", SENDERS[0], False, False, False)
@example("x", "Ann", "a" * 66, "example.com", "t", "k1", SENDERS[1], False, False, False)
def test_both_write_the_same(
    subject, name, local, domain, text, key, sender, critical, utf8, seven
) -> None:
    given = message(
        recipient=Recipient(f"{local}@{domain}", name), subject=subject, text=text, key=key,
        critical=critical,
    )  # fmt: skip
    us = sender_of(sender)
    try:
        mine = build_mail(given, us)
    except ChannelError:
        return
    how = {"utf8": utf8, "cte_type": "7bit" if seven else "8bit"}
    theirs = by_the_library(given, us).as_bytes(policy=PLAIN.clone(**how))
    for _ in range(2):  # also by what was kept of the first time
        assert mine.as_bytes(policy=POLICY.clone(**how)) == theirs


def test_a_mail_of_several_parts() -> None:
    file = Attachment("Rechnung ä.pdf", b"%PDF\0", "application/pdf")
    given = message(html="<p>ü</p>", attachments=[file])
    us = sender_of("us@example.com")
    made = [
        each.as_bytes(policy=PLAIN).split(b"\r\n")
        for each in (build_mail(given, us), by_the_library(given, us))
    ]
    # the boundaries are random
    mine, theirs = ([line for line in each if b"==" not in line] for each in made)
    assert mine == theirs


@pytest.mark.parametrize("bad", ["a\r\nBcc: x@y.example", "a\nb", "a\rb", "=?utf-8?q?=0A?="])
def test_no_short_way_around_the_checks(bad: str) -> None:
    us = sender_of("us@example.com")
    with pytest.raises(ChannelError):
        build_mail(message(subject=bad), us)
    with pytest.raises(ChannelError):
        build_mail(message(recipient=Recipient("a@b.example", bad)), us)
