"""Looks after all open connections: how many there are, and what each of them needs at times."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from .clock import Clock
from .web import WebError

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

TASK = f"{(__package__ or '').partition('.')[0]}.care"


class Cared(Protocol):
    """A socket, stream or download that is looked after."""

    checked_at: float
    """When the user was authenticated last, by the clock's ``monotonic``."""

    @property
    def user(self) -> str | None:
        """Whose; None for what is allowed once and then goes to its end."""
        ...

    @property
    def connection(self) -> "HTTPConnection":
        """What they came by."""
        ...

    @property
    def patience(self) -> float | None:
        """Seconds that it may take nothing; None for as long as others."""
        ...

    @property
    def busy_since(self) -> float | None:
        """When the sending began that has not ended; None if nothing waits."""
        ...

    @property
    def spoke_at(self) -> float:
        """When something was sent last."""
        ...

    def ping(self) -> None:
        """Begin to send something, unless something is on its way."""
        ...

    def drop(self, reason: str) -> None:
        """End the connection from our side, also if it takes nothing any more."""
        ...


class CareLimits(Protocol):
    """What is refused or ended; seconds."""

    @property
    def connections(self) -> int:
        """How many there may be."""
        ...

    @property
    def connections_per_user(self) -> int:
        """How many of one user."""
        ...

    @property
    def ping(self) -> float:
        """Silence after which something is said."""
        ...

    @property
    def patience(self) -> float:
        """How long a client may take nothing."""
        ...

    @property
    def recheck(self) -> float:
        """After how long the user is authenticated anew."""
        ...


Recheck = Callable[["HTTPConnection", str], Awaitable[bool]]
Limits = TypeVar("Limits", bound=CareLimits)


class Care(Generic[Limits]):
    """One task for all connections: pings the silent, drops who takes nothing or lost access.

    A timer for each connection would cost more than the connection.
    """

    def __init__(
        self, limits: Limits, is_still: Recheck, clock: Clock, *, patiences: Sequence[float] = ()
    ) -> None:
        """Keep to ``limits``; nothing runs before the first connection.

        ``is_still`` says whether the same user is still signed in on an open connection;
        ``patiences`` are those of connections that have their own.
        """
        self.limits, self.clock = limits, clock
        self._is_still = is_still
        self._pause = min(limits.ping, limits.patience, limits.recheck, *patiences) / 4
        self._cared: set[Cared] = set()
        self._open: Counter[str] = Counter()
        self._total = 0
        self._task: asyncio.Task[Any] | None = None

    @property
    def connections(self) -> int:
        """How many sockets, streams, downloads and waiting requests there are."""
        return self._total

    def come(self, user: str) -> None:
        """Count a connection; :meth:`go` must follow.

        Raises:
            WebError: 429, the user has too many; 503, there are too many.
        """
        if self._open[user] >= self.limits.connections_per_user:
            raise WebError(429, "too many connections are open")
        if self._total >= self.limits.connections:
            raise WebError(503, "too many connections are open")
        self._open[user] += 1
        self._total += 1

    def go(self, user: str) -> None:
        """Count a connection no more."""
        self._open[user] -= 1
        self._total -= 1
        if not self._open[user]:
            del self._open[user]

    @contextlib.contextmanager
    def room(self, user: str) -> Generator[None, None, None]:
        """Count a connection within the block; raises as :meth:`come`."""
        self.come(user)
        try:
            yield
        finally:
            self.go(user)

    def begin(self, client: Cared) -> None:
        """Look after ``client``; :meth:`end` must follow."""
        # apart from `of`: a context manager costs 0.7 KiB for as long as a connection is open
        self._cared.add(client)
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            self._task = loop.create_task(self._run(), name=TASK)

    def end(self, client: Cared) -> None:
        """Look after ``client`` no more."""
        self._cared.discard(client)
        if not self._cared and self._task is not None:
            self._task.cancel()
            self._task = None

    @contextlib.contextmanager
    def of(self, client: Cared) -> Generator[None, None, None]:
        """Look after ``client`` within the block."""
        self.begin(client)
        try:
            yield
        finally:
            self.end(client)

    def close(self) -> None:
        """End all that is looked after, for a server that stops."""
        for client in list(self._cared):
            client.drop("stopping")

    async def _run(self) -> None:
        while True:
            await self.clock.sleep(self._pause)
            for client in list(self._cared):
                if client in self._cared:
                    await self._look_at(client)

    async def _look_at(self, client: Cared) -> None:
        now, limits = self.clock.monotonic(), self.limits
        patience = limits.patience if client.patience is None else client.patience
        if client.busy_since is not None and now - client.busy_since > patience:
            client.drop("slow")
            return
        if client.user is None:
            return
        if now - client.checked_at > limits.recheck:
            client.checked_at = now
            if not await self._is_still(client.connection, client.user):
                client.drop("signed_out")
                return
        if now - client.spoke_at > limits.ping:
            client.ping()
