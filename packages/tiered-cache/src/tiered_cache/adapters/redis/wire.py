"""Calls of commands on the connections of redis-py, without what its clients do around each.

The library's pool, connections (TLS, Sentinel, passwords) and errors are used as they are; its
packing and its parser are not: they take several microseconds for each argument and each element,
which is most of what a read of many values costs.
"""

import asyncio
import functools
import inspect
from collections.abc import Callable
from typing import Any

_CHUNK = 1 << 18
_LONG = 4096
Argument = bytes | str | int


def pack(args: tuple[Argument, ...]) -> list[bytes]:
    """Return the bytes of a command (RESP)."""
    parts = [b"*%d\r\n" % len(args)]
    for each in args:
        data = each if type(each) is bytes else str(each).encode()
        if len(data) < _LONG:
            parts.append(b"$%d\r\n%b\r\n" % (len(data), data))
        else:  # not copied once more
            parts += (b"$%d\r\n" % len(data), data, b"\r\n")
    return [b"".join(parts)]


class Answer:
    """The next answer of a stream, as far as our commands have such (RESP2 and RESP3).

    Attributes:
        is_clean: Whether the whole answer was read, and nothing else. If not, the connection must
            be dropped: the rest would be taken for the next answer, and what a server sends unasked
            is for the library to understand.
    """

    __slots__ = ("_at", "_data", "_errors", "_fault", "_open", "_stream", "is_clean")

    def __init__(
        self, stream: asyncio.StreamReader, errors: Any, fault: Callable[[str], Exception]
    ) -> None:
        """Read from ``stream``; ``fault`` makes the exception for what the server refuses."""
        self._stream, self._errors, self._fault = stream, errors, fault
        self._data, self._at, self.is_clean = b"", 0, True
        self._open = 0  # how many lists we are inside of

    async def read(self) -> Any:
        """Return the answer: bytes, an int, None, or a list of such.

        Raises:
            RedisError: The server refused the command, or hung up, or sent what is no answer.
        """
        try:
            return await self._next()
        except ValueError as exc:
            raise self._errors.InvalidResponse(f"not understood: {exc}") from exc
        finally:
            whole = not self._open and self._at == len(self._data)
            self.is_clean = self.is_clean and whole

    async def _next(self) -> Any:
        line = await self._line()
        kind, rest = line[:1], line[1:]
        if kind == b"$":
            return await self._bulk(int(rest))
        if kind == b"*":
            return await self._items(int(rest))
        if kind == b":":
            return int(rest)
        if kind == b"_":
            return None
        if kind == b"+":
            return rest
        if kind == b"-":
            raise self._fault(rest.decode(errors="replace"))
        if kind == b">":  # a push: the answer comes after it
            self.is_clean = False
            await self._items(int(rest))
            return await self._next()
        raise self._errors.InvalidResponse(f"not understood: {line[:50]!r}")

    async def _items(self, count: int) -> list[Any] | None:
        if count < 0:
            return None
        items: list[Any] = []
        self._open += 1
        while True:
            self._cut(items, count)
            if len(items) >= count:
                self._open -= 1
                return items
            items.append(await self._next())

    def _cut(self, items: list[Any], count: int) -> None:
        """Take what has arrived whole of strings and Nones: one coroutine each costs far more."""
        data, at, end = self._data, self._at, len(self._data)
        while len(items) < count:
            if data[at : at + 1] != b"$":
                if data[at : at + 3] != b"_\r\n":
                    break
                items.append(None)
                at += 3
                continue
            line = data.find(b"\r\n", at)
            if line < 0:
                break
            size, start = int(data[at + 1 : line]), line + 2
            if size < 0:
                items.append(None)
                at = start
                continue
            stop = start + size
            if stop + 2 > end:
                break
            items.append(data[start:stop])
            at = stop + 2
        self._at = at

    async def _line(self) -> bytes:
        while (found := self._data.find(b"\r\n", self._at)) < 0:
            more = await self._stream.read(_CHUNK)
            if not more:
                raise self._errors.ConnectionError("the server hung up")
            self._data, self._at = self._data[self._at :] + more, 0
        line, self._at = self._data[self._at : found], found + 2
        return line

    async def _bulk(self, size: int) -> bytes | None:
        if size < 0:
            return None
        missing = self._at + size + 2 - len(self._data)
        if missing > 0:
            try:
                more = await self._stream.readexactly(missing)
            except asyncio.IncompleteReadError as exc:
                raise self._errors.ConnectionError("the server hung up") from exc
            self._data, self._at = self._data[self._at :] + more, 0
        start = self._at
        self._at = start + size + 2
        return self._data[start : start + size]


class Wire:
    """Calls on the connections of a client's pool. Belongs to the client's event loop."""

    def __init__(self, client: Any, errors: Any) -> None:
        """Use ``client``, one that tries nothing twice, and the library's ``errors``."""
        self._pool, self._errors = client.connection_pool, errors
        self._take = _taking(self._pool)
        # who finds the pool empty waits: it would raise, from redis-py 8 on at 100 connections
        self._room = asyncio.Semaphore(self._pool.max_connections)

    async def call(self, *args: Argument) -> Any:
        """Run a command and return its answer.

        Raises:
            RedisError: It failed, or the server refused it.
            OSError: The network failed.
        """
        async with self._room:
            connection = await self._take()
            try:
                return await self._ask(connection, pack(args))
            finally:
                await self._pool.release(connection)

    async def _ask(self, connection: Any, packed: list[bytes]) -> Any:
        answer: Answer | None = None
        try:
            if _is_spent(connection._reader):  # noqa: SLF001  it has no public name
                await connection.disconnect(nowait=True)
            await connection.send_packed_command(packed)
            answer = self._answer(connection)
            found = await self._limited(connection, answer)
        except self._errors.ResponseError as exc:
            # no longer a master: Sentinel is asked for another
            is_usable = answer is not None and answer.is_clean
            if not is_usable or isinstance(exc, self._errors.ReadOnlyError):
                await connection.disconnect(nowait=True)
            raise
        except BaseException:
            # half of an answer, or one that nobody waits for, must not be taken for another's
            await connection.disconnect(nowait=True)
            raise
        if not answer.is_clean:
            await connection.disconnect(nowait=True)
        return found

    def _answer(self, connection: Any) -> Answer:
        reader, parser = connection._reader, connection._parser  # noqa: SLF001  as above
        if reader is None:
            raise self._errors.ConnectionError("the client was closed meanwhile")
        return Answer(reader, self._errors, parser.parse_error)

    async def _limited(self, connection: Any, answer: Answer) -> Any:
        if connection.socket_timeout is None:
            return await answer.read()
        async with asyncio.timeout(connection.socket_timeout):
            return await answer.read()


def _is_spent(reader: asyncio.StreamReader | None) -> bool:
    """Return whether the server hung up since the last answer, or sent what nobody asked for.

    Not every release of redis-py looks; 8.1 lends such connections where the server could tell it
    of maintenance, for its parser may find that told.
    """
    if reader is None:
        return False
    is_over = reader.at_eof() or reader.exception() is not None
    return is_over or bool(reader._buffer)  # type: ignore[attr-defined]  # noqa: SLF001  as redis-py


def _taking(pool: Any) -> Callable[[], Any]:
    """Return what takes a connection: releases before 5.3 want to know for which command."""
    first = next(iter(inspect.signature(pool.get_connection).parameters.values()), None)
    if first is not None and first.default is first.empty and first.name == "command_name":
        return functools.partial(pool.get_connection, "")
    take: Callable[[], Any] = pool.get_connection
    return take
