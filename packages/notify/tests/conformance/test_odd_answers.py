"""What providers and receivers answer that no documentation promises."""

import asyncio
import contextlib
import gzip
import os
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("httpx")
pytest.importorskip("uvicorn")
pytest.importorskip("starlette")
pytest.importorskip("cryptography")

from notify import ChannelError
from notify.adapters.http import clients
from notify.adapters.http.base import HTTPChannel, Reply
from notify.adapters.http.fcm import FCMChannel
from notify.adapters.http.guarded import is_public
from notify.adapters.http.mailgun import MailgunChannel
from notify.adapters.http.onesignal import OneSignalChannel
from notify.adapters.http.sendgrid import SendGridChannel
from notify.adapters.http.twilio import TwilioChannel
from notify.adapters.http.webhook import WebhookChannel
from notify.testing import NOW, FakeClock, message
from standins.push import Firebase
from standins.serving import Refused, serve

ME = {"from_address": "a@b.example"}
WHSEC = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
MAKE: dict[str, Callable[[str], HTTPChannel]] = {
    "sendgrid": lambda url: SendGridChannel("k", base_url=url, timeout=60.0, **ME),
    "mailgun": lambda url: MailgunChannel(
        "k", domain="d.example", base_url=url, timeout=60.0, **ME
    ),
    "twilio": lambda url: TwilioChannel(
        "AC1", "k", from_number="+15005550006", base_url=url, timeout=60.0
    ),
    "onesignal": lambda url: OneSignalChannel("app", "k", base_url=url, timeout=60.0),
}


def hook(**options: Any) -> WebhookChannel:
    return WebhookChannel(WHSEC, **{"allow_private": True, "timeout": 60.0, **options})


@contextlib.asynccontextmanager
async def talking(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve connections by ``talk``; give the port."""

    tasks = set[asyncio.Task[Any] | None]()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await talk(reader, writer)
        writer.close()
        with contextlib.suppress(Exception):
            await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        async with asyncio.timeout(60):
            await asyncio.gather(*(each for each in tasks if each is not None))


async def request_of(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
    return head + await reader.readexactly(size)


def saying(*parts: bytes) -> Talk:
    """Return what reads a request, writes ``parts``, and hangs up."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        for part in parts:
            writer.write(part)
            await writer.drain()

    return talk


def answer(status: int, body: str, kind: str = "application/json") -> bytes:
    data = body.encode()
    head = f"HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


async def sent(channel: HTTPChannel, to: str = "ann@example.com") -> "str | ChannelError | None":
    """Return what a channel makes of it."""
    found: str | ChannelError | None
    try:
        found = await channel.send(message(to))
    except ChannelError as exc:
        found = exc
    finally:
        await channel.aclose()
    assert to not in str(found)
    assert getattr(found, "__cause__", None) is None
    return found


async def of(provider: str, *said: bytes) -> "str | ChannelError | None":
    async with talking(saying(*said)) as port:
        return await sent(MAKE[provider](f"http://127.0.0.1:{port}"))


@pytest.mark.parametrize("provider", MAKE)
@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/json"])
async def test_a_page_is_nobodys_word(provider: str, kind: str) -> None:
    """A proxy's page under 200 neither loses the message nor condemns the address."""
    found = await of(provider, answer(200, "\n<!DOCTYPE html><html>Sign in</html>", kind))
    assert isinstance(found, ChannelError)
    assert (found.retryable, found.invalid_recipient) == (True, False)


async def test_what_is_called_a_page_and_is_none() -> None:
    """Some servers call everything text/html."""
    assert await of("mailgun", answer(200, '{"id": "<m1>"}', "text/html")) == "m1"
    assert await of("sendgrid", answer(202, "", "text/html")) is None


async def test_receivers_answer_what_they_like() -> None:
    async with talking(saying(answer(200, "<html>thanks</html>", "text/html"))) as port:
        assert isinstance(await sent(hook(), f"http://127.0.0.1:{port}/"), str)


@pytest.mark.parametrize("body", ["", "[]", "{}", '{"id": 5}', "{", "[" * 100_000])
async def test_onesignal_without_an_id_condemns_nobody(body: str) -> None:
    found = await of("onesignal", answer(200, body))
    assert isinstance(found, ChannelError)
    assert (found.retryable, found.invalid_recipient) == (True, False)


@pytest.mark.parametrize(
    ("errors", "invalid"),
    [
        ('{"invalid_aliases": {"external_id": ["ann@example.com"]}}', True),
        ('{"invalid_player_ids": ["ann@example.com"]}', True),
        ('{"invalid_external_user_ids": ["somebody else"]}', False),
        ('{"invalid_aliases": null}', False),
        ('["a warning"]', False),
    ],
)
async def test_onesignal_names_who_did_not_get_it(errors: str, invalid: bool) -> None:
    found = await of("onesignal", answer(200, f'{{"id": "m1", "errors": {errors}}}'))
    if invalid:
        assert isinstance(found, ChannelError)
        assert found.invalid_recipient
    else:
        assert found == "m1"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"sid": "SM1", "status": "queued", "error_code": null}', "SM1"),
        ('{"sid": "SM1", "status": "failed", "error_code": 30006}', (False, True)),
        ('{"sid": "SM1", "status": "undelivered", "error_code": 30007}', (False, False)),
        ('{"sid": "SM1", "status": "failed", "error_code": 21611}', (True, False)),
        ('{"sid": "SM1", "status": "failed", "error_code": "to ann@example.com"}', (False, False)),
    ],
)
async def test_twilio_made_it_and_failed(body: str, expected: Any) -> None:
    found = await of("twilio", answer(201, body))
    if isinstance(found, ChannelError):
        assert (found.retryable, found.invalid_recipient) == expected
    else:
        assert found == expected


