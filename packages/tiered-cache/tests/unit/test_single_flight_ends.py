"""Flights whose leader goes away: nobody waits for them for ever."""

import asyncio
import os
import threading

import pytest

from tiered_cache import CacheProvider
from tiered_cache.single_flight import Flights
from tiered_cache.testing import settle


async def work() -> int:
    return 1


async def test_a_leader_cancelled_before_its_first_step() -> None:
    flights = Flights()
    flight, leads = flights.board("k")
    assert leads
    flights.lead("k", flight, work)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await settle()
    assert flight.done()
    with pytest.raises(RuntimeError, match="went away"):
        flight.result(0)
    assert flights.board("k")[1]


async def test_settling_gives_up_on_a_factory_that_never_ends() -> None:
    flights = Flights()
    flight, _ = flights.board("k")
    flights.lead("k", flight, asyncio.Event().wait)
    await settle()
    await flights.settle(patience=0.01)
    assert isinstance(flight.exception(0), RuntimeError)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_child_does_not_wait_for_its_parents_factory(monkeypatch: pytest.MonkeyPatch) -> None:
    flights = Flights()
    flights.board("k")
    flights._lock.acquire()  # as a thread may that the child has not
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert flights.board("k")[1]


async def test_get_and_get_or_set_never_share_a_flight(tmp_path: object) -> None:
    """Whatever characters a key has: a NUL was the mark of plain gets once."""
    async with CacheProvider.from_url(f"sqlite:///{tmp_path}/c.db") as cache:
        go = threading.Event()
        caller = asyncio.create_task(cache.get_or_set("\0k", lambda: asyncio.to_thread(go.wait, 5)))
        await settle()
        assert await cache.get("k") is None
        go.set()
        assert await caller is True
