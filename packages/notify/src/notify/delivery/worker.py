"""The delivery worker: claims what is due, sends it, records how it ended."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from .._common.clock import wait_event
from ..errors import BackendError
from ..models import DeliveryStatus, NotificationChannel
from ..ports import NotificationStore
from ..stored import Claimed, Verdict
from .attempts import Attempt
from .parts import Parts

logger = logging.getLogger(__name__)
T = TypeVar("T")
_LONGEST_PAUSE = 30.0
_PATIENCE = 5.0


class Worker:
    """Delivers what any process put into the outbox; any number may run, in any process.

    A delivery is leased to one worker. If that one vanishes, the lease ends and another takes over;
    what the first was about to send may then go out twice, with the same key.
    """

    def __init__(
        self,
        store: NotificationStore,
        parts: Parts,
        *,
        settled: Callable[[Sequence[tuple[Claimed, Verdict]]], None],
    ) -> None:
        """Work on ``store``; ``settled`` is told what was recorded."""
        self._store, self._parts, self._settled = store, parts, settled
        self._busy: dict[str, set[asyncio.Task[None]]] = {}
        self.bell = asyncio.Event()
        self.calls = self.failures = 0
        self._stopping = False
        self._stopped = asyncio.Event()
        self._stopped.set()

    async def run(self, upkeep: Callable[[], object] | None = None) -> None:
        """Work until cancelled or drained; a store that fails is tried again later."""
        pause, poll = 0.0, self._parts.settings.poll_interval
        self._stopped.clear()
        try:
            while not self._stopping:
                self.bell.clear()
                try:
                    wait = await self._turn()
                    pause = 0.0
                except BackendError as exc:
                    pause = wait = min(_LONGEST_PAUSE, (pause or poll / 2) * 2)
                    logger.warning("worker.store_failed", extra={"error": str(exc), "pause": pause})
                if upkeep is not None:
                    upkeep()
                await wait_event(self.bell, min(wait, max(poll, pause)), self._parts.clock)
        finally:
            self._stopped.set()
            if not self._stopping:
                await self._finish_busy(self._parts.settings.timeout)

    async def deliver_due(self) -> int:
        """Deliver all that is due now, and return how many attempts ended."""
        try:
            return await self._deliver_due()
        finally:  # of a call that was cancelled, or whose store failed
            await self._finish_busy(self._parts.settings.timeout)

    async def _deliver_due(self) -> int:
        count = 0
        while True:
            await self._turn()
            tasks = self._running()
            if not tasks:
                return count
            await asyncio.wait(tasks)
            count += len(tasks)

    async def drain(self, seconds: float) -> None:
        """Deliver what is due, for at most ``seconds``; the rest stays in the outbox."""
        self._stopping = True
        self.bell.set()
        try:
            async with asyncio.timeout(seconds):
                await self._deliver_due()
                await self._stopped.wait()
        except (TimeoutError, BackendError):
            logger.warning("worker.not_drained", extra={"running": len(self._running())})
        finally:
            await self._finish_busy(0.0)

    async def _turn(self) -> float:
        """Start what is due and return the seconds until more may be."""
        clock, settings = self._parts.clock, self._parts.settings
        due, now = await self._store.due(), clock.time()
        slots = {
            channel: free
            for channel, at in due.items()
            if at <= now and (free := settings.concurrency - len(self._busy.get(channel, ()))) > 0
        }
        taken = await _to_the_end(self._take(slots, now)) if slots else 0
        if taken:
            return 0.0  # there may be more
        # a full channel rings when a place is free
        later = [at for at in due.values() if at > now]
        return max(0.001, min(later) - now) if later else settings.poll_interval

    async def _take(self, slots: Mapping[str, int], now: float) -> int:
        """Claim and start, as one step: what is claimed and not started waits for its lease."""
        claimed = await self._store.claim(slots, now, now + self._parts.settings.lease)
        groups = dict[str, list[Claimed]]()
        for each in claimed:
            groups.setdefault(each.delivery.bundle or each.delivery.id, []).append(each)
        for group in groups.values():
            self._start(group)
        return len(claimed)

    def _start(self, group: Sequence[Claimed]) -> None:
        task = asyncio.get_running_loop().create_task(self._attempt(group), name="notify.attempt")
        busy = self._busy.setdefault(group[0].delivery.channel, set())
        busy.add(task)
        task.add_done_callback(lambda done: self._done(busy, done))

    def _done(self, busy: "set[asyncio.Task[None]]", task: "asyncio.Task[None]") -> None:
        busy.discard(task)
        self.bell.set()
        if not task.cancelled() and (exc := task.exception()) is not None:
            logger.error("delivery.not_recorded", extra={"error": type(exc).__name__})

    def _running(self) -> "list[asyncio.Task[None]]":
        return [task for tasks in self._busy.values() for task in tasks]

    async def _finish_busy(self, seconds: float) -> None:
        try:
            if (tasks := self._running()) and seconds:
                # calls under way end by themselves: cancelling one would only repeat its message
                await asyncio.wait(tasks, timeout=seconds)
        finally:
            for task in self._running():
                task.cancel()
        await asyncio.gather(*self._running(), return_exceptions=True)

    async def _attempt(self, group: Sequence[Claimed]) -> None:
        attempt = Attempt(self._parts, group)
        ended = await attempt.run()
        self.calls += attempt.calls
        self.failures += attempt.failures
        # a provider may have it: if that is not recorded, it goes out again
        await _to_the_end(self._record(ended))

    async def _record(self, ended: Sequence[tuple[Claimed, Verdict]]) -> None:
        now, held = self._parts.clock.time(), set[str]()
        rest = [pair for pair in ended if not _shows(*pair)]
        if rest:
            held |= set(await self._store.finish([verdict for _, verdict in rest], now))
        for claimed, verdict in ended:
            if _shows(claimed, verdict) and await self._store.publish(
                verdict, claimed.delivery.notification_id, now
            ):
                held.add(verdict.id)
        for claimed, verdict in ended:
            extra: dict[str, object] = {
                "delivery_id": verdict.id,
                "channel": claimed.delivery.channel,
            }
            if verdict.id not in held:
                logger.info("delivery.lost", extra=extra)
                continue
            extra |= {"status": str(verdict.status), "attempt": claimed.delivery.attempts}
            logger.info("delivery.recorded", extra=extra)
        self._settled([pair for pair in ended if pair[1].id in held])


def _shows(claimed: Claimed, verdict: Verdict) -> bool:
    """Whether a verdict brings its notification into the inbox."""
    in_app = claimed.delivery.channel == NotificationChannel.IN_APP
    return in_app and verdict.status is DeliveryStatus.DELIVERED


async def _to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Await ``work``; a cancellation waits for its end, though not for a store that hangs."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        done, _ = await asyncio.wait([task], timeout=_PATIENCE)
        if not done:
            task.cancel()
        elif not task.cancelled() and (failed := task.exception()) is not None:
            logger.warning("worker.store_failed", extra={"error": type(failed).__name__})
        raise
