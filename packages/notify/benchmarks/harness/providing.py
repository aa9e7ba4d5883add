"""Providers: SMTP on a pool against bare aiosmtplib, HTTP against a bare httpx client, Apprise."""

import asyncio
import time
from typing import Any

import aiosmtplib
import apprise
import httpx

from notify.adapters.http.sendgrid import SendGridChannel
from notify.adapters.mail import build_mail, sender_of
from notify.adapters.smtp import SMTPChannel
from notify.testing import message

from ._common.results import Results

MAILS, POSTS, SLOW = 1000, 400, 20


async def smtp(port: int, results: Results, *, counts: bool) -> None:
    """Measure mails to a sink: one that does next to nothing and counts, or aiosmtpd."""
    name, title = ("smtp", "a local sink") if counts else ("smtp-aiosmtpd", "aiosmtpd")
    measure = results.measure(name, f"SMTP to {title}", "a second", more=True)
    sender = sender_of("us@example.com")
    messages = [message() for _ in range(MAILS)]

    async def over(client: Any, mails: list[Any]) -> None:
        await client.connect()
        for each in mails:
            mail = build_mail(each, sender)
            await client.send_message(mail, sender="us@example.com", recipients=["a@example.com"])
        await client.quit()

    def bare() -> Any:
        return aiosmtplib.SMTP(hostname="127.0.0.1", port=port, start_tls=False)

    started = time.perf_counter()
    await asyncio.gather(*(over(bare(), messages[n::4]) for n in range(4)))
    measure.add(
        "aiosmtplib, 4 connections kept open", MAILS / (time.perf_counter() - started), floor=True
    )
    before = await _taken(port) if counts else 0
    channel = SMTPChannel("127.0.0.1", port, security="none", from_address="us@example.com")
    started = time.perf_counter()
    await asyncio.gather(*map(channel.send, messages))
    measure.add("notify, a pool of 4", MAILS / (time.perf_counter() - started), ours=True)
    await channel.aclose()
    if counts:
        assert await _taken(port) == before + MAILS
    started = time.perf_counter()
    await over(bare(), messages)
    measure.add("aiosmtplib, one connection kept open", MAILS / (time.perf_counter() - started))
    sink = apprise.Apprise.instantiate(
        f"mailto://127.0.0.1:{port}?from=us@example.com&to=a@example.com&mode=insecure"
    )
    sink.request_rate_per_sec = 0
    sender_app = apprise.Apprise()
    sender_app.add(sink)
    started = time.perf_counter()
    for _ in range(SLOW):
        assert await asyncio.to_thread(sender_app.notify, body="Text", title="Subject")
    measure.add("Apprise mailto, its pause off", SLOW / (time.perf_counter() - started))


async def _taken(port: int) -> int:
    """Return how many mails the sink says it took."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readline()
    writer.write(b"HELP\r\n")
    said = await reader.readline()
    writer.close()
    return int(said.split()[1])


async def http(port: int, results: Results) -> None:
    measure = results.measure("http", "one HTTP provider", "a second", more=True)
    url = f"http://127.0.0.1:{port}"
    messages = [message() for _ in range(POSTS)]
    channel = SendGridChannel("key", from_address="us@example.com", base_url=url)
    bodies = [channel._body(each) for each in messages]
    async with httpx.AsyncClient() as client:
        await client.post(f"{url}/v3/mail/send", json=bodies[0])  # both are kept open
        started = time.perf_counter()
        for body in bodies:
            found = await client.post(f"{url}/v3/mail/send", json=body)
            assert found.status_code == 202
        measure.add(
            "httpx, one client kept open", POSTS / (time.perf_counter() - started), floor=True
        )
    await channel.send(messages[0])
    started = time.perf_counter()
    for each in messages:
        assert await channel.send(each) == "1"
    measure.add("notify, SendGrid", POSTS / (time.perf_counter() - started), ours=True)
    await channel.aclose()
    sender = apprise.Apprise()
    sender.add(f"json://127.0.0.1:{port}")
    started = time.perf_counter()
    for _ in range(POSTS):
        assert sender.notify(body="Text", title="Subject")
    measure.add("Apprise json, one after another", POSTS / (time.perf_counter() - started))
