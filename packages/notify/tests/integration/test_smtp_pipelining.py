"""Envelopes in one step where the server offers it, and what goes wrong in the middle of one."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

pytest.importorskip("aiosmtplib")

from notify import ChannelError
from notify.adapters.smtp import SMTPChannel
from notify.adapters.smtp_session import Session
from notify.testing import message

pytestmark = pytest.mark.integration
OFFERED = b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 1000000\r\n"
GOOD = {"MAIL": b"250 ok\r\n", "RCPT": b"250 ok\r\n", "DATA": b"354 go on\r\n", ".": b"250 ok\r\n"}
NEITHER = {"RCPT": b"503 no\r\n", "DATA": b"503 no\r\n"}


class Server:
    """Answers by ``script``, one of its lists after the other; ``heard`` is what came together.

    An answer of None hangs up. ``mails`` are contents as they came.
    """

    def __init__(self, *scripts: dict[str, bytes | None], offered: bytes = OFFERED) -> None:
        self.scripts, self.offered = list(scripts), offered
        self.heard: list[list[str]] = []
        self.mails: list[bytes] = []
        self.connections = 0
        self.tasks: set[asyncio.Task[None] | None] = set()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.tasks.add(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            await self._talk(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.write(b"220 sink\r\n")
        held, data, script = b"", False, GOOD
        while part := await reader.read(1 << 20):
            held += part
            together = list[str]()
            while (mark := b"\r\n.\r\n" if data else b"\r\n") in held or (
                data and held.startswith(b".\r\n")
            ):
                if data and held.startswith(b".\r\n"):
                    line, held = b"", held[3:]
                else:
                    line, _, held = held.partition(mark)
                verb = "." if data else line[:4].decode().upper()
                together.append(verb)
                if verb == "EHLO":
                    writer.write(self.offered)
                    continue
                if verb == "MAIL":
                    script = {**GOOD, **(self.scripts.pop(0) if self.scripts else {})}
                if data:
                    self.mails.append(line)
                said = script.get(verb, b"250 ok\r\n")
                if said is None:
                    self.heard.append(together)
                    return
                data = verb == "DATA" and said.startswith(b"354")
                writer.write(said)
            self.heard.append(together)


@contextlib.asynccontextmanager
async def serving(server: Server, **options) -> AsyncIterator[SMTPChannel]:
    found = await asyncio.start_server(server.talk, "127.0.0.1", 0)
    port = found.sockets[0].getsockname()[1]
    values = {"security": "none", "from_address": "shop@example.com", "timeout": 60.0, "pool": 1}
    channel = SMTPChannel("127.0.0.1", port, **{**values, **options})
    try:
        yield channel
    finally:
        await channel.aclose()
        found.close()
        async with asyncio.timeout(60):
            await asyncio.gather(*(each for each in server.tasks if each is not None))


async def test_an_envelope_is_one_step() -> None:
    server = Server()
    async with serving(server) as channel:
        for n in range(3):
            await channel.send(message(text=f".{n}\n..\nend"))
    steps = [["EHLO"], *([["MAIL", "RCPT", "DATA"], ["."]] * 3), ["QUIT"]]
    assert server.heard == steps
    assert server.connections == 1
    assert [each.partition(b"\r\n\r\n")[2][:9] for each in server.mails] == [
        b"..0\r\n...\r", b"..1\r\n...\r", b"..2\r\n...\r",
    ]  # fmt: skip


async def test_one_after_the_other_where_it_is_not_offered() -> None:
    server = Server(offered=b"250 sink\r\n")
    async with serving(server) as channel:
        await channel.send(message())
    assert server.heard == [["EHLO"], ["MAIL"], ["RCPT"], ["DATA"], ["."], ["QUIT"]]


@pytest.mark.parametrize(
    ("script", "said", "expected"),
    [
        # the sender is refused, and the rest with it
        ({"MAIL": b"451 4.3.0 no\r\n", **NEITHER}, "451", "retry"),
        ({"MAIL": b"550 5.7.1 no\r\n", **NEITHER}, "550", "dead"),
        # the recipient is, and the server wants no content
        ({"RCPT": b"550 5.1.1 no\r\n", "DATA": b"554 no\r\n"}, "550 5.1.1", "invalid"),
        ({"RCPT": b"450 4.2.1 no\r\n", "DATA": b"503 no\r\n"}, "450", "retry"),
        # the same, and it wants content for nobody: RFC 2920, section 3.1
        ({"RCPT": b"550 5.1.1 no\r\n", ".": b"554 no recipients\r\n"}, "550 5.1.1", "invalid"),
        ({"RCPT": b"550 5.1.1 no\r\n", ".": b"250 fine\r\n"}, "550 5.1.1", "invalid"),
        ({"MAIL": b"550 5.1.8 no\r\n", ".": b"250 fine\r\n"}, "550 5.1.8", "dead"),
        ({"DATA": b"451 4.3.0 no\r\n"}, "451", "retry"),
        ({"DATA": b"250 what\r\n"}, "250", "retry"),
        ({".": b"554 5.6.0 spam\r\n"}, "554", "dead"),
        ({".": b"354 more\r\n"}, "354", "retry"),
        ({"RCPT": b"250-a\r\n250-b\r\n250 c\r\n", ".": b"452 4.3.1\r\n"}, "452", "retry"),
    ],
)
async def test_what_is_refused_in_the_middle(script, said, expected) -> None:
    """The refusal is the one that was meant, and the connection goes on with the next mail."""
    server = Server(script)
    async with serving(server) as channel:
        with pytest.raises(ChannelError) as caught:
            await channel.send(message(key="first"))
        error = caught.value
        kind = "invalid" if error.invalid_recipient else "retry" if error.retryable else "dead"
        assert kind == expected
        assert said in str(error)
        assert "example" not in str(error)
        taken = len(server.mails)
        await channel.send(message(key="second"))
    assert server.connections == 1
    assert len(server.mails) == taken + 1
    assert b"<second@example.com>" in server.mails[-1]
    assert not any(b"<first@" in each for each in server.mails[: taken - 1])


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ({"MAIL": b"421 4.3.2 closing\r\n"}, "421"),
        ({"RCPT": b"421 4.3.2 closing\r\n"}, "421"),
        ({"DATA": b"421 4.3.2 closing\r\n"}, "421"),
        ({".": b"421 4.3.2 closing\r\n"}, "421"),
        ({"MAIL": b"451 4.7.1 no\r\n", "RCPT": None}, "451"),
        ({"MAIL": None}, "SMTPServerDisconnected"),
        ({"RCPT": None}, "SMTPServerDisconnected"),
        ({".": None}, "SMTPServerDisconnected"),
        ({"MAIL": b"what?\r\n"}, "SMTPServerDisconnected"),
        # no code that there is says anything of the mail
        ({"RCPT": b"999 5.1.1 no\r\n"}, "SMTPServerDisconnected"),
        ({".": b"600 no\r\n"}, "SMTPServerDisconnected"),
        ({".": b"000 ok\r\n"}, "SMTPServerDisconnected"),
        ({".": b"25 ok\r\n"}, "SMTPServerDisconnected"),
        ({"MAIL": b"250-" + b"x" * 70_000}, "SMTPServerDisconnected"),
        ({"MAIL": b"250-x\r\n" * 10_000}, "SMTPServerDisconnected"),
    ],
)
async def test_who_hangs_up_is_called_again(script, said) -> None:
    server = Server(script)
    async with serving(server) as channel:
        with pytest.raises(ChannelError, match=said) as caught:
            await channel.send(message(key="same"))
        assert caught.value.retryable
        await channel.send(message(key="same"))
    assert server.connections == 2
    assert all(b"<same@example.com>" in each for each in server.mails), "the same Message-ID"


async def test_what_nobody_asked_for_answers_nothing() -> None:
    """What a server says between two mails is not taken for its word on the next one."""
    server = Server({".": b"250 ok\r\n250 ok\r\n550 5.1.1 odd\r\n"})
    async with serving(server) as channel:
        await channel.send(message(key="first"))
        await asyncio.sleep(0.05)
        await channel.send(message(key="second"))
    assert len(server.mails) == 2


async def test_a_server_that_stops_in_the_middle_ends_in_time() -> None:
    server = Server({"RCPT": b""})
    async with serving(server) as channel:
        channel._timeout = 0.2
        async with asyncio.timeout(40):
            with pytest.raises(ChannelError, match="no answer in time") as caught:
                await channel.send(message())
        assert caught.value.retryable
        server.scripts.clear()  # a busy machine may not have come so far
        channel._timeout = 60.0
        await channel.send(message())
    assert server.connections == 2


async def test_what_a_server_does_not_take_is_not_kept_for_it(monkeypatch) -> None:
    """A server that stops in the middle of a long mail: the connection is gone, with the mail."""
    lost, stopped = asyncio.Event(), asyncio.Event()
    was = Session.connection_lost

    def note(self, exc) -> None:
        was(self, exc)
        lost.set()

    async def stop(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 sink\r\n")
        for said in (b"250 sink\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go on\r\n"):
            await reader.readline()
            writer.write(said)
        writer.transport.pause_reading()
        await stopped.wait()
        writer.transport.abort()

    monkeypatch.setattr(Session, "connection_lost", note)
    found = await asyncio.start_server(stop, "127.0.0.1", 0)
    port = found.sockets[0].getsockname()[1]
    channel = SMTPChannel("127.0.0.1", port, security="none", from_address="shop@example.com")
    channel._timeout = 0.3  # for answers; a busy machine may take its time to connect
    try:
        with pytest.raises(ChannelError, match="no answer in time"):
            await channel.send(message(text="x" * 70 + "\n" + ("y" * 70 + "\n") * 300_000))
        async with asyncio.timeout(60):
            await lost.wait()
    finally:
        stopped.set()
        await channel.aclose()
        found.close()


async def test_several_at_once_share_the_pool() -> None:
    server = Server()
    async with serving(server, pool=3) as channel:
        await asyncio.gather(*(channel.send(message(key=f"k{n}")) for n in range(60)))
    assert server.connections <= 3
    found = {each.partition(b"Message-ID: <")[2].partition(b"@")[0] for each in server.mails}
    assert found == {f"k{n}".encode() for n in range(60)}
