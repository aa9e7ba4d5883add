"""A thread that is interrupted between what the background loop did and its hearing of that.

Whoever is told of the interruption may keep it, with its traceback and all that hangs on it: what
was got is given back all the same, not only once it is collected.
"""

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tiered_cache import CacheProvider, sync
from tiered_cache.adapters.memory import MemoryRemote
from tiered_cache.blocking import PORTAL, take

PATIENCE = 20  # seconds: a bound, not a pause


class Interrupted(BaseException):
    """What the handler of the signal raises."""


class Blow:
    """Interrupts the main thread, and holds the background loop up until that has gone on."""

    def __init__(self) -> None:
        self.has_raised, self.has_left = threading.Event(), threading.Event()

    def handle(self, *_: object) -> None:
        self.has_raised.set()
        raise Interrupted

    def strike(self, until: threading.Event) -> None:
        """Interrupt; the loop stands still, so that nothing of it is cancelled meanwhile."""
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        assert until.wait(PATIENCE)

    def suffer(self, work: Callable[[], Any]) -> BaseException:
        """Return what ``work`` was interrupted by."""
        try:
            work()
        except Interrupted as error:
            self.has_left.set()
            return error
        pytest.fail("there was no interruption")


@pytest.fixture
def blow() -> Iterator[Blow]:
    made, old = Blow(), signal.getsignal(signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, made.handle)
    yield made
    signal.signal(signal.SIGUSR1, old)


@pytest.fixture
def remote() -> MemoryRemote:
    return MemoryRemote()


@pytest.fixture
def cache(remote: MemoryRemote) -> Iterator[sync.CacheProvider]:
    with sync.CacheProvider(CacheProvider(remote=remote)) as made:
        made.get("begin")
        yield made


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not check():
            await asyncio.sleep(0.001)


def test_what_arrives_once_the_thread_is_gone(blow: Blow) -> None:
    given = list[str]()

    async def ask() -> str:
        blow.strike(blow.has_left)
        return "lease"

    async def give_back(lease: str) -> None:
        given.append(lease)

    blow.suffer(lambda: take(ask, give_back))
    PORTAL.run(until, lambda: given == ["lease"])


def test_what_arrived_just_before_the_thread_went(blow: Blow) -> None:
    given = list[str]()

    async def ask() -> str:
        # runs once the work has ended, before anybody is told
        asyncio.get_running_loop().call_soon(blow.strike, blow.has_raised)
        return "lease"

    async def give_back(lease: str) -> None:
        given.append(lease)

    blow.suffer(lambda: take(ask, give_back))
    assert given == ["lease"]  # at once: the thread waits for that


def test_a_lock_that_arrives_once_the_thread_is_gone(
    cache: sync.CacheProvider,
    remote: MemoryRemote,
    blow: Blow,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = cache.asynchronous.lock

    class Scope:
        def __init__(self, key: str, **named: Any) -> None:
            self.inner = real(key, **named)

        async def __aenter__(self) -> bool:
            held = await self.inner.__aenter__()
            assert remote.shelf.leases
            blow.strike(blow.has_left)
            return held

        async def __aexit__(self, *error: object) -> None:
            await self.inner.__aexit__(None, None, None)

    monkeypatch.setattr(cache.asynchronous, "lock", Scope)

    def work() -> None:
        with cache.lock("k"):
            pytest.fail("the block began all the same")

    error = blow.suffer(work)
    PORTAL.run(until, lambda: not remote.shelf.leases)
    assert error.__traceback__ is not None  # kept till here


def test_a_lock_whose_thread_goes_before_its_release_begins(
    cache: sync.CacheProvider, remote: MemoryRemote, blow: Blow
) -> None:
    def work() -> None:
        with cache.lock("k") as held:
            assert held
            PORTAL.run(hold_up)

    async def hold_up() -> None:
        asyncio.get_running_loop().call_later(0, strike, asyncio.get_running_loop())

    def strike(loop: Any) -> None:
        while not loop._ready:  # until the release is sent here
            assert not blow.has_left.is_set()
        blow.strike(blow.has_left)

    error = blow.suffer(work)
    PORTAL.run(until, lambda: not remote.shelf.leases)
    assert error.__traceback__ is not None  # kept till here


def test_a_lock_that_is_left_within_a_loop(cache: sync.CacheProvider, remote: MemoryRemote) -> None:
    """To refuse to wait there, as calls do, would leave the lease to nobody."""
    stack = contextlib.ExitStack()
    assert stack.enter_context(cache.lock("k"))

    async def leave() -> None:
        stack.close()

    asyncio.run(leave())
    assert not remote.shelf.leases
