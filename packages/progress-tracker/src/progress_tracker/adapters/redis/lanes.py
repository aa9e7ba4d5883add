"""Connections to Redis: few, held open, each for one call at a time.

The library's own client takes a connection from its pool, looks whether it is alive, counts and
measures each command, which costs more than the script. We use the library's connections.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from ..._common.extras import require
from ..._common.transports import abandon, own
from ..._common.urls import redact
from ...errors import BackendError, ConfigurationError
from .scripts import Script

Connection = Any
"""One of redis-py, whose own types say little."""
# what a server says that will serve again later, or that another server serves in its place
_PASSING = (
    "LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "MISCONF", "NOREPLICAS",
    "UNKILLABLE",
)  # fmt: skip
_TRIES = 3


class Lanes:
    """Calls of one event loop to one server. ``aclose`` disconnects; a later call connects."""

    def __init__(self, url: str, *, timeout: float, most: int) -> None:
        """Do no I/O.

        Args:
            url: ``redis://``, ``rediss://`` or ``unix://``.
            timeout: Seconds within which each call ends.
            most: How many connections at once.

        Raises:
            MissingExtraError: The library is not installed.
        """
        self._client: Any = require("redis.asyncio", dist="progress-tracker", extra="redis")
        self._errors: Any = require("redis.exceptions", dist="progress-tracker", extra="redis")
        self._url, self._timeout, self._most = url, timeout, most
        self._address: tuple[str, int] | None = None
        self._pool: Any = None
        self._idle: list[Connection] = []
        self._gate = asyncio.Semaphore(most)

    async def run(self, script: Script, key: bytes, *arguments: bytes, again: bool = True) -> bytes:
        """Run a script on ``key`` and return its answer.

        Args:
            script: Which.
            key: Its only key; the others share its slot.
            arguments: Its ARGV.
            again: Whether to run it a second time if the connection broke: for calls that do no
                harm twice.

        Raises:
            BackendError: It failed, is full, or did not answer in time.
        """
        try:
            return await self._tried(_command(b"EVALSHA", script.sha, key, arguments), again=again)
        except self._errors.NoScriptError:
            pass  # a server that was restarted, or a replica that took over
        except self._errors.RedisError as exc:
            raise self.fault(exc) from exc
        try:
            return await self._tried(_command(b"EVAL", script.text, key, arguments), again=again)
        except self._errors.RedisError as exc:
            raise self.fault(exc) from exc

    async def _tried(self, command: Sequence[bytes], *, again: bool) -> bytes:
        for left in reversed(range(_TRIES)):
            try:
                answer: bytes = await self._call(command)
            except self._errors.MovedError as exc:
                self._move(exc.host, exc.port)
                if not left:
                    raise
            except TimeoutError as exc:
                self.detach()
                raise BackendError(
                    f"{redact(self._url)} did not answer within {self._timeout:g} s",
                    retryable=True,
                ) from exc
            except (self._errors.ConnectionError, OSError) as exc:
                # those opened before are of a server that is gone, most likely
                self.detach()
                refused = isinstance(exc, self._errors.AuthenticationError)
                if not left or not again or refused:
                    raise self.fault(exc) from exc
                await asyncio.sleep(0)
            else:
                return answer
        raise AssertionError("unreachable")  # the last attempt returned or raised

    async def _call(self, command: Sequence[bytes]) -> Any:
        gate = self._gate
        if gate.locked() or not self._idle:
            async with asyncio.timeout(self._timeout):
                await gate.acquire()
                try:
                    lane = self._idle.pop() if self._idle else await self.open()
                    return await self._ask(lane, command)
                finally:
                    gate.release()
        await gate.acquire()
        lane = self._idle.pop()
        # half the price of asyncio.timeout, and all that it would do here
        late = asyncio.get_running_loop().call_later(self._timeout, drop, lane)
        try:
            return await self._ask(lane, command)
        except (self._errors.ConnectionError, OSError) as exc:
            if late.when() <= asyncio.get_running_loop().time():
                raise TimeoutError from exc
            raise
        finally:
            late.cancel()
            gate.release()

    async def _ask(self, lane: Connection, command: Sequence[bytes]) -> Any:
        idle = self._idle
        try:
            await lane.send_packed_command(command, check_health=False)
            answer = await lane.read_response()
        except self._errors.ResponseError:
            self._put_back(lane, idle)  # the server refused the command, no more
            raise
        except BaseException:
            drop(lane)
            raise
        self._put_back(lane, idle)
        return answer

    def _put_back(self, lane: Connection, idle: list[Connection]) -> None:
        if idle is self._idle:
            idle.append(lane)
        else:  # all were let go meanwhile
            drop(lane)

    async def open(self) -> Connection:
        """Return a new connection, connected. Its errors are the library's."""
        if self._pool is None:
            self._pool = self._made_pool()
        lane: Connection = self._pool.make_connection()
        try:
            await lane.connect()
        except BaseException:
            drop(lane)
            raise
        own(lane)
        return lane

    def _made_pool(self) -> Any:
        # time limits and second tries are ours: the library's would multiply
        retry = require("redis.asyncio.retry", dist="progress-tracker", extra="redis")
        backoff = require("redis.backoff", dist="progress-tracker", extra="redis")
        none = retry.Retry(backoff.NoBackoff(), 0)
        try:
            pool = self._client.ConnectionPool.from_url(
                self._url, socket_timeout=None, socket_connect_timeout=None, retry=none
            )
            pool.connection_kwargs |= {"decode_responses": False}
            if self._address is not None:
                host, port = self._address
                pool.connection_kwargs |= {"host": host, "port": port}
            pool.make_connection()
        except (TypeError, ValueError) as exc:
            option = str(exc).partition("unexpected keyword argument ")[2]
            why = f"unknown option {option}; known: prefix, timeout, pool, and redis-py's"
            raise ConfigurationError(
                f"not a Redis URL: {redact(self._url)} ({why if option else exc})"
            ) from exc
        return pool

    def _move(self, host: str, port: int) -> None:
        """Follow a cluster's word of who keeps our slot."""
        known = self._address or (None, None)
        self._address = (host or known[0] or "127.0.0.1", port)
        self.detach()

    def fault(self, exc: BaseException) -> Exception:
        """Return our error for one of the library's or the network's."""
        if isinstance(exc, BackendError):
            return exc
        text = f"{redact(self._url)}: {type(exc).__name__}: {str(exc)[:300]}"
        if "command not allowed when used memory" in str(exc):
            return BackendError(text, retryable=True)  # the server is full: somebody may make room
        refused = isinstance(exc, self._errors.ResponseError | self._errors.AuthenticationError)
        passing = isinstance(exc, self._errors.BusyLoadingError | self._errors.ReadOnlyError)
        passing = passing or any(word in str(exc)[:60] for word in _PASSING)
        if passing:
            self._address = None
            self.detach()
        return BackendError(text, retryable=passing or not refused)

    async def aclose(self) -> None:
        """Disconnect."""
        self.detach()

    def detach(self) -> None:
        """Let go of the connections; no I/O on any event loop."""
        idle, self._idle, self._pool = self._idle, [], None
        self._gate = asyncio.Semaphore(self._most)
        for lane in idle:
            drop(lane)


def drop(lane: Connection) -> None:
    """Close a connection without a word to the server, whatever state and loop it is in."""
    if getattr(lane, "_writer", None) is not None and abandon(lane):
        lane._reader = lane._writer = None  # noqa: SLF001  else the library would warn of it


def _command(word: bytes, text: bytes, key: bytes, arguments: Sequence[bytes]) -> list[bytes]:
    head = b"*%d\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$1\r\n1\r\n$%d\r\n%b\r\n" % (
        3 + 1 + len(arguments), len(word), word, len(text), text, len(key), key,
    )  # fmt: skip
    if sum(map(len, arguments)) < 4096:
        return [head + b"".join(b"$%d\r\n%b\r\n" % (len(each), each) for each in arguments)]
    parts = [head]
    for each in arguments:
        parts += (b"$%d\r\n" % len(each), each, b"\r\n")
    return parts
