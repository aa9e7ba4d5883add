"""The calls that are running: closing waits for them, because they use what is closed."""

import asyncio
import contextlib
from collections.abc import Generator


class Calls:
    """Counts calls on the home loop."""

    def __init__(self) -> None:
        """None is running."""
        self.closing = False
        self._running = 0
        self._idle = asyncio.Event()

    @contextlib.contextmanager
    def one(self) -> Generator[None, None, None]:
        """Count one call during the block."""
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            if self._running == 0:
                self._idle.set()

    async def ended(self) -> None:
        """Let nobody in any more and wait until nobody is inside."""
        self.closing = True
        try:
            while self._running:
                self._idle.clear()
                await self._idle.wait()
        except BaseException:
            self.closing = False  # the closing was called off
            raise
