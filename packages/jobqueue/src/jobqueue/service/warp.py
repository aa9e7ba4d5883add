"""A clock that tests can move on without waiting."""

from .._common.clock import Clock, FakeClock


class WarpClock:
    """A clock that runs with another one, some seconds ahead of it."""

    def __init__(self, base: Clock) -> None:
        """Run with ``base``."""
        self._base, self._ahead = base, 0.0

    def time(self) -> float:
        """Return the seconds since the epoch."""
        return self._base.time() + self._ahead

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        return self._base.monotonic() + self._ahead

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` of the base clock."""
        await self._base.sleep(seconds)

    async def advance(self, seconds: float) -> None:
        """Move on by ``seconds``."""
        if isinstance(self._base, FakeClock):
            await self._base.advance(seconds)
        else:
            self._ahead += seconds
