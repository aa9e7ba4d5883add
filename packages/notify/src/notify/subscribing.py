"""Callbacks on live feeds."""

import asyncio
import contextlib
import inspect
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable

from .models import InboxEvent, Notification

logger = logging.getLogger(__name__)
Callback = Callable[[Notification], Awaitable[None] | None]
Feed = Callable[[], AsyncGenerator[InboxEvent | None, None]]
_RETRY = 1.0


class Subscriptions:
    """The subscriptions of one instance, each a task on the loop of its subscriber."""

    def __init__(self) -> None:
        """Begin without any."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting: dict[asyncio.Task[None], asyncio.Event] = {}

    def add(self, feed: Feed, callback: Callback) -> Callable[[], None]:
        """Start one and return the function that ends it."""
        started, ended = asyncio.Event(), False

        async def serve() -> None:
            stream = feed()
            try:
                async for event in stream:
                    if event is None:
                        started.set()
                    elif event.kind == "created" and event.notification is not None:
                        await _call(callback, event.notification)
                    if ended:
                        return
            finally:
                started.set()
                await stream.aclose()

        task = asyncio.get_running_loop().create_task(serve(), name="notify.subscription")
        self._tasks.add(task)
        self._starting[task] = started
        task.add_done_callback(self._gone)

        def unsubscribe() -> None:
            nonlocal ended
            ended = True
            # called by its own callback, it ends after that one
            with contextlib.suppress(RuntimeError):
                if asyncio.current_task() is task:
                    return
            if not task.get_loop().is_closed():
                task.get_loop().call_soon_threadsafe(task.cancel)

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
        for task in list(self._tasks):
            if not task.done() and not task.get_loop().is_closed():
                task.get_loop().call_soon_threadsafe(task.cancel)


async def _call(callback: Callback, notification: Notification) -> None:
    try:
        made = callback(notification)
        if inspect.isawaitable(made):
            await made
    except Exception:
        logger.exception("subscriber.failed", extra={"notification_id": notification.id})
