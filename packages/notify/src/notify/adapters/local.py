"""A doorbell between the services, loops and threads of one process."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from ..ports import (
    Backplane,
)


@dataclass
class _Hub:
    lock: threading.Lock = field(default_factory=threading.Lock)
    ears: list[Callable[[frozenset[str]], None]] = field(default_factory=list)


class MemoryBackplane(Backplane):
    """Rings within one process, also between threads."""

    def __init__(self, *, hub: object = None) -> None:
        """Start a new hub (``hub`` is what ``twin`` passes on)."""
        self._hub = hub if isinstance(hub, _Hub) else _Hub()

    def twin(self) -> "MemoryBackplane":
        """Return a second backplane that hears the first, for another service."""
        return MemoryBackplane(hub=self._hub)

    async def publish(self, users: Collection[str]) -> None:
        with self._hub.lock:
            ears = list(self._hub.ears)
        for ear in ears:
            ear(frozenset(users))

    async def listen(self, heard: Callable[[Collection[str] | None], None]) -> None:
        loop = asyncio.get_running_loop()

        def ear(users: frozenset[str]) -> None:
            with contextlib.suppress(RuntimeError):  # its loop was closed without a word
                loop.call_soon_threadsafe(heard, users)

        with self._hub.lock:
            self._hub.ears.append(ear)
        try:
            await loop.create_future()
        finally:
            with self._hub.lock:
                self._hub.ears.remove(ear)
