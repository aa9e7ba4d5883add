"""Listening that begins after ``start`` has returned: what was sent before is a gap."""

import asyncio
from collections.abc import Callable

import pytest

pytest.importorskip("redis")

from tiered_cache.adapters.redis.listening import Listening
from tiered_cache.adapters.redis.messages import Receiver
from tiered_cache.testing import settle


class Slow(Listening):
    """Connects when it may."""

    def __init__(self, *, timeout: float) -> None:
        super().__init__("redis://nowhere", timeout=timeout)
        self.go = asyncio.Event()

    async def _listen_once(self, receiver: Receiver, ready: Callable[[], None]) -> None:
        await self.go.wait()
        ready()
        await asyncio.Event().wait()


@pytest.mark.parametrize("replays", [True, False])
async def test_what_begins_late_begins_with_a_gap(replays: bool) -> None:
    plane, gaps = Slow(timeout=0.01), list[int]()
    plane.replays = replays  # type: ignore[misc]
    await plane.start(lambda _: None, lambda: gaps.append(1))
    assert not gaps
    plane.go.set()
    await settle()
    assert gaps == [1]
    await plane.aclose()


async def test_what_begins_in_time_has_missed_nothing() -> None:
    plane, gaps = Slow(timeout=30), list[int]()
    plane.go.set()
    await plane.start(lambda _: None, lambda: gaps.append(1))
    await settle()
    assert not gaps
    await plane.aclose()


async def test_a_start_that_is_given_up_leaves_nothing_behind() -> None:
    plane = Slow(timeout=30)
    starting = asyncio.create_task(plane.start(lambda _: None, lambda: None))
    await settle()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    await plane.aclose()
    await settle()
    assert asyncio.all_tasks() == {asyncio.current_task()}
