"""Threads that ask a loop which ends, hangs or cancels: own errors, in time, nothing left over."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from exporter import ExportCancelled, ExportError
from exporter.feeding import Bridge
from exporter.sink import Control


class Loop:
    """An event loop in a thread, to be ended at any moment."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        while not self.loop.is_running():
            time.sleep(0.001)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    def end(self) -> None:
        if not self.loop.is_closed():
            if self.loop.is_running():
                asyncio.run_coroutine_threadsafe(self._cancel_all(), self.loop).result(60)
                self.stop()
            self.loop.close()

    async def _cancel_all(self) -> None:
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)


@pytest.fixture
def there() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.end()


def later(call: Callable[[], object]) -> threading.Thread:
    thread = threading.Timer(0.05, call)
    thread.start()
    return thread


async def forever() -> None:
    await asyncio.Event().wait()


async def records() -> AsyncIterator[Any]:
    yield {"a": 1}
    await forever()


def test_awaited_on_the_loop(there: Loop) -> None:
    bridge = Bridge(there.loop, Control())

    async def work() -> Any:
        return asyncio.get_running_loop()

    async def raises() -> None:
        raise TimeoutError("of the user")

    assert bridge.resolve(5) == 5
    assert bridge.resolve(work()) is there.loop
    with pytest.raises(TimeoutError, match="of the user"):
        bridge.resolve(raises())


@pytest.mark.parametrize("ask", ["resolve", "items", "tell"])
def test_a_stop_is_heard(there: Loop, ask: str) -> None:
    control = Control()
    later(control.stop)
    with pytest.raises(ExportCancelled):
        asked(Bridge(there.loop, control), ask)


@pytest.mark.parametrize("ask", ["resolve", "items", "tell"])
def test_a_deadline_is_kept(there: Loop, ask: str) -> None:
    with pytest.raises(ExportError) as caught:
        asked(Bridge(there.loop, Control(timeout=0.05)), ask)
    assert caught.value.reason == "timeout"


@pytest.mark.parametrize("ask", ["resolve", "items"])
@pytest.mark.parametrize("how", ["stop", "end"])
def test_a_loop_that_ends_interrupts(there: Loop, ask: str, how: str) -> None:
    thread = later(getattr(there, how))
    with pytest.raises(ExportError) as caught:
        asked(Bridge(there.loop, Control()), ask)
    thread.join()
    assert caught.value.reason == "interrupted"
    if how == "stop":  # the tasks that it held are ended for a clean test
        there.loop.run_until_complete(there._cancel_all())


@pytest.mark.parametrize("ask", ["resolve", "items"])
def test_a_closed_loop_interrupts(there: Loop, ask: str) -> None:
    there.end()
    with pytest.raises(ExportError) as caught:
        asked(Bridge(there.loop, Control()), ask)
    assert caught.value.reason == "interrupted"


def test_a_loop_closed_between_look_and_call(there: Loop, monkeypatch: Any) -> None:
    there.end()
    monkeypatch.setattr(Bridge, "_is_running", lambda self: True)
    for ask in ("resolve", "items"):
        with pytest.raises(ExportError) as caught:
            asked(Bridge(there.loop, Control()), ask)
        assert caught.value.reason == "interrupted"


def test_work_that_never_began_is_closed(there: Loop) -> None:
    """Else Python warns of a coroutine that was never awaited; warnings are errors here."""
    held = threading.Event()
    there.loop.call_soon_threadsafe(held.wait, 60)
    control = Control(timeout=0.05)
    for ask in ("resolve", "items"):
        with pytest.raises(ExportError):
            asked(Bridge(there.loop, control), ask)
    held.set()


def test_progress_is_left_out_where_the_loop_is_gone(there: Loop) -> None:
    thread = later(there.end)
    Bridge(there.loop, Control()).tell(forever)
    thread.join()
    Bridge(there.loop, Control()).tell(forever)


def test_cancelled_by_the_user(there: Loop) -> None:
    async def cancels() -> None:
        raise asyncio.CancelledError

    async def stream() -> AsyncIterator[Any]:
        yield {"a": 1}
        raise asyncio.CancelledError

    bridge = Bridge(there.loop, Control())
    for call in (lambda: bridge.resolve(cancels()), lambda: list(bridge.items(stream()))):
        with pytest.raises(ExportError, match="cancelled on the event loop") as caught:
            call()
        assert caught.value.reason == "interrupted"


def test_a_source_that_cannot_be_opened(there: Loop) -> None:
    class Wrong:
        def __aiter__(self) -> Any:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(Bridge(there.loop, Control(timeout=2)).items(Wrong()))


def asked(bridge: Bridge, ask: str) -> None:
    if ask == "resolve":
        bridge.resolve(forever())
    elif ask == "tell":
        bridge.tell(forever)
    else:
        list(bridge.items(records()))
