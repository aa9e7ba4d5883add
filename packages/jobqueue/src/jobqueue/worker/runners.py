"""Where handlers run: on the event loop, in threads, in processes; side by side in one worker."""

import asyncio
import contextvars
import functools
import inspect
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..context import JobContext
from ..errors import JobTimeout
from ..handlers import Handler
from ..ports import Record
from .deadline import Deadlines
from .processes import ProcessPool


class Runners:
    """Runs the handlers of one worker by their kind. For one event loop."""

    def __init__(self, threads: int) -> None:
        """Allow ``threads`` blocking handlers at once; processes are started when needed."""
        # beyond the worker's slots: a handler past its timeout keeps its thread until it returns
        self._threads = ThreadPoolExecutor(threads + 64, thread_name_prefix="job")
        self._processes = ProcessPool()
        self._deadlines = Deadlines()
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
        if record.timeout is None:
            return await self._call(handler, arguments, record, context)
        seconds = record.timeout
        deadline = self._deadlines.start(seconds)
        if handler.wants_context:
            context.on_heartbeat = lambda: deadline.restart(seconds)
        try:
            value = await self._call(handler, arguments, record, context)
        except asyncio.CancelledError as exc:
            if not deadline.end():
                raise
            context.cancel()
            raise JobTimeout(f"ran longer than {seconds:g} s") from exc
        except BaseException:
            deadline.end()
            raise
        deadline.end()
        return value

    async def _call(
        self, handler: Handler, arguments: tuple[Any, ...], record: Record, context: JobContext
    ) -> Any:
        if handler.run_in == "loop":
            return await handler.function(*arguments)
        if handler.run_in == "thread":
            return await self._in_thread(handler, arguments)
        return await self._processes.run(handler, record, context)

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
        self._deadlines.close()
        self._processes.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
