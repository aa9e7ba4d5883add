"""Connections to Redis: few, held open, each for one call at a time.

The library's own client takes a connection from its pool, looks whether it is alive, counts and
measures each command, which costs more than a script. We use the library's connections.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from ..errors import BackendError
from .extras import require
from .redis_wire import Connection, Script, command, connections, drop, redirected
from .transports import own
from .urls import redact

# what a server says that will serve again later, or that another server serves in its place
_PASSING = (
    "LOADING", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "BUSY", "MISCONF", "NOREPLICAS",
    "UNKILLABLE", "ASK ",
)  # fmt: skip
_TRIES = 3


class Lanes:
    """Calls of one event loop to one server. ``aclose`` disconnects; a later call connects."""

    def __init__(
        self,
        url: str,
        *,
        dist: str,
        full: type[BackendError] = BackendError,
        timeout: float,
        most: int,
    ) -> None:
        """Do no I/O.

        Args:
            url: ``redis://``, ``rediss://`` or ``unix://``.
            dist: The distribution, for the message about a missing extra.
            full: What is raised where the server has no room.
            timeout: Seconds within which each call ends.
            most: How many connections at once.

        Raises:
            MissingExtraError: The library is not installed.
        """
        require("redis.asyncio", dist=dist, extra="redis")
        self._errors: Any = require("redis.exceptions", dist=dist, extra="redis")
        self._dist, self._full = dist, full
        self._url, self._timeout, self._most = url, timeout, most
        self._address: tuple[str, int] | None = None  # None: what the URL says
        self._other: tuple[str, int] | None = None
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
            return await self._tried(command(b"EVALSHA", script.sha, key, arguments), again=again)
        except self._errors.NoScriptError:
            pass  # a server that was restarted, or a replica that took over
        except self._errors.RedisError as exc:
            raise self.fault(exc) from exc
        try:
            return await self._tried(command(b"EVAL", script.text, key, arguments), again=again)
        except self._errors.RedisError as exc:
            raise self.fault(exc) from exc

    async def _tried(self, packed: Sequence[bytes], *, again: bool) -> bytes:
        for left in reversed(range(_TRIES)):
            try:
                answer: bytes = await self._call(packed)
            except self._errors.ResponseError as exc:
                if (place := redirected(exc, self._errors.MovedError)) is None or not left:
                    raise
                self._move(*place)
            except TimeoutError as exc:
                self._lose()
                text = f"{redact(self._url)} did not answer within {self._timeout:g} s"
                raise BackendError(text, retryable=True) from exc
            except (self._errors.ConnectionError, OSError) as exc:
                # those opened before are of a server that is gone, most likely
                self._lose()
                refused = isinstance(exc, self._errors.AuthenticationError)
                if not left or not again or refused:
                    raise self.fault(exc) from exc
                await asyncio.sleep(0)
            else:
                return answer
        raise AssertionError("unreachable")  # the last attempt returned or raised

    async def _call(self, packed: Sequence[bytes]) -> Any:
        gate = self._gate
        if gate.locked() or not self._idle:
            async with asyncio.timeout(self._timeout):
                await gate.acquire()
                try:
                    lane = self._idle.pop() if self._idle else await self.open()
                    return await self._ask(lane, packed)
                finally:
                    gate.release()
        await gate.acquire()
        lane = self._idle.pop()
        # half the price of asyncio.timeout, and all that it would do here
        late = asyncio.get_running_loop().call_later(self._timeout, drop, lane)
        try:
            return await self._ask(lane, packed)
        except (self._errors.ConnectionError, OSError) as exc:
            if late.when() <= asyncio.get_running_loop().time():
                raise TimeoutError from exc
            raise
        finally:
            late.cancel()
            gate.release()

    async def _ask(self, lane: Connection, packed: Sequence[bytes]) -> Any:
        idle = self._idle
        try:
            await lane.send_packed_command(packed, check_health=False)
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
            self._pool = connections(self._url, self._dist, self._address)
        lane: Connection = self._pool.make_connection()
        try:
            await lane.connect()
        except BaseException:
            drop(lane)
            raise
        own(lane)
        return lane

    def _move(self, host: str, port: int) -> None:
        """Follow a cluster's word of who keeps our slot."""
        known = self._address or (None, None)
        self._address, self._other = (host or known[0] or "127.0.0.1", port), None
        self.detach()

    def _lose(self) -> None:
        """Ask elsewhere: whom a cluster named, or the URL's server, which may name another."""
        self._address, self._other = self._other, self._address
        self.detach()

    def fault(self, exc: BaseException) -> Exception:
        """Return our error for one of the library's or the network's."""
        if isinstance(exc, BackendError):
            return exc
        text = f"{redact(self._url)}: {type(exc).__name__}: {str(exc)[:300]}"
        e = self._errors
        # in a script of Redis 6.2 it is an error like others
        if isinstance(exc, e.OutOfMemoryError) or "command not allowed when used" in str(exc):
            return self._full(text, retryable=True)  # somebody may make room
        refused = isinstance(exc, e.ResponseError | e.AuthenticationError)
        # AskError: the slot is on its way to another node
        brief = isinstance(exc, e.BusyLoadingError | e.ReadOnlyError | e.AskError)
        if passing := brief or any(word in str(exc)[:60] for word in _PASSING):
            self._lose()
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
