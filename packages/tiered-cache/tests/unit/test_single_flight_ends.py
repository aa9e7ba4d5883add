"""Flights whose leader goes away: nobody waits for them for ever."""

import asyncio
import os
import threading

import pytest

from tiered_cache import CacheProvider
from tiered_cache.single_flight import Flight, Flights, Lookups, landed
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


async def test_who_comes_once_it_has_landed() -> None:
    flight = Flight()
    first = asyncio.create_task(landed(flight))
    await settle()
    flight.set_result(1)
    assert await first == 1
    async with asyncio.timeout(60):
        assert await landed(flight) == 1


async def test_a_loop_is_told_once_for_all_who_wait_there() -> None:
    loop, flight, woken = asyncio.get_running_loop(), Flight(), list[object]()
    tell = loop.call_soon_threadsafe
    loop.call_soon_threadsafe = lambda *args, **named: (  # type: ignore[method-assign]
        woken.append(args),
        tell(*args, **named),
    )[1]
    waiting = [asyncio.create_task(landed(flight)) for _ in range(100)]
    await settle()
    waiting[0].cancel()
    landing = threading.Thread(target=flight.set_exception, args=(LookupError("k"),))
    landing.start()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    landing.join()
    assert isinstance(found[0], asyncio.CancelledError)
    assert all(type(each) is LookupError for each in found[1:])
    assert len(woken) == 1


def test_those_who_look_before_and_after_a_change() -> None:
    lookups, kept = Lookups(), list[str]()

    def keep() -> None:
        kept.append("kept")

    before, beside = lookups.begin("k"), lookups.begin("k")
    lookups.end("k", beside)
    lookups.forget("k")
    after = lookups.begin("k")
    lookups.end("k", before)
    assert not lookups.commit("k", before, keep)
    assert lookups.commit("k", after, keep)
    lookups.forget("k")
    assert not lookups.commit("k", after, keep)
    lookups.end("k", after)
    assert kept == ["kept"]
    assert not lookups._running
