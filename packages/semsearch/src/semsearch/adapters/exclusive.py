"""Work on data in memory, one at a time, without holding up the event loop."""

import asyncio
import os
import threading
from collections.abc import Callable
from typing import TypeVar

from .._common.forks import ForkGate

T = TypeVar("T")
_gate = ForkGate()


class Exclusive:
    """Lets one thread at a time at some data. Forks wait until nobody is in the middle of it."""

    def __init__(self) -> None:
        """Nobody is inside."""
        self._lock, self._pid = threading.Lock(), os.getpid()

    async def run(self, work: Callable[[], T], *, long: bool) -> T:
        """Do ``work`` alone; on the event loop if it is short and nobody is inside.

        Once begun in a thread it is done to its end, whatever becomes of the caller.
        """
        if not long:
            with _gate.inside():
                if self._lock.acquire(blocking=False):
                    try:
                        return work()
                    finally:
                        self._lock.release()
        return await asyncio.to_thread(self._whole, work)

    def _whole(self, work: Callable[[], T]) -> T:
        with _gate.inside(), self._lock:
            return work()

    def inside(self) -> threading.Lock:
        """Be alone during a ``with`` block of a thread that holds forks off by itself."""
        return self._lock

    def detach(self) -> bool:
        """Have a lock of this process's own; return whether a fork cut somebody's work in two."""
        if self._pid == os.getpid():
            return False
        cut = self._lock.locked()
        self._lock, self._pid = threading.Lock(), os.getpid()
        return cut
