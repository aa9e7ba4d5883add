"""Leases are renewed from a thread, so that a blocked event loop keeps its jobs."""

import asyncio
import contextlib
import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence

from ..errors import JobQueueError
from ..ports import Broker, Lease, WorkerCall
from .counters import Counters

logger = logging.getLogger(__name__)


class Heartbeat:
    """Renews a worker's leases every third of their length, and watches its event loop."""

    def __init__(
        self,
        broker: Broker,
        worker: str,
        lease: float,
        held: Callable[[], Sequence[Lease]],
        on_lost: Callable[[Sequence[Lease]], None],
        *,
        on_fault: Callable[[BaseException], None],
        counters: Counters | None = None,
    ) -> None:
        """Beat for ``worker``.

        Args:
            broker: A twin of the worker's broker, used in the thread only.
            worker: Its id.
            lease: Seconds.
            held: Returns the leases to renew; called in the thread.
            on_lost: Told of lost leases on the worker's loop.
            on_fault: Told of beats that failed; called in the thread.
            counters: Where to count what went wrong, and how the loop answers.
        """
        self._broker, self._worker, self._lease = broker, worker, lease
        self._held, self._on_lost, self._on_fault = held, on_lost, on_fault
        self._counters = counters or Counters()
        self._loop = asyncio.get_running_loop()
        self._loop_thread = threading.get_ident()
        self._answered = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="jobqueue-heartbeat", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def halt(self) -> None:
        """Renew nothing more."""
        self._stop.set()

    async def stop(self) -> None:
        """End the thread and close its broker."""
        self.halt()
        await asyncio.to_thread(self._thread.join)

    def _beat(self) -> None:
        with asyncio.Runner() as runner:
            self._answered.set()
            while not self._stop.wait(self._lease / 3):
                try:
                    self._watch()
                    runner.run(self._extend())
                except Exception:
                    # whatever it was: without a next beat every job would run twice
                    logger.exception("worker.heartbeat_failed", extra={"worker": self._worker})
            with contextlib.suppress(Exception):
                runner.run(self._broker.aclose())

    async def _extend(self) -> None:
        held = self._held()
        call = WorkerCall(self._worker, self._lease, held=held)
        try:
            async with asyncio.timeout(self._lease):
                ids = set(await self._broker.extend(call))
        except (JobQueueError, TimeoutError) as exc:
            self._on_fault(exc)
            self._counters.heartbeat_errors += 1
            logger.warning("worker.heartbeat_failed", extra={"worker": self._worker}, exc_info=exc)
            return
        if ids and not self._loop.is_closed():
            lost = [lease for lease in held if lease.id in ids]
            self._loop.call_soon_threadsafe(self._on_lost, lost)

    def _watch(self) -> None:
        if not self._answered.is_set():
            self._counters.loop_blocked += 1
            frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001  the documented way
            where = "".join(traceback.format_stack(frame, limit=4)) if frame else ""
            logger.warning(
                "worker.loop_blocked",
                extra={"worker": self._worker, "seconds": self._lease / 3, "where": where},
            )
        self._answered.clear()
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._answer, time.monotonic())

    def _answer(self, asked: float) -> None:
        self._counters.loop_lag = time.monotonic() - asked
        self._answered.set()
