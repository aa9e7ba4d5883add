"""Where handlers run: on the event loop, in threads, in processes; side by side in one worker."""

import asyncio
import contextvars
import functools
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from ..context import JobContext
from ..errors import JobTimeout
from ..handlers import Handler
from ..ports import Record
from .processes import ProcessPool


class Runners:
    """Runs the handlers of one worker by their kind. For one event loop."""

    def __init__(self, threads: int) -> None:
        """Allow ``threads`` blocking handlers at once; processes are started when needed."""
        # beyond the worker's slots: a handler past its timeout keeps its thread until it returns
        self._threads = ThreadPoolExecutor(threads + 64, thread_name_prefix="job")
        self._processes = ProcessPool()
        self._lock = threading.Lock()
        self.busy_threads = 0

    async def run(
        self, handler: Handler, arguments: tuple[Any, ...], record: Record, context: JobContext
    ) -> Any:
        """Return what the handler returns.

        Raises:
            JobTimeout: It ran longer than the record's timeout.
            BaseException: What the handler raised.
        """
        scope = asyncio.timeout(record.timeout)
        if record.timeout is not None and handler.wants_context:
            context.on_heartbeat = _restarting(scope, record.timeout)
        try:
            async with scope:
                if handler.run_in == "loop":
                    return await handler.function(*arguments)
                if handler.run_in == "thread":
                    return await self._in_thread(handler, arguments)
                return await self._processes.run(handler, record, context)
        except TimeoutError as exc:
            if not scope.expired():
                raise
            context.cancel()
            raise JobTimeout(f"ran longer than {record.timeout:g} s") from exc

    async def _in_thread(self, handler: Handler, arguments: tuple[Any, ...]) -> Any:
        call = functools.partial(contextvars.copy_context().run, handler.function, *arguments)
        value = await asyncio.get_running_loop().run_in_executor(self._threads, self._counted, call)
        # a plain function may hand back a coroutine (functools.partial, a lambda)
        return await value if inspect.isawaitable(value) else value

    def _counted(self, call: Callable[[], Any]) -> Any:
        with self._lock:
            self.busy_threads += 1
        try:
            return call()
        finally:
            with self._lock:
                self.busy_threads -= 1

    def close(self) -> None:
        """End the processes; threads end with their handlers."""
        self._processes.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


def _restarting(scope: asyncio.Timeout, seconds: float) -> Callable[[], None]:
    """Return what lets ``scope`` begin anew, from any thread."""
    loop = asyncio.get_running_loop()

    def restart() -> None:
        with suppress(RuntimeError):  # it has just ended
            scope.reschedule(loop.time() + seconds)

    def ask() -> None:
        loop.call_soon_threadsafe(restart)

    return ask
