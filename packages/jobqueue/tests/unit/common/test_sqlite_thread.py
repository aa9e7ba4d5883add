"""The thread that does the calls of one SQLite connection."""

import asyncio
import gc
import subprocess
import sys
import threading
import weakref

import pytest

from jobqueue._common.sqlite_thread import CallThread


def alive(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == name]


async def test_calls_are_done_in_their_order_in_one_thread() -> None:
    thread, done = CallThread("order"), list[int]()

    def call(number: int) -> str:
        done.append(number)
        return threading.current_thread().name

    names = await asyncio.gather(*(thread.call(call, number) for number in range(50)))
    assert done == list(range(50))
    assert set(names) == {"order"}
    thread.shut()


async def test_what_a_call_raises_is_raised_and_nothing_of_it_stays() -> None:
    class Given:
        pass

    thread, given = CallThread("raising"), Given()
    gone = weakref.ref(given)

    def fail(given: Given) -> None:
        raise ValueError(f"no {type(given).__name__}")

    gc.disable()  # a cycle would only go with a collection
    try:
        with pytest.raises(ValueError, match="no Given"):
            await thread.call(fail, given)
        del given
        await thread.call(int)  # the one before is dropped by then
        assert gone() is None
    finally:
        gc.enable()
    thread.shut()


async def test_a_cancelled_caller_waits_for_the_end_of_its_call() -> None:
    thread, begun, release, ended = CallThread("slow"), *(threading.Event() for _ in range(3))

    def slow() -> None:
        begun.set()
        release.wait(60)
        ended.set()
        raise ValueError("nobody hears of it")

    task = asyncio.ensure_future(thread.call(slow))
    await asyncio.to_thread(begun.wait, 60)
    for _ in range(3):  # again while it waits already
        task.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        assert not task.done()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
    assert await thread.call(lambda: 7) == 7
    thread.shut()


async def test_a_call_cancelled_before_its_turn_is_done_all_the_same() -> None:
    thread, release, done = CallThread("queued"), threading.Event(), list[str]()
    first = asyncio.ensure_future(thread.call(release.wait, 60))
    second = asyncio.ensure_future(thread.call(done.append, "second"))
    await asyncio.sleep(0)
    second.cancel()
    release.set()
    assert await first
    with pytest.raises(asyncio.CancelledError):
        await second
    assert done == ["second"]
    thread.shut()


def test_a_loop_that_is_gone_harms_nobody() -> None:
    thread, begun, release = CallThread("orphan"), threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        release.wait(60)

    loop = asyncio.new_event_loop()
    task = loop.create_task(thread.call(slow))
    loop.call_later(0, loop.stop)
    loop.run_forever()
    assert begun.wait(60)
    loop.close()
    release.set()
    assert asyncio.run(thread.call(lambda: "next")) == "next"
    thread.shut()
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # it ends with its loop


async def test_it_ends_when_it_is_shut_and_when_nobody_has_it() -> None:
    for name in ("shut", "dropped"):
        thread: CallThread | None = CallThread(name)
        assert thread is not None
        posted = threading.Event()
        await thread.call(int)
        (running,) = alive(name)
        thread.post(posted.set)
        if name == "shut":
            thread.shut()
        thread = None
        await asyncio.to_thread(running.join, 60)
        assert not running.is_alive()
        assert posted.is_set()  # given before: done before


EXIT = """
import asyncio, threading, time
from jobqueue._common.sqlite_thread import CallThread

thread = CallThread("at exit")

def late():
    try:
        asyncio.run(thread.call(print, "never"))
    except RuntimeError as exc:
        print(exc, flush=True)

asyncio.run(thread.call(print, "first"))

def other():
    time.sleep(0.2)  # the main thread is over by then
    asyncio.run(thread.call(print, "by a thread that outlives the main one"))
    thread.post(lambda: (time.sleep(0.2), print("given before the end", flush=True)))

threading.Thread(target=other).start()
"""


def test_the_end_of_the_interpreter_waits_for_what_was_given() -> None:
    before = "import atexit\natexit.register(lambda: late())\n"  # runs after the module's own
    run = subprocess.run(
        [sys.executable, "-c", before + EXIT],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert run.stdout.splitlines() == [
        "first",
        "by a thread that outlives the main one",
        "given before the end",
        "the interpreter is at its end: no database can be used any more",
    ]
    assert not run.stderr