async def test_a_refusal_without_a_bottom() -> None:
    found = await of("mailgun", answer(400, "[" * 100_000))
    assert isinstance(found, ChannelError)
    assert not found.retryable


@pytest.fixture
def elsewhere() -> Iterator[None]:
    """A machine whose clock shows another time than Greenwich's."""
    held = os.environ.get("TZ")
    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()
    yield
    os.environ.pop("TZ")
    if held is not None:
        os.environ["TZ"] = held
    time.tzset()


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize(
    ("said", "wait"),
    [
        ("7", 7.0),
        (" 7 ", 7.0),
        ("0", 0.0),
        ("1.5", 1.5),
        ("9" * 400, 86_400.0),
        ("Sun, 15 Jun 2025 15:07:40 GMT", 60.0),
        ("Sun Jun 15 15:07:40 2025", 60.0),
        ("Sunday, 15-Jun-25 15:07:40 GMT", 60.0),
        ("Sun, 15 Jun 2025 15:07:40 -0000", 60.0),
        ("Sun, 15 Jun 2025 14:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400.0),
        ("-5", None),
        ("1e9", None),
        ("\u0667", None),
        ("7, 8", None),
        ("soon", None),
        (",", None),
        ("Sun, 99 Jun 2025 99:99:99 GMT", None),
        ("", None),
    ],
)
def test_odd_times_to_wait(said: str, wait: float | None) -> None:
    channel = SendGridChannel("k", clock=FakeClock(NOW), **ME)
    for status in (429, 503):
        found = channel.refusal(Reply(status, {"retry-after": said}, b""))
        assert (found.retryable, found.retry_after) == (True, wait)


@pytest.mark.parametrize(
    ("said", "taken"),
    [
        (b"HTTP/1.1 202 x\r\nContent-Length: 100\r\n\r\nshort", True),
        (b"HTTP/1.1 202 x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", True),
        (b"HTTP/1.1 202 x\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nbad", True),
        (b"HTTP/1.1 503 x\r\nContent-Length: 100\r\n\r\nshort", False),
        (b"HTTP/1.1 2", False),
        (b"\x00\x01\x02\r\n\r\n", False),
        (b"HTTP/1.1 202 x\r\nX: " + b"y" * 200_000, False),
        (b"", False),
    ],
)
async def test_the_head_is_the_answer(said: bytes, taken: bool) -> None:
    """What is lost of a body changes nothing of what the status said."""
    found = await of("sendgrid", said)
    assert isinstance(found, ChannelError) is not taken
    if isinstance(found, ChannelError):
        assert found.retryable


async def test_an_answer_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver that sends for ever, or slowly, is left; the message was taken."""
    written = 0

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await request_of(reader)
        writer.write(b"HTTP/1.1 200 x\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x" * 65_536)
            written += 65_536
            await writer.drain()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_of(reader)
        writer.write(b"HTTP/1.1 200 x\r\nContent-Length: 10\r\n\r\nx")
        await reader.read()

    async with talking(flood) as port:
        assert isinstance(await sent(hook(), f"http://127.0.0.1:{port}/"), str)
    assert written < 64 << 20
    monkeypatch.setattr(clients, "_PATIENCE", 0.05)
    async with talking(drip) as port, asyncio.timeout(40):
        assert isinstance(await sent(hook(), f"http://127.0.0.1:{port}/"), str)


async def test_nothing_is_unpacked() -> None:
    asked = bytearray()
    bomb = gzip.compress(bytes(100 << 20))

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.extend(await request_of(reader))
        writer.write(
            b"HTTP/1.1 400 x\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
        )
        writer.write(bomb)
        await writer.drain()

    channel = hook()
    async with talking(talk) as port:
        reply = await channel._ask(f"http://127.0.0.1:{port}/")
        await channel.aclose()
    assert len(reply.content) <= clients._LARGEST
    assert b"\r\naccept-encoding: identity\r\n" in bytes(asked).lower()


async def test_no_cookie_goes_from_one_receiver_to_the_next() -> None:
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                asked.append(await request_of(reader))
                writer.write(
                    b"HTTP/1.1 204 x\r\nSet-Cookie: session=secret\r\nContent-Length: 0\r\n\r\n"
                )

    async with talking(talk) as port:
        channel = hook()
        for path in ("one", "two"):
            await channel.send(message(f"http://127.0.0.1:{port}/{path}"))
        await channel.aclose()
    assert len(asked) == 2
    assert b"cookie" not in asked[1].lower()


@pytest.fixture
def authority() -> tuple[Any, ssl.SSLContext]:
    trustme = pytest.importorskip("trustme")
    made = trustme.CA()
    client = ssl.create_default_context()
    made.configure_trust(client)
    return made, client


def certified(authority: Any, *names: str) -> ssl.SSLContext:
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(made)
    return made


async def test_names_at_one_address_share_no_connection(
    authority: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection whose certificate is one receiver's carries nothing that is for another."""
    made, trust = authority
    contexts = {name: certified(made, name) for name in ("one.example", "two.example")}
    shown = dict[int, str]()
    seen: list[tuple[str, str]] = []

    def choose(link: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        link.context = contexts[name or ""]
        shown[id(link)] = name or ""

    front = certified(made, "front.example")
    front.sni_callback = choose

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = writer.get_extra_info("ssl_object")
        while True:
            head = (await request_of(reader)).decode("latin-1")
            named = head.lower().partition("\r\nhost: ")[2].partition(":")[0]
            seen.append((shown[id(link)], named))
            writer.write(b"HTTP/1.1 204 x\r\n\r\n")

    async def here(*_: Any) -> str:
        return "127.0.0.1"

    channel = hook(allow_private=False)
    monkeypatch.setattr(channel, "_resolved", here)
    monkeypatch.setattr(channel._clients, "_context", trust)
    async with talking(talk, front) as port:
        for name in ("one", "two", "one", "two"):
            await channel.send(message(f"https://{name}.example:{port}/"))
        await channel.aclose()
    assert seen == [(f"{name}.example",) * 2 for name in ("one", "two", "one", "two")]


async def test_only_so_many_names_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "_MOST", 3)
    kept = clients.Clients(5.0)
    async with kept.client("busy") as first:
        for n in range(5):
            async with kept.client(str(n)):
                pass
        assert list(kept._known) == ["busy", "3", "4"]
        assert not first.is_closed
    async with kept.client("busy") as again:
        assert again is first
    await kept.aclose()
    assert first.is_closed


@pytest.mark.parametrize("step", ["before", "garbage", "after"])
async def test_tls_that_is_cut_off(
    authority: Any, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, trust = authority

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if step == "garbage":
            await reader.read(10)
            writer.write(b"HTTP/1.0 400 this is no TLS\r\n\r\n" * 10)
            await writer.drain()
        elif step == "after":
            await request_of(reader)
            writer.write(b"HTTP/1.1 20")
            await writer.drain()
        writer.transport.abort()

    tls = certified(made, "localhost") if step == "after" else None
    async with talking(talk, tls) as port:
        channel = MAKE["sendgrid"](f"https://localhost:{port}")
        monkeypatch.setattr(channel._clients, "_context", trust)
        found = await sent(channel)
    assert isinstance(found, ChannelError)
    assert (found.retryable, found.invalid_recipient) == (True, False)


async def test_a_token_that_ends_in_the_middle_of_many() -> None:
    """Who hears late that the old token was refused does not throw the new one away."""
    provider = Firebase(NOW)
    async with serve(provider):
        given = provider.credentials()
        channel = FCMChannel(
            credentials=given, base_url=provider.url, timeout=60.0, clock=FakeClock(NOW)
        )
        await channel.send(message("device-token"))
        account, old = await channel._known(), channel._token
        provider.valid.clear()
        sends = [channel.send(message("device-token")) for _ in range(20)]
        assert len(set(await asyncio.gather(*sends))) == 20
        assert await channel._access(account, refused=old) == channel._token
        await channel.aclose()
    assert provider.tokens == 2


async def test_a_new_token_that_is_refused_too_waits() -> None:
    provider = Firebase(NOW)
    async with serve(provider):
        channel = FCMChannel(
            credentials=provider.credentials(), base_url=provider.url, clock=FakeClock(NOW)
        )
        await channel.send(message("device-token"))
        unauthorised = {"error": {"code": 401, "status": "UNAUTHENTICATED"}}
        provider.valid.clear()
        provider.script += [Refused(401, unauthorised)]
        # the next request is for a token, and the one after it is refused
        taken = await sent(channel, "device-token")
        assert isinstance(taken, str)


def test_addresses_that_lead_into_the_own_network() -> None:
    inside = [
        "64:ff9b::7f00:1", "64:ff9b::a00:1", "2002:7f00:1::", "2002:a9fe:a9fe::1", "::7f00:1",
        "2001:0:4136:e378:8000:63bf:80ff:fffe", "::", "fec0::1", "fd00::1", "ff02::1",
    ]  # fmt: skip
    for each in inside:
        assert not is_public(each), each
    assert is_public("64:ff9b::5db8:d822"), "a gateway's name for an address of the open internet"
