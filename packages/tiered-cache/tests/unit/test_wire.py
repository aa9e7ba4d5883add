"""Commands are packed, and answers cut out of what arrives, whatever pieces it comes in."""

import asyncio
import contextlib
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("redis")

from redis import exceptions
from redis._parsers.base import BaseParser

from tiered_cache.adapters.redis.wire import Answer, Wire, pack

ANSWERS = st.recursive(
    st.none() | st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=6),
    max_leaves=30,
)


def resp(value: Any, protocol: int) -> bytes:
    if value is None:
        return b"_\r\n" if protocol == 3 else b"$-1\r\n"
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, bytes):
        return b"$%d\r\n%b\r\n" % (len(value), value)
    return b"*%d\r\n" % len(value) + b"".join(resp(each, protocol) for each in value)


def answer_of(stream: asyncio.StreamReader) -> Answer:
    return Answer(stream, exceptions, BaseParser.parse_error)


async def read(data: bytes, *, cuts: random.Random | None = None) -> tuple[Any, bool]:
    """Return what is read of ``data``, and whether it was nothing but an answer."""
    stream = asyncio.StreamReader()
    answer = answer_of(stream)
    reading = asyncio.ensure_future(answer.read())
    at = 0
    while at < len(data):
        size = len(data) if cuts is None else cuts.randrange(1, 12)
        stream.feed_data(data[at : at + size])
        at += size
        await asyncio.sleep(0)
    stream.feed_eof()
    return await reading, answer.is_clean


@given(ANSWERS, st.sampled_from([2, 3]), st.randoms(use_true_random=False))
def test_answers_are_what_was_sent(value: Any, protocol: int, cuts: random.Random) -> None:
    data = resp(value, protocol)
    assert asyncio.run(read(data, cuts=cuts)) == (value, True)
    assert asyncio.run(read(data)) == (value, True)


async def test_large_values_come_whole() -> None:
    values = [bytes(100_000), b"\r\n" * 300_000, b""]
    assert await read(resp(values, 2), cuts=None) == (values, True)


