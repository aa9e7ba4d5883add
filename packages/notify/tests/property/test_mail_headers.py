"""Fuzzed mails: what is refused is refused before any I/O, what is sent has no header more."""

import asyncio
import random

import pytest

pytest.importorskip("aiosmtplib")
pytest.importorskip("aiosmtpd")

from notify import (
    Attachment,
    DeliveryStatus,
    InvalidNotification,
    Notification,
    NotificationService,
    Recipient,
    RecipientDirectory,
)
from notify.adapters.smtp import SMTPChannel
from sink import running

COUNT = 10_000
HEADERS = {
    "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "MIME-Version", "Content-Type",
    "Content-Transfer-Encoding", "Importance",
}  # fmt: skip
PIECES = [
    "\r\nBcc: evil@evil.example", "\nX-Injected: 1", "\r", "\0", "\u2028X-Injected: 1", "\x85", "ü",
    "✓",
    "=?utf-8?q?=0D=0AX-Injected:_1?=", "\r\n\r\nbody", "\r\n.\r\n", "\t", "%0d%0a",
    "a" * 70, '"',
    "<>",
    ",", ";", ":", "@", "(x)", "\\", " ", "日本語", "\U0001f600", "\ud800", "\x7f", "\v",
    "\f", "plain",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.integration
async def test_no_header_is_injected() -> None:
    rng = random.Random(20261123)

    def text() -> str:
        return "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 4)))

    class Hostile(RecipientDirectory):
        async def lookup(self, user_id: str, channel: str) -> Recipient | None:
            hostile = rng.random() < 0.3
            name = text() if rng.random() < 0.3 else "Ann"
            return Recipient(f"ann{text() if hostile else ''}@example.com", name)

    async with running() as sink:
        channel = SMTPChannel(
            "localhost", sink.port, security="none", from_address="Shop <shop@example.com>"
        )
        refused = sent = 0
        async with NotificationService(channels=[channel], directory=Hostile()) as service:
            service.configure({"delivery": {"background": False, "concurrency": 8}})
            for _ in range(COUNT):
                note = Notification(
                    title=text(),
                    message=text(),
                    user_id="ann",
                    channels=["email"],
                    category=text() if rng.random() < 0.2 else None,
                    action_label=text() if rng.random() < 0.2 else None,
                    attachments=[Attachment(text(), b"x", "text/plain")]
                    if rng.random() < 0.2
                    else [],
                )
                try:
                    await service.send(note)
                    sent += 1
                except InvalidNotification:
                    refused += 1
            async with asyncio.timeout(300):
                await service.deliver_due()
            states = (await service.get_stats()).deliveries
            good = await service.suppression("email", "ann@example.com")
        assert good is None, "a good address is on the list for somebody else's"
        assert refused > COUNT / 20
        assert sent > COUNT / 20
        assert set(states) <= {
            str(each)
            for each in (
                DeliveryStatus.DELIVERED,
                DeliveryStatus.INVALID,
                DeliveryStatus.DEAD,
                # an address that the server refused before
                DeliveryStatus.SUPPRESSED,
            )
        }
        assert states["delivered"] == len(sink.mails)
        for mail, rcpts, raw in zip(sink.mails, sink.rcpts, sink.raw, strict=True):
            assert set(mail.keys()) <= HEADERS
            assert len(mail.keys()) == len(set(mail.keys()))
            assert len(rcpts) == 1
            assert "evil" not in rcpts[0]
            assert len(mail["To"].addresses) == 1
            head = raw.partition(b"\r\n\r\n")[0].lower()
            assert b"\nx-injected" not in head
            assert b"\nbcc" not in head
