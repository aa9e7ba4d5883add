"""The figures of all processes, which each leaves in the shared level for the command line."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ..ports import RemoteTier, Write

T = TypeVar("T")
_REPORT = "tiered-cache-stats:"
_MOST_REPORTS = 1000


class Figures(ABC):
    """What ``SharedLevel`` does for ``tiered-cache stats`` and ``top``."""

    remote: RemoteTier

    @abstractmethod
    async def _call(
        self,
        call: Callable[[], Awaitable[T]],
        *,
        replay: bool = True,
        patience: float | None = None,
    ) -> T | None: ...

    async def report(self, node: str, data: bytes, ttl: float) -> None:
        """Leave the figures of this process for :meth:`reports`."""
        # as if it had been computed: it replaces nothing of which others must hear
        report = Write(_REPORT + node, data, ttl, fence=0)
        await self._call(lambda: self.remote.write([report]), replay=False)

    async def reports(self) -> dict[str, bytes] | None:
        """Return the figures that processes left, or None without an answer."""

        async def read() -> dict[str, bytes]:
            names = await self.remote.list_keys(f"{_REPORT}*", _MOST_REPORTS)
            found = await self.remote.read(names, [])
            return {name.removeprefix(_REPORT): data for name, data in found.values.items()}

        return await self._call(read, replay=False, patience=60.0)

    async def count(self, limit: int) -> int | None:
        """Return how many values there are, ``limit`` at most, or None without an answer."""

        async def read() -> int:
            names = await self.remote.list_keys("*", limit)
            return sum(not name.startswith(_REPORT) for name in names)

        return await self._call(read, replay=False, patience=60.0)
