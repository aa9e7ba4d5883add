"""Threads that wait for the cache: interrupted at each point, and tasks cancelled around them.

A signal's handler that raises, as on Ctrl-C or at a time limit of a worker, interrupts the main
thread wherever it is. Nothing stays behind, and nobody who waits for the same value is lost.
"""

import asyncio
import functools
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from stepping import SteppingRemote
from tiered_cache import CacheFactoryTimeout, CacheProvider, Settings, sync
from tiered_cache.blocking import PORTAL, take
from tiered_cache.testing import FakeClock, MemoryBackplane, settle

MOST = 60
PATIENCE = 60  # seconds: a bound, not a pause


class Interrupted(BaseException):
    """What the handler of the signal raises."""


class Watched(SteppingRemote):
    """Tells at each of its steps."""

    at_step: Callable[[], Any] | None = None

    async def turn(self) -> None:
        await super().turn()
        if self.at_step is not None:
            await self.at_step()


class World:
    """Two processes' caches in one, that live on the background loop of the facade."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.remote = Watched(clock=self.clock)
        plane = MemoryBackplane(clock=self.clock)
        self.a = self._cache(self.remote, plane)
        other = SteppingRemote(clock=self.clock, shelf=self.remote.shelf)
        self.b = self._cache(other, MemoryBackplane(plane.hub, clock=self.clock))

    def _cache(self, remote: SteppingRemote, plane: MemoryBackplane) -> sync.CacheProvider:
        settings = Settings.from_mapping({"l2": {"timeout": 30}})
        made = CacheProvider(settings, remote=remote, backplane=plane, clock=self.clock)
        return sync.CacheProvider(made)

    def begin(self) -> None:
        self.a.set("old", "old", tags=["t"])
        assert self.b.get("old") == "old"
        PORTAL.run(settle)

    def end(self) -> None:
        self.a.close()
        self.b.close()


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    made.begin()
    yield made
    made.end()


class Interruption:
    """The signal at the point ``at``, counted over all steps of the shared level and factories."""

    def __init__(self, at: int, before: Callable[[], Any] = lambda: True) -> None:
        self.at, self.count, self.was_sent = at, 0, False
        self._raised, self._is_armed = threading.Event(), False
        self._until = before

    def strike(self, work: Callable[[], Any]) -> None:
        """Run ``work``, which may be interrupted; what it does behind no longer is."""
        signal.signal(signal.SIGUSR1, self._handle)
        self._is_armed = True
        try:
            work()
            self._is_armed = False
        except Interrupted:
            self._is_armed = False

    def _handle(self, *_: object) -> None:
        self._raised.set()
        if self._is_armed:
            raise Interrupted

    def _is_now(self) -> bool:
        self.count += 1
        self.was_sent = self.was_sent or self.count == self.at
        return self.count == self.at

    async def in_loop(self) -> None:
        """Interrupt the thread that waits for the loop."""
        if self._is_now():
            await until(self._until)
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
            await until(self._raised.is_set)

    def in_factory(self) -> None:
        """Interrupt the thread inside its factory."""
        if self._is_now():
            asyncio.run(until(self._until))
            signal.raise_signal(signal.SIGUSR1)

    def factory(self) -> str:
        """Be a factory."""
        self.in_factory()
        return "made"


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    old = signal.getsignal(signal.SIGUSR1)
    yield
    signal.signal(signal.SIGUSR1, old)


async def until(check: Callable[[], Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not check():
            await asyncio.sleep(0.001)


async def pass_time(world: World, going: Callable[[], bool]) -> None:
    """Let those look who find the lease taken, until all have their answers."""
    async with asyncio.timeout(PATIENCE):
        while going():
            await world.clock.advance(0.01)
            await asyncio.sleep(0.001)


def ask(world: World, factory: Callable[[], str]) -> None:
    world.a.get_or_set("k", factory, tags=["t"])


def call(world: World, factory: Callable[[], str]) -> None:
    world.a.cached(ttl=60, key="k", tags=["t"])(factory)()


def call_anew(world: World, factory: Callable[[], str]) -> None:
    world.a.cached(ttl=60, key="k")(factory).refresh()


def ask_for_many(world: World, factory: Callable[[], str]) -> None:
    world.a.get_or_set_many(["k", "l"], lambda keys: dict.fromkeys(keys, factory()))


def hold(world: World, factory: Callable[[], str]) -> None:
    with world.a.lock("k"):
        factory()


WORK: dict[str, Callable[[World, Callable[[], str]], Any]] = {
    "get_or_set": ask,
    "cached": call,
    "refresh": call_anew,
    "get_or_set_many": ask_for_many,
    "get": lambda world, _: world.a.get("nothing"),
    "set": lambda world, _: world.a.set("old", "new", tags=["t"]),
    "delete": lambda world, _: world.a.delete("old"),
    "invalidate": lambda world, _: world.a.invalidate(["t"]),
    "clear": lambda world, _: world.a.clear(),
    "lock": hold,
}


@pytest.mark.parametrize("name", WORK)
def test_an_interruption_at_every_point_of(name: str) -> None:
    assert threading.current_thread() is threading.main_thread(), "signals go to that one"
    for at in range(1, MOST):
        world = World()
        world.begin()
        before = names_of_tasks()
        point = Interruption(at)
        world.remote.at_step = point.in_loop
        point.strike(functools.partial(WORK[name], world, point.factory))
        world.remote.at_step = None
        nothing_stayed(world, before)
        everything_goes_on(world)
        world.end()
        if not point.was_sent:
            assert at > 2, "there was no point: nothing was swept"
            return
    pytest.fail(f"{name} does not end within {MOST} points")


def names_of_tasks() -> set[str]:
    async def look() -> set[str]:
        return {task.get_name() for task in asyncio.all_tasks() - {asyncio.current_task()}}

    return PORTAL.run(look)


def nothing_stayed(world: World, before: set[str]) -> None:
    async def look() -> None:
        engine = await world.a.asynchronous.opened()
        await until(lambda: not world.remote.shelf.leases)
        await until(lambda: not engine.flights._running)
        await until(lambda: not engine.lookups._running)
        assert engine.shared is not None
        assert engine.shared.waiting._events == {}
        mine = asyncio.current_task()
        await until(lambda: {t.get_name() for t in asyncio.all_tasks() if t is not mine} <= before)

    PORTAL.run(look)


def everything_goes_on(world: World) -> None:
    world.a.get("look")
    PORTAL.run(settle)
    assert world.a.get_stats().pending == 0
    found = world.a.get("old"), world.b.get("old")
    assert found[0] == found[1]
    assert found[0] in {"old", "new", None}
    value = world.b.get_or_set("k", lambda: "made")
    assert world.a.get_or_set("k", lambda: "made") == value
    with world.b.lock("k") as held:
        assert held


@pytest.mark.parametrize("name", ["get_or_set", "cached", "get_or_set_many"])
def test_those_who_wait_for_an_interrupted_thread(name: str) -> None:
    """A thread and a task of another loop had joined its flight before it was interrupted."""
    for at in range(1, MOST):
        world = World()
        world.begin()
        before = names_of_tasks()
        got: list[str] = []
        flights = PORTAL.run(world.a.asynchronous.opened).flights
        joined = threading.Event()

        def blocking(world: World = world, got: list[str] = got) -> None:
            got.append(world.a.get_or_set("k", lambda: "other"))

        def awaiting(world: World = world, got: list[str] = got) -> None:
            got.append(asyncio.run(world.a.asynchronous.get_or_set("k", lambda: "other")))

        others = [threading.Thread(target=each, daemon=True) for each in (blocking, awaiting)]

        def follow(flights: Any = flights, others: Any = others, joined: Any = joined) -> bool:
            if not joined.is_set():
                joined.set()
                for each in others:
                    each.start()
            has_value = not any(each.is_alive() for each in others)
            return flights.coalesced >= 2 or "k" not in flights._running or has_value

        point = Interruption(at, follow)
        world.remote.at_step = point.in_loop
        point.strike(functools.partial(WORK[name], world, point.factory))
        world.remote.at_step = None
        if joined.is_set():
            PORTAL.run(pass_time, world, lambda others=others: any(t.is_alive() for t in others))
        if not point.was_sent:
            assert at > 2
            world.end()
            return
        assert len(got) == 2
        assert set(got) <= {"made", "other"}
        nothing_stayed(world, before)
        world.end()
    pytest.fail(f"{name} does not end within {MOST} points")


@pytest.mark.parametrize("how", ["facade", "decorated"])
def test_tasks_are_cancelled_at_every_point_while_a_thread_leads(world: World, how: str) -> None:
    for turns in range(25):
        key = f"k{turns}"
        go, inside = threading.Event(), threading.Event()

        def factory(go: threading.Event = go, inside: threading.Event = inside) -> str:
            inside.set()
            assert go.wait(PATIENCE)
            return "made"

        ways = {
            "facade": functools.partial(world.a.get_or_set, key, factory),
            "decorated": world.a.cached(key=key)(factory),
        }
        got: list[str] = []
        leader = threading.Thread(
            daemon=True, target=lambda way=ways[how], got=got: got.append(way())
        )
        leader.start()
        assert inside.wait(PATIENCE)
        assert asyncio.run(cancel_one_of_two(world, key, turns, go)) == "made"
        leader.join(PATIENCE)
        assert got == ["made"]
        nothing_stayed(world, names_of_tasks())


async def cancel_one_of_two(world: World, key: str, turns: int, go: threading.Event) -> str:
    """Return what the other one got."""
    cache = world.a.asynchronous
    before = asyncio.all_tasks()
    one, two = (asyncio.create_task(cache.get_or_set(key, lambda: "other")) for _ in range(2))
    await settle(turns)
    one.cancel()
    with pytest.raises(asyncio.CancelledError):
        await one
    go.set()
    async with asyncio.timeout(PATIENCE):
        value: str = await two
    assert asyncio.all_tasks() == before
    return value


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, Interrupted])
def test_a_factory_that_is_interrupted_ends_nothing_else(
    world: World, error: type[BaseException]
) -> None:
    def factory() -> str:
        raise error

    for key in ("k", "k", "l"):
        with pytest.raises(error):
            world.a.get_or_set(key, factory)
    with pytest.raises(error):
        world.a.get_or_set_many(["k", "l"], lambda _: factory())
    assert world.a.get_or_set("k", lambda: "made") == "made"
    stats = world.a.get_stats()
    assert stats.factory_errors == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_leaves_a_task_of_the_background_loop_does_not_end_it(
    world: World, error: type[BaseException]
) -> None:
    async def leave() -> None:
        raise error

    with pytest.raises(error):
        PORTAL.run(leave)
    assert world.a.get_or_set("k", lambda: "made") == "made"


@pytest.mark.parametrize("how", ["facade", "decorated"])
def test_a_refresh_behind_does_not_wait_for_the_thread_that_began_it(
    world: World, how: str
) -> None:
    """That one has had its answer and is gone: another thread computes the new value."""
    ran = list[int]()

    def factory() -> int:
        ran.append(threading.get_ident())
        return len(ran)

    options: dict[str, Any] = {"ttl": 10, "eager_refresh": 0.5}
    ways: dict[str, Callable[[], int]] = {
        "facade": functools.partial(world.a.get_or_set, "k", factory, **options),
        "decorated": world.a.cached(key="k", **options)(factory),
    }
    ask = ways[how]
    assert ask() == 1
    PORTAL.run(world.clock.advance, 6)
    assert ask() == 1
    PORTAL.run(until, lambda: world.a.asynchronous.peek("k") == 2)
    assert ask() == 2
    assert ran[0] == threading.get_ident()
    assert ran[1] not in {threading.get_ident(), PORTAL.run(ident)}
    PORTAL.run(world.clock.advance, 6)
    assert ask() == 2
    PORTAL.run(until, lambda: len(ran) == 3)


async def ident() -> int:
    return threading.get_ident()


def test_a_slow_blocking_function_is_not_waited_for_past_its_soft_timeout(world: World) -> None:
    go, calls = threading.Event(), list[int]()

    @world.a.cached(ttl=10, key="k", max_stale=100, soft_timeout=0.01)
    def slow() -> int:
        calls.append(threading.get_ident())
        if len(calls) > 1:
            assert go.wait(PATIENCE)
        return len(calls)

    assert slow() == 1
    PORTAL.run(world.clock.advance, 20)
    assert slow() == 1
    go.set()
    PORTAL.run(until, lambda: world.a.asynchronous.peek("k") == 2)
    assert slow() == 2
    assert world.a.get_stats().stale_served == 1


def test_a_blocking_function_past_its_hard_timeout(world: World) -> None:
    go = threading.Event()

    @world.a.cached(key="k", hard_timeout=0.01)
    def slow() -> bool:
        return go.wait(PATIENCE)

    with pytest.raises(CacheFactoryTimeout):
        slow()
    go.set()


def test_refreshing_a_blocking_function_runs_it_in_its_callers_thread(world: World) -> None:
    """Where it may block, and use the facade itself."""

    @world.a.cached(key="k", unless=lambda found: found[1] == "none")
    def where() -> tuple[int, str]:
        return threading.get_ident(), world.a.get("old", "none")

    assert where.refresh() == (threading.get_ident(), "old")
    assert where() == (threading.get_ident(), "old")
    assert world.a.asynchronous.peek("k") == (threading.get_ident(), "old")


def test_what_arrives_for_an_interrupted_thread_is_given_back() -> None:
    raised, given = threading.Event(), list[str]()

    def handle(*_: object) -> None:
        raised.set()
        raise Interrupted

    async def ask() -> str:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        assert raised.wait(PATIENCE)  # not a point at which it could be cancelled
        return "lease"

    async def give_back(lease: str) -> None:
        given.append(lease)

    signal.signal(signal.SIGUSR1, handle)
    with pytest.raises(Interrupted):
        take(ask, give_back)
    PORTAL.run(until, lambda: given == ["lease"])
    assert take(lambda: asyncio.sleep(0, "kept"), give_back) == "kept"
    assert given == ["lease"]
