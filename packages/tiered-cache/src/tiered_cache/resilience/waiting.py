"""Those who wait for another process to compute a key: no connection, one entry in a dict."""

import asyncio

from .._common.clock import Clock, wait_event


class Waiting:
    """Who waits for which key. Belongs to one event loop at a time."""

    def __init__(self, clock: Clock) -> None:
        """Nobody waits."""
        self._clock = clock
        self._events: dict[str, tuple[asyncio.Event, int]] = {}

    async def wait(self, name: str, seconds: float) -> None:
        """Wait until ``name`` is ready, at most ``seconds``."""
        event, count = self._events.get(name) or (asyncio.Event(), 0)
        self._events[name] = event, count + 1
        try:
            await wait_event(event, seconds, self._clock)
        finally:
            left = self._events.get(name)
            if left is not None and left[0] is event:
                if left[1] > 1:
                    self._events[name] = event, left[1] - 1
                else:
                    del self._events[name]

    def ready(self, name: str) -> None:
        """Wake those who wait for ``name``."""
        if (found := self._events.pop(name, None)) is not None:
            found[0].set()

    def detach(self) -> None:
        """Forget those who waited on another event loop."""
        self._events = {}
