"""Time limits that share one timer."""

import asyncio
import threading

import pytest

from jobqueue.worker.deadline import Deadlines

LONG = 3600.0


async def limited(deadlines: Deadlines, seconds: float, order: list[float]) -> bool:
    """Wait for ever within a limit; return whether the limit ended it."""
    deadline = deadlines.start(seconds)
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        order.append(seconds)
        return deadline.end()
    raise AssertionError


def loop_that_stands_still(patch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Let no time pass for the running loop until the patch is undone."""
    loop = asyncio.get_running_loop()
    now = loop.time()
    patch.setattr(loop, "time", lambda: now)
    return patch


async def test_the_first_that_is_over_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    deadlines, order = Deadlines(), []
    limits = (LONG, 0.03, 0.01, 0.02)
    moment = loop_that_stands_still(monkeypatch)
    tasks = [asyncio.create_task(limited(deadlines, each, order)) for each in limits]
    await asyncio.sleep(0)
    moment.undo()  # all have begun at one moment
    async with asyncio.timeout(60):
        ended = await asyncio.gather(*tasks[1:])
    assert ended == [True, True, True]
    assert order == [0.01, 0.02, 0.03]
    assert not tasks[0].done()
    tasks[0].cancel()
    assert await tasks[0] is False  # somebody else cancelled it
    deadlines.close()


async def test_one_that_ended_is_left_alone() -> None:
    deadlines = Deadlines()
    short, order = deadlines.start(0.01), []
    assert short.end() is False
    async with asyncio.timeout(60):
        assert await limited(deadlines, 0.03, order)
    assert not short.expired
    deadlines.close()


async def test_restarting_postpones_from_any_thread() -> None:
    deadlines = Deadlines()
    loop = asyncio.get_running_loop()
    deadline, begun = deadlines.start(0.03), loop.time()
    thread = threading.Thread(target=deadline.restart, args=(0.2,))
    thread.start()
    thread.join()  # not beside the loop: else the time may be over before
    try:
        async with asyncio.timeout(60):
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        assert deadline.end()
    assert loop.time() - begun >= 0.19
    deadline.restart(LONG)  # it is over: nothing is set any more
    await asyncio.sleep(0)
    deadlines.close()


async def test_restarting_may_bring_it_forward() -> None:
    deadlines = Deadlines()
    deadline = deadlines.start(LONG)
    deadline.restart(0.01)
    try:
        async with asyncio.timeout(60):
            await asyncio.Event().wait()
    except asyncio.CancelledError:
        assert deadline.end()
    deadlines.close()


async def test_closing_lets_all_go() -> None:
    deadlines, order = Deadlines(), []
    task = asyncio.create_task(limited(deadlines, 0.01, order))
    await asyncio.sleep(0)
    deadlines.close()
    other = Deadlines()
    async with asyncio.timeout(60):
        assert await limited(other, 0.03, order)
    assert not task.done()
    task.cancel()
    assert await task is False
    other.close()
