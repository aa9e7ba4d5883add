"""Callbacks on live feeds."""

import asyncio
import contextlib
import inspect
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable

from ._common.clock import Clock
from .errors import BackendError
from .models import InboxEvent, Notification

logger = logging.getLogger(__name__)
Callback = Callable[[Notification], Awaitable[None] | None]
# from a place on (None: from now on): first the place itself, then what comes after it
Feed = Callable[[int | None], AsyncGenerator[InboxEvent | int, None]]
_RETRY = 1.0


class _Subscription:
    """One callback on one feed, which is opened again where a failing store cut it off."""

    def __init__(self, feed: Feed, callback: Callback, clock: Clock) -> None:
        self._feed, self._callback, self._clock = feed, callback, clock
        self._place: int | None = None
        self.started = asyncio.Event()
        self.ended = False

    async def serve(self) -> None:
        """Call back until ended or cancelled."""
        try:
            while not self.ended:
                try:
                    async with contextlib.aclosing(self._feed(self._place)) as stream:
                        await self._read(stream)
                except BackendError as exc:
                    logger.warning("subscription.waits", extra={"error": str(exc)})
                    self.started.set()  # senders need not wait for it
                    await self._clock.sleep(_RETRY)
                else:
                    return
        finally:
            self.started.set()

    async def _read(self, stream: AsyncGenerator[InboxEvent | int, None]) -> None:
        async for event in stream:
            if isinstance(event, int):
                self._place = event
                self.started.set()
                continue
            self._place = event.seq
            if event.kind == "created" and event.notification is not None:
                await _call(self._callback, event.notification)
            if self.ended:
                return


class Subscriptions:
    """The subscriptions of one instance, each a task on the loop of its subscriber."""

    def __init__(self, clock: Clock) -> None:
        """Begin without any; ``clock`` times the looks at a store that fails."""
        self._clock = clock
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting: dict[asyncio.Task[None], asyncio.Event] = {}

    def add(self, feed: Feed, callback: Callback) -> Callable[[], None]:
        """Start one and return the function that ends it."""
        loop = asyncio.get_running_loop()
        made = _Subscription(feed, callback, self._clock)
        task = loop.create_task(made.serve(), name="notify.subscription")
        self._tasks.add(task)
        self._starting[task] = made.started
        task.add_done_callback(self._gone)

        def unsubscribe() -> None:
            made.ended = True
            # called by its own callback, it ends after that one
            with contextlib.suppress(RuntimeError):
                if asyncio.current_task() is task:
                    return
            if not loop.is_closed():
                loop.call_soon_threadsafe(task.cancel)

        return unsubscribe

    def _gone(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._starting.pop(task, None)
        if not task.cancelled() and (exc := task.exception()) is not None:
            logger.error("subscription.failed", extra={"error": type(exc).__name__})

    async def ready(self) -> None:
        """Wait until this loop's subscriptions know their place: what is sent now reaches them."""
        if not self._starting:
            return
        here = asyncio.get_running_loop()
        for task, started in list(self._starting.items()):
            if task.get_loop() is here:
                await started.wait()
                self._starting.pop(task, None)

    def close(self) -> None:
        """End all."""
        here = asyncio.get_running_loop()
        for task in list(self._tasks):
            if task.get_loop() is here:
                task.cancel()  # at once: one that has not begun must not begin
            elif not task.done() and not task.get_loop().is_closed():
                task.get_loop().call_soon_threadsafe(task.cancel)


async def _call(callback: Callback, notification: Notification) -> None:
    try:
        made = callback(notification)
        if inspect.isawaitable(made):
            await made
    except Exception:
        logger.exception("subscriber.failed", extra={"notification_id": notification.id})
