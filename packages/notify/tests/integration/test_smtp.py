"""SMTP against a real server: what arrives, what refusals mean, and that TLS is not optional."""

import asyncio
import logging
import ssl

import pytest

pytest.importorskip("aiosmtplib")
pytest.importorskip("aiosmtpd")

from notify import (
    Attachment,
    ChannelError,
    ConfigurationError,
    DeliveryStatus,
    MemoryDirectory,
    Notification,
    NotificationService,
    Recipient,
)
from notify.adapters.smtp import SMTPChannel
from notify.testing import ChannelSuite, message
from sink import Sink, running

pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore:Requiring AUTH")]


def channel_to(sink: Sink, **options) -> SMTPChannel:
    values = {"security": "none", "from_address": "Shop <shop@example.com>", "timeout": 60.0}
    return SMTPChannel("localhost", sink.port, **{**values, **options})


@pytest.fixture
async def sink():
    async with running() as made:
        yield made


@pytest.fixture
async def channel(sink):
    async with _closing(channel_to(sink)) as made:
        yield made


class _closing:
    def __init__(self, channel) -> None:
        self.channel = channel

    async def __aenter__(self):
        return self.channel

    async def __aexit__(self, *_) -> None:
        await self.channel.aclose()


class TestSMTPChannel(ChannelSuite):
    @pytest.fixture
    async def channel(self, sink):
        async with _closing(channel_to(sink)) as made:
            yield made

    @pytest.fixture
    def unreachable(self):
        return SMTPChannel("localhost", 1, security="none", from_address="a@b.example", timeout=1)


async def test_a_whole_mail_arrives(sink, channel) -> None:
    await channel.send(
        message(
            "änn@example.com".replace("ä", "a"),
            subject="Rechnung für März ✓",
            text="Grüße\n.\nEnde\n",
            html="<p>Grüße</p>",
            critical=True,
            attachments=[Attachment("Rechnung 1.pdf", b"%PDF\x00\xff", "application/pdf")],
            key="k1",
        )
    )
    [mail] = sink.mails
    assert mail["Subject"] == "Rechnung für März ✓"
    assert mail["From"] == "Shop <shop@example.com>"
    assert mail["To"] == "Ann <ann@example.com>"
    assert mail["Message-ID"] == "<k1@example.com>"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Importance"] == "high"
    assert mail["Date"] is not None
    assert mail.get_body("plain").get_content().replace("\r\n", "\n") == "Grüße\n.\nEnde\n"
    assert "<p>Grüße</p>" in mail.get_body("html").get_content()
    [file] = mail.iter_attachments()
    assert (file.get_filename(), file.get_content()) == ("Rechnung 1.pdf", b"%PDF\x00\xff")
    assert sink.rcpts == [["ann@example.com"]]


@pytest.mark.parametrize("address", ["jürgen@example.com", "ann@müller.example", "二@三.example"])
async def test_an_address_beyond_ascii(sink, channel, address: str) -> None:
    await channel.send(message(address))
    assert sink.rcpts == [[address]]
    assert sink.mails[0]["To"] == f"Ann <{address}>"
    async with running(utf8=False) as old, _closing(channel_to(old)) as other:
        with pytest.raises(ChannelError, match="cannot take such an address") as caught:
            await other.send(message(address))
        assert (caught.value.retryable, caught.value.invalid_recipient) == (False, False)
        await other.send(message("ann@example.com"))
        assert old.rcpts == [["ann@example.com"]]


@pytest.mark.parametrize(
    "address",
    ["jürgen", "jür gen@example.com", "a@b@ü.example", '"jü x"@example.com', "ü@", "@ü", "ü,b@c.d"],
)
async def test_what_is_no_address(sink, channel, address: str) -> None:
    with pytest.raises(ChannelError, match="no e-mail address") as caught:
        await channel.send(message(address))
    assert caught.value.invalid_recipient
    assert sink.rcpts == []


async def test_connections_are_kept_and_bounded(sink) -> None:
    async with _closing(channel_to(sink, pool=3)) as channel:
        for _ in range(2):
            await asyncio.gather(*(channel.send(message(key=str(i))) for i in range(20)))
    assert len(sink.mails) == 40
    assert sink.connections <= 3


async def test_a_connection_that_the_server_closed_is_replaced(sink, channel) -> None:
    await channel.send(message())
    channel._idle[0][0].transport.abort()
    await asyncio.sleep(0.05)
    await channel.send(message())
    assert sink.connections == 2