async def test_what_is_sent_unasked_is_noticed() -> None:
    push = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n"
    assert await read(push + resp([b"v"], 3)) == ([b"v"], False)
    assert await read(resp([b"v"], 3) + push) == ([b"v"], False)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"-NOSCRIPT No matching script\r\n", exceptions.NoScriptError),
        (b"-LOADING it loads\r\n", exceptions.BusyLoadingError),
        (b"-WRONGTYPE of another kind\r\n", exceptions.ResponseError),
        (b"*2\r\n$1\r\na\r\n", exceptions.ConnectionError),  # and nothing more
        (b"$9\r\nab", exceptions.ConnectionError),
        (b"", exceptions.ConnectionError),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", exceptions.InvalidResponse),
        (b"$one\r\n", exceptions.InvalidResponse),
        (b"*3\r\n$x\r\n", exceptions.InvalidResponse),
    ],
)
async def test_what_is_no_answer_is_an_error(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        await read(data)


@given(st.lists(st.binary(max_size=5000) | st.text() | st.integers(), min_size=1, max_size=8))
def test_a_packed_command_reads_back_as_its_arguments(args: list[Any]) -> None:
    want = [each if isinstance(each, bytes) else str(each).encode() for each in args]
    assert asyncio.run(read(b"".join(pack(tuple(args))))) == (want, True)


class Connection:
    """One that answers with what it was given."""

    socket_timeout: float | None = None
    _parser = BaseParser

    def __init__(self, data: bytes) -> None:
        self._reader: asyncio.StreamReader | None = asyncio.StreamReader()
        self._data = data
        self.is_dropped = False

    async def send_packed_command(self, packed: list[bytes]) -> None:
        self.sent = packed
        if self._reader is None or self.is_dropped:
            self._reader, self.is_dropped = asyncio.StreamReader(), False
        self._reader.feed_data(self._data)

    async def disconnect(self, *, nowait: bool) -> None:
        self.is_dropped = nowait


class Pool:
    """A pool of one connection, as releases before 5.3 have it."""

    max_connections = 1

    def __init__(self, connection: Connection) -> None:
        self.connection, self.taken = connection, 0

    async def get_connection(self, command_name: str, *_: Any) -> Connection:
        if self.taken == self.max_connections:
            raise exceptions.ConnectionError("Too many connections")
        self.taken += 1
        await asyncio.sleep(0)
        return self.connection

    async def release(self, _: Connection) -> None:
        self.taken -= 1


def wire(data: bytes) -> tuple[Wire, Pool]:
    pool = Pool(Connection(data))

    class Client:
        connection_pool = pool

    return Wire(Client(), exceptions), pool


@pytest.mark.parametrize(
    ("data", "is_dropped"),
    [
        (b"$1\r\nv\r\n", False),
        (b"-ERR wrong\r\n", False),
        (b"-ERR wrong\r\n>1\r\n$1\r\np\r\n", True),
        (b"-ERR wrong\r\n$1\r\nv", True),
        (b">1\r\n$1\r\np\r\n-ERR wrong\r\n", True),
        (b"*2\r\n-ERR inside of a list\r\n", True),  # the rest comes later
        (b"*2\r\n*1\r\n-ERR inside of two\r\n", True),
        (b"-READONLY a replica by now\r\n", True),
        (b"-LOADING it loads\r\n", True),
        (b"$1\r\nv\r\n>1\r\n$1\r\np\r\n", True),
        (b"?\r\n", True),
    ],
)
async def test_a_connection_goes_back_and_is_used_on_where_it_can_be(
    data: bytes, is_dropped: bool
) -> None:
    made, pool = wire(data)
    with contextlib.suppress(exceptions.RedisError):
        assert await made.call("GET", "k") == b"v"
    assert (pool.connection.is_dropped, pool.taken) == (is_dropped, 0)


async def test_a_call_that_is_given_up_takes_its_connection_with_it() -> None:
    made, pool = wire(b"$5\r\nha")
    call = asyncio.ensure_future(made.call("GET", "k"))
    for _ in range(3):
        await asyncio.sleep(0)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert (pool.connection.is_dropped, pool.taken) == (True, 0)


async def test_the_time_limit_of_a_connection_is_heeded() -> None:
    made, pool = wire(b"")
    pool.connection.socket_timeout = 0.0
    with pytest.raises(TimeoutError):
        await made.call("GET", "k")
    assert (pool.connection.is_dropped, pool.taken) == (True, 0)


async def test_who_finds_no_connection_free_waits() -> None:
    made, pool = wire(b"$1\r\nv\r\n")
    assert await asyncio.gather(*(made.call("GET", "k") for _ in range(5))) == [b"v"] * 5
    assert pool.taken == 0


def hang_up(reader: asyncio.StreamReader) -> None:
    reader.feed_eof()


def reset(reader: asyncio.StreamReader) -> None:
    reader.set_exception(ConnectionResetError())


def push(reader: asyncio.StreamReader) -> None:
    reader.feed_data(b">1\r\n$1\r\np\r\n")


@pytest.mark.parametrize("event", [hang_up, reset, push])
async def test_a_connection_that_is_spent_is_no_failure_of_the_call(event: Any) -> None:
    """What happened since the last answer: the command was not sent yet."""
    made, pool = wire(b"$1\r\nv\r\n")
    assert await made.call("GET", "k") == b"v"
    before = pool.connection._reader
    assert before is not None
    event(before)
    assert await made.call("GET", "k") == b"v"
    assert pool.connection._reader is not before


async def test_a_client_that_is_closed_while_a_command_is_sent_is_a_failure_by_name() -> None:
    made, pool = wire(b"")

    async def close(_: list[bytes]) -> None:
        pool.connection._reader = None

    pool.connection.send_packed_command = close  # type: ignore[method-assign]
    with pytest.raises(exceptions.ConnectionError, match="closed"):
        await made.call("GET", "k")
