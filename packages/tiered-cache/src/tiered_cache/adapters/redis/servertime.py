"""What the clock of a server says, without asking it each time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

_FRESH = 10.0
_DRIFT = 0.001
"""Clocks run apart by less than that share, also while they are being set right."""
_SLACK = 1_000


class ServerTime:
    """The latest that the clocks of some servers can have shown at a moment.

    A clock that is set forward makes it too early for a few seconds, one that is set back too late.
    """

    def __init__(self) -> None:
        """Know nothing yet."""
        self._told: dict[str, tuple[int, float]] = {}

    async def latest(self, moment: float, node: str, ask: Callable[[], Awaitable[Any]]) -> int:
        """Return the microseconds that ``node`` showed at ``moment``, or a little more.

        Args:
            moment: By the time of the event loop.
            node: Which server.
            ask: Returns its time, as the command ``TIME`` does.
        """
        told, asked = self._told.get(node, (0, float("-inf")))
        if moment - asked > _FRESH:
            # it was read after we asked: at most so much later than it says is it ever since
            asked = asyncio.get_running_loop().time()
            told = _micros(await ask())
            self._told[node] = told, asked
        since = moment - asked
        return told + int((since + abs(since) * _DRIFT) * 1e6) + _SLACK


def _micros(answer: Sequence[Any]) -> int:
    seconds, micros = answer
    return int(seconds) * 1_000_000 + int(micros)
