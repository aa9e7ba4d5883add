"""Whose clock it is: tests move time on, servers have their own."""

import os
import time

from ._common.clock import Clock, FakeClock


def ordered_id() -> str:
    """Return an unguessable id: 48 bits of the time in milliseconds, then 80 random ones, in hex.

    Ids that grow are put at the end of a database's index, not all over it: "UUIDv7", RFC 9562,
    section 5.7, whose version bits are left out.
    """
    return ordered_ids(1)[0]


def ordered_ids(count: int) -> list[str]:
    """Return ids like that of :func:`ordered_id` for jobs stored together, in their order.

    The system is asked for random bytes once, which takes longer than all the rest.
    """
    moment = f"{time.time_ns() // 1_000_000:012x}"
    random = os.urandom(10 * count).hex()
    return sorted(moment + random[at : at + 20] for at in range(0, 20 * count, 20))


class WarpClock:
    """A clock that runs with another one, some seconds ahead of it."""

    def __init__(self, base: Clock) -> None:
        """Run with ``base``."""
        self.base, self.ahead = base, 0.0

    def time(self) -> float:
        """Return the seconds since the epoch."""
        return self.base.time() + self.ahead

    def monotonic(self) -> float:
        """Return seconds that never run backwards."""
        return self.base.monotonic() + self.ahead

    async def sleep(self, seconds: float) -> None:
        """Return after ``seconds`` of the base clock."""
        await self.base.sleep(seconds)

    async def advance(self, seconds: float) -> None:
        """Move on by ``seconds``."""
        if isinstance(self.base, FakeClock):
            await self.base.advance(seconds)
        else:
            self.ahead += seconds


def told(clock: Clock | None) -> tuple[float | None, float]:
    """Return what a server must be told about the time, whose own clock decides otherwise.

    Returns:
        The absolute time of a clock that tests stand still, else None; and the seconds by which
        ``run_until_idle(advance=…)`` is ahead of the server's clock.
    """
    base, ahead = (clock.base, clock.ahead) if isinstance(clock, WarpClock) else (clock, 0.0)
    return (base.time() if isinstance(base, FakeClock) else None), ahead
