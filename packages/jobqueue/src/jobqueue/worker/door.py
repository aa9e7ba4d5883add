"""The doorman behind blocking calls, in whatever processes and threads somebody else starts."""

import asyncio
import logging
import os
from collections.abc import Callable, Coroutine, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .._common.home import at_home
from .._common.portal import Portal
from .._common.telemetry import inject
from .doorman import Doorman, House, Ring

if TYPE_CHECKING:
    from ..service import JobQueue

logger = logging.getLogger(__name__)
_PATIENCE = 10.0


class Door:
    """One doorman per process, on an event loop in a thread, started by the first ring.

    Safe for threads and forks; its methods block and never raise.
    """

    def __init__(self, queue: "JobQueue", ring: Ring) -> None:
        """Stand before ``queue``; ``ring`` wakes others."""
        self._queue, self._ring = queue, ring
        self._home = queue._home  # noqa: SLF001  jobs run on the loop where the queue has its clients
        self._portal = Portal("jobqueue-doorman")
        self._leash: int | None = None
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._doorman: Doorman | None = None
        self._house: House | None = None
        self._opening = asyncio.Lock()

    @property
    def names(self) -> Sequence[str]:
        """The queues that are served."""
        return Doorman(self._queue, self._ring).names

    def obey(self, leash: int) -> None:
        """Wind down once the file descriptor ``leash`` can be read. Before the first ring."""
        self._leash = leash

    def preload(self) -> None:
        """Import, on this thread, what ours would: before processes are forked from here."""
        import_module("jobqueue.worker.metrics")
        inject()  # imports OpenTelemetry, if it is there
        "localhost".encode("idna")  # what every look-up of a name imports
        self._queue.broker.preload()

    def answer(self, name: object) -> None:
        """Run jobs of the queue ``name``; anything else than a name of ours is ignored."""
        if isinstance(name, str) and name in self.names:
            self._attempt(self._answer, name)

    @at_home
    async def _answer(self, name: str) -> None:
        await (await self._opened()).answer(name)

    async def _opened(self) -> Doorman:
        async with self._opening:
            if self._doorman is None:
                doorman = Doorman(self._queue, self._ring)
                await doorman.open()
                self._doorman = doorman
                if self._leash is not None:
                    asyncio.get_running_loop().add_reader(self._leash, self._pulled, self._leash)
        return self._doorman

    def _pulled(self, leash: int) -> None:
        asyncio.get_running_loop().remove_reader(leash)
        if self._doorman is not None:
            self._doorman.stop()

    def keep_house(self) -> None:
        """Begin to do what one process of a worker does for all."""
        self._attempt(self._keep)

    @at_home
    async def _keep(self) -> None:
        if self._house is None:
            house = House(self._queue, self._ring)
            await house.open()
            self._house = house

    def leave_house(self) -> None:
        """Do it no longer."""
        if self._is_used():
            self._attempt(self._leave)

    @at_home
    async def _leave(self) -> None:
        house, self._house = self._house, None
        if house is not None:
            await house.aclose()

    def close(self) -> None:
        """Release what runs and disconnect."""
        if self._is_used():
            self._attempt(self._close)

    @at_home
    async def _close(self) -> None:
        doorman, self._doorman = self._doorman, None
        async with asyncio.timeout(_PATIENCE):
            await self._leave()
            if doorman is not None:
                await doorman.aclose()
            await self._queue.aclose()

    def _is_used(self) -> bool:
        """Whether anything was started in this process; its parent's does not count."""
        started = self._doorman is not None or self._house is not None
        return started and self._pid == os.getpid()

    def _attempt(self, work: Callable[..., Coroutine[Any, Any, None]], *args: Any) -> None:
        if self._pid != os.getpid():
            self._reset()
        try:
            self._portal.block(work, *args)
        except Exception:
            # whoever rang can do nothing about it, and the message is not to blame
            logger.exception("door.failed")