async def test_only_an_idle_connection_is_asked_whether_it_lives(sink, channel) -> None:
    for _ in range(3):
        before = asyncio.get_running_loop().time()
        await channel.send(message())
        [(client, until)] = channel._idle
        assert before < until <= asyncio.get_running_loop().time() + 1
        channel._idle[:] = [(client, until + 600)]  # a busy machine may take its time
    assert (sink.connections, sink.resets) == (1, 0)
    channel._idle[:] = [(client, 0.0)]  # as if it had been idle for long
    await channel.send(message())
    assert (sink.connections, sink.resets) == (1, 1)


async def test_a_refusal_leaves_nothing_behind(sink, channel) -> None:
    sink.rcpt_answers.append("550 5.1.1 unknown")
    with pytest.raises(ChannelError):
        await channel.send(message("bob@example.com"))
    before = sink.resets
    await channel.send(message())
    assert sink.rcpts == [["ann@example.com"]]
    assert sink.resets == before + 1, "asked after a refusal"
    assert sink.connections == 1


@pytest.mark.parametrize(
    ("at", "said", "retryable", "invalid"),
    [
        ("mail", "451 4.3.0 try later", True, False),
        ("mail", "530 5.7.0 Authentication required", True, False),
        ("mail", "550 5.1.8 bad sender", False, False),
        ("rcpt", "421 4.3.2 closing", True, False),
        ("rcpt", "450 4.2.1 <ann@example.com> busy", True, False),
        ("rcpt", "550 5.1.1 <ann@example.com> unknown", False, True),
        ("rcpt", "550 no such user", False, True),
        ("rcpt", "550 5.7.1 policy", False, False),
        ("rcpt", "553 bad name", False, True),
        ("rcpt", "550 <sender@example.com> unknown", False, True),
        ("rcpt", "550 5.1.0 address rejected", False, True),
        # said at RCPT of the sender, or of what the operator has to mend: nobody's address is bad
        ("rcpt", "550 5.1.8 sender rejected: domain not found", False, False),
        ("rcpt", "553 5.1.7 bad sender", False, False),
        ("rcpt", "550 5.1.0 sender rejected", False, False),
        ("rcpt", "550 relay not permitted", False, False),
        ("rcpt", "550 Authentication is required for relay", False, False),
        ("rcpt", "550 Administrative prohibition", False, False),
        ("rcpt", "552 5.2.2 full", False, False),
        ("data", "451 4.3.0 try later", True, False),
        ("data", "554 5.6.0 spam <ann@example.com>", False, False),
        ("data", "421 4.3.2 closing", True, False),
    ],
)
async def test_what_a_refusal_means(sink, channel, at, said, retryable, invalid) -> None:
    getattr(sink, f"{at}_answers").append(said)
    with pytest.raises(ChannelError) as caught:
        await channel.send(message())
    error = caught.value
    assert (error.retryable, error.invalid_recipient) == (retryable, invalid)
    assert said[:3] in str(error)
    assert "example" not in str(error)
    assert error.__cause__ is None
    await channel.send(message(key="after"))
    assert sink.mails[-1]["Message-ID"] == "<after@example.com>"


@pytest.mark.parametrize(
    "script",
    [
        ["554 5.7.1 not from you"],
        ["421 4.3.2 closing"],
        ["220 sink", "550 5.5.0 no", "550 5.5.0 no"],
        ["220 sink", "250-sink\r\n250 STARTTLS", "502 5.5.1 no TLS today"],
    ],
)
async def test_a_refused_connection_says_nothing_of_the_message(script) -> None:
    ended = asyncio.Event()

    async def answer(reader, writer) -> None:
        for each in script:
            writer.write(f"{each}\r\n".encode())
            await reader.readline()
        writer.close()
        ended.set()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    security = "starttls" if "STARTTLS" in script[-2:][0] else "none"
    made = SMTPChannel("127.0.0.1", port, security=security, from_address="a@b.example", timeout=60)
    async with server:
        async with _closing(made) as channel:
            with pytest.raises(ChannelError, match=script[-1][:3]) as caught:
                await channel.send(message())
        await ended.wait()
    assert (caught.value.retryable, caught.value.invalid_recipient) == (True, False)


async def test_cut_after_data_is_tried_again_with_the_same_id(sink, channel) -> None:
    sink.data_answers.append("cut")
    one = message(key="same")
    with pytest.raises(ChannelError) as caught:
        await channel.send(one)
    assert caught.value.retryable
    await channel.send(one)
    assert [mail["Message-ID"] for mail in sink.mails] == ["<same@example.com>"] * 2


