"""Between event loops and rendering threads: asynchronous records, awaitables, both with limits."""

import asyncio
import concurrent.futures
import contextlib
import queue
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterator
from typing import Any

from .documents import Item
from .errors import ExportError
from .sink import Control

_BATCH, _AHEAD = 100, 4
_LOOK = 0.05
_Work = Callable[[], Coroutine[Any, Any, Any]]


class Bridge:
    """What a rendering thread asks of the event loop where the source belongs."""

    def __init__(self, loop: asyncio.AbstractEventLoop | None, control: Control) -> None:
        """Serve calls on ``loop``; None where there is none (``export_to``)."""
        self._loop, self._control = loop, control

    def resolve(self, value: Any) -> Any:
        """Return ``value``, awaited on the loop if it is awaitable; blocks the thread.

        Raises:
            ExportError: It was stopped meanwhile, or there is no loop (any more).
        """
        if not isinstance(value, Awaitable):
            return value
        errand: _Errand | None = None
        try:
            errand = self._sent(lambda: _awaited(value))
            return self._result(errand)
        finally:
            # what never began would be reported as never awaited
            unused = errand is None or errand.future.cancelled()
            if unused and (close := getattr(value, "close", None)) is not None:
                close()

    def tell(self, work: _Work) -> None:
        """Run ``work`` on the loop and wait for it; left out where the loop is gone.

        Raises:
            ExportError: It was stopped meanwhile.
        """
        try:
            self._result(self._sent(work))
        except ExportError as exc:
            self._control.check()
            if exc.reason != "interrupted":
                raise

    def items(self, source: AsyncIterable[Item]) -> Iterator[Item]:
        """Yield what ``source`` yields on its loop, at most a few hundred ahead.

        Raises:
            ExportError: It was stopped meanwhile, or there is no loop (any more).
        """
        inbox: queue.SimpleQueue[list[Item] | BaseException | None] = queue.SimpleQueue()
        slots = asyncio.Semaphore(_AHEAD)
        pump = self._sent(lambda: _pump(source, inbox, slots))
        try:
            while True:
                try:
                    batch = inbox.get(timeout=_LOOK)
                except queue.Empty:
                    self._look()
                    continue
                if batch is None:
                    return
                if isinstance(batch, BaseException):
                    raise batch
                pump.soon(slots.release)
                yield from batch
        finally:
            pump.drop()

    def _sent(self, work: _Work) -> "_Errand":
        if self._loop is None or not self._is_running():
            raise self._gone()
        try:
            return _Errand(self._loop, work)
        except RuntimeError as exc:
            raise self._gone() from exc

    def _result(self, errand: "_Errand") -> Any:
        try:
            while not concurrent.futures.wait([errand.future], _LOOK).done:
                self._look()
        except BaseException:
            errand.drop()
            raise
        return errand.future.result()

    def _look(self) -> None:
        self._control.check()
        if not self._is_running():
            raise self._gone()

    def _is_running(self) -> bool:
        return self._loop is not None and self._loop.is_running()

    def _gone(self) -> ExportError:
        return ExportError(
            "asynchronous sources and formats need a running event loop: use export(), not "
            "export_to()"
            if self._loop is None
            else "the event loop of the source was closed",
            reason="interrupted",
        )


class _Errand:
    """Work that a thread sends to a loop. Its coroutine is made there: a loop that ends makes none.

    ``future`` is cancelled only if the work never began.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, work: _Work) -> None:
        self.future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._loop, self._work = loop, work
        self._task: asyncio.Task[Any] | None = None
        loop.call_soon_threadsafe(self._begin)

    def _begin(self) -> None:
        if self.future.set_running_or_notify_cancel():
            self._task = self._loop.create_task(self._work())
            self._task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        if task.cancelled():
            self.future.set_exception(_cancelled())
        elif (exc := task.exception()) is not None:
            self.future.set_exception(exc)
        else:
            self.future.set_result(task.result())

    def drop(self) -> None:
        """Cancel the work, begun or not; from any thread."""
        if not self.future.cancel() and not self.future.done():
            self.soon(self._stop)

    def _stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def soon(self, call: Callable[[], object]) -> None:
        """Call something on the loop, if it is still there."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call)


def _cancelled() -> ExportError:
    return ExportError("cancelled on the event loop of the source", reason="interrupted")


async def _awaited(value: Awaitable[Any]) -> Any:
    return await value


async def _pump(
    source: AsyncIterable[Item], inbox: "queue.SimpleQueue[Any]", slots: asyncio.Semaphore
) -> None:
    stream: Any = None
    batch = list[Item]()
    try:
        stream = aiter(source)
        async for item in stream:
            batch.append(item)
            if len(batch) >= _BATCH:
                await slots.acquire()
                inbox.put(batch)
                batch = []
                await asyncio.sleep(0)  # a source that never waits must not hold the loop
        inbox.put(batch)
        inbox.put(None)
    except asyncio.CancelledError:
        inbox.put(_cancelled())
        raise
    except Exception as exc:  # noqa: BLE001  the user's exception is raised in the thread
        inbox.put(exc)
    finally:
        if (close := getattr(stream, "aclose", None)) is not None:
            await close()
