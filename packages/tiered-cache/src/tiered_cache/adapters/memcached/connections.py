"""Connections to one memcached, on which several commands reach the same life of the server.

A server that was restarted counts the tokens of its items from one again: a token of its last life
may fit an item of this one. A connection ends with the server, so what is read and changed by it
belongs together.
"""

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from ..._common.extras import require
from ..._common.urls import query_of, redact
from ...errors import BackendError, ConfigurationError

PORT = 11211
_POOL = 4
_MONTH = 30 * 24 * 3600
_STORED = b"STORED"
_REFUSED = {b"NOT_STORED", b"EXISTS", b"NOT_FOUND"}


Items = tuple[Mapping[bytes, bytes], Mapping[bytes, int]]
"""What is there of some names, and the tokens."""


class Put(NamedTuple):
    """An item to be stored: in place of the one with ``token``, or where there is none.

    Attributes:
        name: Its name.
        data: Its bytes.
        life: Seconds that it is kept; 0 for as long as there is room.
        token: Of the item that it replaces; None for no item.
    """

    name: bytes
    data: bytes
    life: float
    token: int | None

    def command(self) -> bytes:
        """Return what the server is told."""
        word, token = (b"add", b"") if self.token is None else (b"cas", b" %d" % self.token)
        # more than a month would be read as a date
        life = max(1, min(_MONTH, int(self.life) + 1)) if self.life else 0
        head = b"%s %s 0 %d %d%s" % (word, self.name, life, len(self.data), token)
        return b"%s\r\n%s\r\n" % (head, self.data)


class Held:
    """One connection, held by one caller."""

    def __init__(self, client: Any, connection: Any) -> None:
        """Speak by ``connection`` of ``client``."""
        self._client, self._connection = client, connection

    async def gets(self, names: Sequence[bytes]) -> Items:
        """Return the items that are there and their tokens."""
        wanted = dict.fromkeys(names)
        if not wanted:
            return {}, {}
        # no way without the underscore gives tokens of several items, nor holds the connection
        found: Items = await self._client._multi_get(self._connection, *wanted)  # noqa: SLF001
        if 0 in found[1].values():
            raise _Refused("the server must keep tokens: start it without -C (--disable-cas)")
        return found

    async def put(self, items: Sequence[Put]) -> list[bool]:
        """Store items in one round trip; return for each whether it found what it replaces."""
        if not items:
            return []
        answers = await self._exchange([item.command() for item in items])
        for answer in answers:
            if answer != _STORED and answer not in _REFUSED:
                raise _Refused(answer.decode(errors="replace"))
        return [answer == _STORED for answer in answers]

    async def add_to(self, name: bytes, number: int) -> int | None:
        """Add to a number and return the sum; None where there is none."""
        (answer,) = await self._exchange([b"incr %s %d\r\n" % (name, number)])
        if answer == b"NOT_FOUND":
            return None
        if not answer.isdigit():
            raise _Refused(answer.decode(errors="replace"))
        return int(answer)

    async def _exchange(self, commands: Sequence[bytes]) -> list[bytes]:
        reader, writer = self._connection
        writer.write(b"".join(commands))
        await writer.drain()
        return [(await reader.readline()).removesuffix(b"\r\n") for _ in commands]


class _Refused(Exception):
    """The server did not take a command."""


class Connections:
    """The connections of one event loop to one server."""

    def __init__(self, url: str) -> None:
        """Describe the server; the first call connects.

        Raises:
            ConfigurationError: The URL names no host, or has options.
        """
        query_of(url, allowed=frozenset())
        parts = urlsplit(url)
        if not parts.hostname:
            raise ConfigurationError(f"no host in {redact(url)!r}: memcached://host:{PORT}")
        self.url = redact(url)
        try:
            self._host, self._port = parts.hostname, parts.port or PORT
        except ValueError as exc:
            raise ConfigurationError(f"{self.url!r}: {exc}") from exc
        # now: importing takes longer than the first call may
        self._library: Any = require("aiomcache", dist="tiered-cache", extra="memcached")
        self._client: Any = None

    def _opened(self) -> Any:
        if self._client is None:
            self._client = self._library.Client(self._host, self._port, pool_size=_POOL)
            _mend(self._client._pool)  # noqa: SLF001  no other way to it
        return self._client

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncGenerator[Held, None]:
        """Give a connection to one caller.

        Raises:
            BackendError: The server could not be reached or refused a command.
        """
        client = self._opened()
        pool = client._pool  # noqa: SLF001  no other way to it
        try:
            connection = await pool.acquire()
            try:
                yield Held(client, connection)
            except BaseException as exc:
                # an answer may be on its way that the next command would take for its own
                connection.reader.set_exception(_ended(exc))
                raise
            finally:
                pool.release(connection)
        except (self._library.exceptions.ClientException, _Refused, OSError, EOFError) as exc:
            text = f"{self.url}: {type(exc).__name__}: {str(exc)[:200]}"
            raise BackendError(text, retryable=isinstance(exc, OSError | EOFError)) from exc

    async def aclose(self) -> None:
        """Close them; a later call connects again."""
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(OSError):
                await client.close()

    def detach(self) -> None:
        """Forget them without I/O."""
        self._client = None


def _ended(exc: BaseException) -> Exception:
    return exc if isinstance(exc, Exception) else ConnectionError("its command was cancelled")


def _mend(pool: Any) -> None:
    """Let a connection of the library end where its server did.

    It waits for the rest of an answer that ended without letting anything else run, for ever.
    """
    connect = pool._create_new_conn  # noqa: SLF001  no other way to it

    async def connected() -> Any:
        connection = await connect()
        if connection is not None:
            connection.reader.readline = partial(_whole_line, connection.reader.readline)
        return connection

    pool._create_new_conn = connected  # noqa: SLF001  as above


async def _whole_line(read: Callable[[], Awaitable[bytes]]) -> bytes:
    line = await read()
    if not line.endswith(b"\n"):
        raise ConnectionResetError("the server ended the connection")
    return line