async def test_a_server_that_never_answers_ends_in_time(sink) -> None:
    sink.data_answers.append("hang")
    async with _closing(channel_to(sink)) as channel:
        channel._timeout = 0.3
        async with asyncio.timeout(40):
            with pytest.raises(ChannelError) as caught:
                await channel.send(message())
        assert caught.value.retryable
        sink.data_answers.clear()  # a busy machine may not have come so far
        channel._timeout = 60.0
        await channel.send(message())


async def test_a_cancelled_send_leaves_no_used_connection(sink) -> None:
    sink.data_answers.append("hang")
    async with _closing(channel_to(sink, pool=1)) as channel:
        task = asyncio.create_task(channel.send(message()))
        async with asyncio.timeout(60):
            while sink.data_answers:  # until it hangs
                await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await channel.send(message(key="next"))
    assert sink.mails[-1]["Message-ID"] == "<next@example.com>"


@pytest.fixture
def authority():
    trustme = pytest.importorskip("trustme")
    made = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    made.configure_trust(client)
    return server, client


async def test_starttls_and_auth(authority) -> None:
    server, client = authority
    async with running(starttls=server, password="s3cret") as sink:
        options = {"security": "starttls", "username": "shop", "tls_context": client}
        async with _closing(channel_to(sink, password="s3cret", **options)) as channel:
            await channel.send(message())
        assert sink.secure == [True]
        assert sink.logins == [("shop", "s3cret")]
        async with _closing(channel_to(sink, password="wrong", **options)) as channel:
            with pytest.raises(ChannelError, match="535") as caught:
                await channel.send(message())
        assert caught.value.retryable
        assert "wrong" not in str(caught.value)


async def test_tls_from_the_first_byte(authority) -> None:
    server, client = authority
    async with running(tls=server) as sink:
        async with _closing(channel_to(sink, security="tls", tls_context=client)) as channel:
            await channel.send(message())
        assert len(sink.mails) == 1


async def test_an_unknown_certificate_is_refused(authority) -> None:
    server, _ = authority
    async with running(starttls=server) as sink:
        async with _closing(channel_to(sink, security="starttls")) as channel:
            with pytest.raises(ChannelError) as caught:
                await channel.send(message())
        assert caught.value.retryable
        assert sink.mails == []
        url = f"smtp://localhost:{sink.port}?verify=off&pool=1"
        async with _closing(SMTPChannel.from_url(url, from_address="a@b.example")) as channel:
            await channel.send(message())
        assert len(sink.mails) == 1


async def test_stripped_starttls_sends_nothing() -> None:
    async with running() as sink:
        async with _closing(
            channel_to(sink, security="starttls", username="u", password="p")
        ) as channel:
            with pytest.raises(ChannelError) as caught:
                await channel.send(message())
        assert caught.value.retryable
        assert "STARTTLS" in str(caught.value)
        assert (sink.mails, sink.logins) == ([], [])


async def test_the_service_over_smtp(sink, caplog) -> None:
    caplog.set_level(logging.DEBUG, "notify")
    directory = MemoryDirectory({("ann", "email"): Recipient("ann@example.com", "Ann")})
    directory.set("bad", "email", "bad@example.com")
    sink.rcpt_answers += ["450 4.2.1 <ann@example.com> later"]
    async with NotificationService(channels=[channel_to(sink)], directory=directory) as service:
        service.configure({"storage": {"type": "memory"}, "delivery": {"backoff": 0.01}})
        first = await service.send(
            Notification(title="Private title", user_id="ann", channels=["email"]), wait=60
        )
        [delivery] = first.deliveries
        assert delivery.status is DeliveryStatus.DELIVERED
        assert delivery.provider_id == f"<{delivery.id}@example.com>"
        assert [each.outcome for each in delivery.history] == ["retry", "delivered"]
        sink.rcpt_answers += ["550 5.1.1 <bad@example.com> unknown"]
        second = await service.send(
            Notification(title="Private title", user_id="bad", channels=["email"]), wait=60
        )
        assert second.deliveries[0].status is DeliveryStatus.INVALID
        assert second.deliveries[0].reason == "smtp 550 5.1.1"
    logged = "\n".join(f"{each.getMessage()} {each.__dict__}" for each in caplog.records)
    assert "example.com" not in logged
    assert "Private" not in logged


@pytest.mark.parametrize(
    "bad",
    [
        {"host": ""}, {"pool": 0}, {"pool": "4"}, {"timeout": float("nan")}, {"timeout": "5"},
        {"from_address": None}, {"port": 99_999}, {"port": "587"},
    ],
)  # fmt: skip
def test_what_would_never_connect_is_refused_at_once(bad) -> None:
    with pytest.raises(ConfigurationError):
        SMTPChannel(**{"host": "localhost", "from_address": "a@b.example", **bad})
