"""Leases: which process computes a key, and those who wait for it."""

import asyncio
import contextlib
import weakref
from abc import abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from .._common.clock import Clock, new_id
from .._common.home import Home
from ..errors import BackendError
from ..keys import stored_key
from ..ports import Backplane, Message
from .figures import Figures
from .waiting import Waiting

T = TypeVar("T")
_AT_ONCE = 250


@dataclass(slots=True, eq=False, weakref_slot=True)
class Lease:
    """The right of this process to compute a key, for as long as it is renewed.

    One that nobody has hold of any more is not renewed: its holder was interrupted, or cancelled
    with its event loop, at a moment at which it could not give it back.
    """

    name: str
    token: str
    renewal: "asyncio.Task[None] | None" = None


_Asked = tuple[Lease, "asyncio.Future[bool | None]"]


class _Group:
    """Those who look at the same moment."""

    def __init__(self) -> None:
        self.count, self.has_left, self.ended = 0, False, asyncio.Event()

    def leave(self) -> None:
        """Take nobody more."""
        self.has_left = True


class Leases(Figures):
    """What ``SharedLevel`` does so that one process computes a key."""

    backplane: Backplane | None

    def __init__(self, *, home: Home, clock: Clock, lease: float) -> None:
        """Let leases end after ``lease`` seconds; 0 for none."""
        self._home, self._clock, self._lease = home, clock, lease
        self.waiting = Waiting(clock)
        self._asked: list[_Asked] = []
        self._asking: asyncio.Task[None] | None = None
        self._group: _Group | None = None

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether the breaker keeps calls away."""

    @abstractmethod
    def gather_reads(self) -> None:
        """Let all reads of this turn of the event loop share one call, the first one too."""

    @property
    def has_leases(self) -> bool:
        """Whether processes agree on who computes a key."""
        return self._lease > 0

    def detach_leases(self) -> None:
        """Forget what is bound to another event loop."""
        self.waiting.detach()
        self._asked, self._asking, self._group = [], None, None

    # -- asking: one call at a time, with all who came meanwhile --------------------------------

    async def acquire(self, key: str) -> Lease | bool:
        """Return the lease of ``key``, False if another process has it, True without an answer."""
        lease = Lease(stored_key(key), new_id())
        took = None if self.is_open else await self._home.run(self._ask_for, lease)
        if took is None or not took:
            return took is None
        return await self._home.run(self._renewed, lease)

    async def _ask_for(self, lease: Lease) -> bool | None:
        answer: asyncio.Future[bool | None] = asyncio.get_running_loop().create_future()
        self._asked.append((lease, answer))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask(self._asked), name="cache-ask")
        return await answer

    async def _ask(self, queue: list[_Asked]) -> None:
        asked: list[_Asked] = []
        try:
            while queue:
                asked, queue[:_AT_ONCE] = queue[:_AT_ONCE], []
                pairs = [(lease.name, lease.token) for lease, _ in asked]
                took = await self._call(partial(self._take, pairs), replay=False)
                _settle(asked, took)
        except (Exception, asyncio.CancelledError):
            _settle(asked + queue, None)
            queue.clear()
            raise
        finally:
            if self._asked is queue:  # else another event loop has one of its own
                self._asking = None

    async def _take(self, pairs: Sequence[tuple[str, str]]) -> Sequence[bool]:
        return await self.remote.acquire_many(pairs, self._lease)

    # -- looking: all who wait, together -------------------------------------------------------

    async def together(self, look: Callable[[], Awaitable[T]]) -> T:
        """Await ``look``, which reads, with all who wait to: their reads share one call."""
        if not self._home.is_here():
            return await look()
        while (group := self._group) is not None and group.has_left:
            await group.ended.wait()
        if group is None:
            group = self._group = _Group()
            self.gather_reads()
            asyncio.get_running_loop().call_soon(group.leave)
        group.count += 1
        try:
            return await look()
        finally:
            group.count -= 1
            if group.count == 0:
                group.ended.set()
                self._group = None if self._group is group else self._group

    # -- holding -------------------------------------------------------------------------------

    async def _renewed(self, lease: Lease) -> Lease:
        renewal = self._renew(weakref.ref(lease))
        lease.renewal = asyncio.create_task(renewal, name="cache-lease")
        return lease

    async def _renew(self, held: "weakref.ref[Lease]") -> None:
        while True:
            await self._clock.sleep(self._lease / 3)
            lease = held()
            if lease is None or await self._ask_for(lease) is False:
                return  # too late: another process computes it, too
            del lease

    async def release(self, lease: Lease) -> None:
        """Let another process compute the key, and tell those that wait for it."""
        self._home.stop(lease.renewal)
        released = await self._call(
            lambda: self.remote.release(lease.name, lease.token), replay=False
        )
        if released and self.backplane is not None and not self.remote.capabilities.announces:
            with contextlib.suppress(BackendError):  # they look by themselves, a little later
                await self._home.run(self.backplane.publish, Message(ready=[lease.name]))

    async def wait_ready(self, key: str, seconds: float) -> None:
        """Wait until another process tells that it is done with ``key``, at most ``seconds``."""
        await self._home.run(self.waiting.wait, stored_key(key), seconds)


def _settle(asked: Sequence[_Asked], took: Sequence[bool] | None) -> None:
    """Tell each who asked; None where there was no answer."""
    for at, (_, answer) in enumerate(asked):
        if not answer.done():
            answer.set_result(None if took is None else took[at])
