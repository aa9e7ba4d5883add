"""A backplane for several processes that share only the store: it looks what changed."""

import asyncio
import contextlib
from collections.abc import Callable, Collection

from .._common.clock import Clock, SystemClock
from ..errors import BackendError
from ..ports import Backplane, Capabilities, Position, ProgressStore, Ring
from .memory import MemoryBackplane

_REST = 1.0


class PollingBackplane(Backplane):
    """Reads epoch and version of the watched operations, some times a second.

    One statement for all of them, none while nobody watches. Within the process bells ring at once.
    """

    capabilities = Capabilities(shared=True)

    def __init__(
        self,
        store: ProgressStore,
        *,
        interval: float = 0.1,
        clock: Clock | None = None,
        local: MemoryBackplane | None = None,
    ) -> None:
        """Look at ``store``.

        Args:
            store: The store whose operations are watched; it is not closed by us.
            interval: Seconds between two looks.
            clock: Decides when to look.
            local: What ``twin`` passes on; leave it out.
        """
        self._store, self._interval = store, interval
        self._clock = clock or SystemClock()
        self._local = local or MemoryBackplane()
        self._task: asyncio.Task[None] | None = None
        self._seen: dict[str, Position | None] = {}

    def twin(self) -> "PollingBackplane":
        return PollingBackplane(
            self._store.twin(),
            interval=self._interval,
            clock=self._clock,
            local=self._local.twin(),
        )

    async def publish(self, ids: Collection[str]) -> None:
        await self._local.publish(ids)

    async def listen(self, ring: Ring, wanted: Callable[[], Collection[str]]) -> None:
        await self._stop()
        await self._local.listen(ring, wanted)
        self._task = asyncio.create_task(self._poll(ring, wanted), name="progress.polling")

    async def _poll(self, ring: Ring, wanted: Callable[[], Collection[str]]) -> None:
        lost = False
        while True:
            ids = list(wanted())
            try:
                changed = await self._look(ids) if ids else []
            except BackendError:
                # the watchers' own reads say so; after it everything may have changed
                lost = True
                await self._clock.sleep(max(self._interval, _REST))
                continue
            if lost:
                lost = False
                ring(None)
            elif changed:
                ring(changed)
            await self._clock.sleep(self._interval)

    async def _look(self, ids: Collection[str]) -> list[str]:
        """Return the ids whose position is not that of the last look, new ones included."""
        found = await self._store.positions(ids)
        now = {id: found.get(id) for id in ids}
        changed = [id for id in ids if id not in self._seen or self._seen[id] != now[id]]
        self._seen = now
        return changed

    async def _stop(self) -> None:
        task, self._task = self._task, None
        while task is not None and not task.done():
            task.cancel()
            # again each second: libraries on asyncio.wait_for lose cancellations before 3.12
            await asyncio.wait([task], timeout=1.0)

    async def aclose(self) -> None:
        await self._stop()
        await self._local.aclose()
        self._seen = {}

    def detach(self) -> None:
        task, self._task = self._task, None
        if task is not None and not task.get_loop().is_closed():
            with contextlib.suppress(RuntimeError):
                task.get_loop().call_soon_threadsafe(task.cancel)
        self._local.detach()
        self._seen = {}
