"""Every fault of a shared level, injected for real: the application notices no more than time."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

pytest.importorskip("redis")

import redis

from _common.proxy import Proxy
from _common.server import Server
from stalls import Stalls
from tiered_cache import CacheProvider, Invalidation, Settings

pytestmark = [pytest.mark.chaos, pytest.mark.integration, pytest.mark.slow]
LIMIT = 0.3  # more than the default: a busy machine is no fault of the server
SLACK = 2.0  # beside what the machine lost; five seconds of a socket are longer


@pytest.fixture
def stalls() -> Iterator[Stalls]:
    with Stalls() as made:
        yield made


@pytest.fixture
def proxy(own_redis: Server) -> Iterator[Proxy]:
    assert own_redis.port is not None
    with Proxy(own_redis.port) as made:
        yield made


def make(port: int | None, timeout: float = LIMIT, **settings: Any) -> CacheProvider:
    l2 = {"connection_string": f"redis://127.0.0.1:{port}", "timeout": timeout}
    return CacheProvider(Settings.from_mapping({"l2": l2, **settings}))


@pytest.fixture
async def cache(proxy: Proxy) -> AsyncIterator[CacheProvider]:
    async with make(proxy.port) as made:
        await until(lambda: is_well(made))
        yield made


@pytest.fixture
async def other(own_redis: Server) -> AsyncIterator[CacheProvider]:
    """Another process's cache, whose way to Redis is not disturbed."""
    async with make(own_redis.port, timeout=5) as made:  # a busy machine is no fault of it
        await until(lambda: is_well(made))
        yield made


async def is_well(cache: CacheProvider) -> bool:
    await cache.get("look")
    found = await cache.get_stats()
    return found.trusted and found.breaker == "closed" and not found.pending


async def until(check: Callable[[], Awaitable[bool]], seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not await check():
            await asyncio.sleep(0.02)


async def sees(cache: CacheProvider, key: str, value: object) -> bool:
    return await cache.get(key) == value


async def confirms(change: Callable[[], Awaitable[Invalidation]]) -> bool:
    """Whether a change is confirmed; one that a slow machine held up is made again."""
    return (await change()).confirmed


class Fault:
    """What is done to Redis or to the way there, and undone."""

    def __init__(self, proxy: Proxy, server: Server) -> None:
        self.proxy, self.server = proxy, server
        self.admin = redis.Redis(port=server.port, socket_timeout=5)

    def begin(self, name: str) -> None:
        if name == "refused":
            self.proxy.mode = "refuse"
            self.proxy.cut()
        elif name in {"blackhole", "drop_replies", "drop_requests"}:
            self.proxy.mode = name  # type: ignore[assignment]
        elif name == "slow":
            self.proxy.delay = 0.5
        elif name == "frozen":
            self.server.pause()
        elif name == "killed":
            self.server.kill()
        elif name == "oom":
            # below what is used: whatever asks for memory is refused
            self.admin.config_set("maxmemory-policy", "noeviction")
            self.admin.config_set("maxmemory", "1mb")
        elif name == "readonly":
            self.admin.execute_command("REPLICAOF", "127.0.0.1", "1")

    def end(self, name: str) -> None:
        self.proxy.mode, self.proxy.delay = "pass", 0.0
        if name == "frozen":
            self.server.resume()
        elif name == "killed":
            self.server.restart()
        elif name == "oom":
            self.admin.config_set("maxmemory", "0")
        elif name == "readonly":
            self.admin.execute_command("REPLICAOF", "NO", "ONE")
        self.admin.close()


FAULTS = (
    "refused", "blackhole", "drop_replies", "drop_requests", "slow", "frozen", "killed", "oom",
    "readonly",
)  # fmt: skip


@pytest.fixture(params=FAULTS)
def fault(request: pytest.FixtureRequest, proxy: Proxy, own_redis: Server) -> tuple[str, Fault]:
    return request.param, Fault(proxy, own_redis)


async def test_every_call_ends_in_time_and_everything_is_made_up_for(
    cache: CacheProvider, other: CacheProvider, fault: tuple[str, Fault], stalls: Stalls
) -> None:
    name, how = fault
    await cache.set("deleted", "old")
    await cache.set("tagged", "old", tags=["t"])
    await cache.set("hot", 1, ttl=600)
    await until(lambda: sees(other, "tagged", "old"))
    await until(lambda: sees(other, "deleted", "old"))
    how.begin(name)
    try:
        longest = 0.0
        confirmed: list[bool] = []
        for n in range(20):
            for work in (
                lambda n=n: cache.get_or_set(f"new{n}", lambda: n),
                lambda n=n: cache.get(f"none{n}"),
                lambda n=n: cache.set(f"set{n}", n),
            ):
                begun = time.perf_counter()
                await work()
                longest = max(longest, time.perf_counter() - begun)
            assert await cache.get(f"set{n}") == n, "L1 has what was set"
        for change in (cache.delete("deleted"), cache.invalidate(["t"])):
            begun = time.perf_counter()
            confirmed.append((await change).confirmed)
            longest = max(longest, time.perf_counter() - begun)
        assert longest < LIMIT + SLACK + stalls.seconds
        assert not any(confirmed), "nobody else can know"
        assert await cache.get("deleted") is None
        assert await cache.get("tagged") is None
        assert (await cache.get_stats()).breaker == "open"
        # what is open costs nobody anything
        costs: list[float] = []
        for n in range(50):
            begun = time.perf_counter()
            await cache.get_or_set(f"open{n}", lambda n=n: n)
            costs.append(time.perf_counter() - begun)
        assert sorted(costs)[25] < 0.005
    finally:
        how.end(name)
    await until(lambda: is_well(cache))
    await until(lambda: is_well(other))
    # what waited was made, in every process, before L2 was trusted again
    await until(lambda: sees(other, "deleted", None))
    await until(lambda: sees(other, "tagged", None))
    assert (await cache.get_stats()).replayed >= 2
    for n in range(20):
        found = await other.get(f"set{n}")
        assert found in {n, None}, "ours, or nothing where it is not sure whose was last"
    await until(lambda: confirms(lambda: cache.delete("hot")))


async def test_a_set_of_the_outage_is_stored_afterwards(
    cache: CacheProvider, other: CacheProvider, proxy: Proxy
) -> None:
    proxy.mode = "refuse"
    proxy.cut()
    await cache.set("k", "mine")
    await cache.set("both", "mine")
    await asyncio.sleep(0)
    await other.set("both", "theirs")
    proxy.mode = "pass"
    await until(lambda: is_well(cache))
    await until(lambda: sees(other, "k", "mine"))
    # changed there meanwhile: nobody knows which came last, so neither is served
    await until(lambda: sees(other, "both", None))
    await until(lambda: sees(cache, "both", None)) if await cache.get("both") != "mine" else None


SLOWLY = ("--appendonly", "yes", "--key-load-delay", "300")


@pytest.mark.parametrize("own_redis", [SLOWLY], indirect=True)
async def test_loading(own_redis: Server, stalls: Stalls) -> None:
    """A server that reads its file refuses everything; changes of that time are made up for."""
    port = own_redis.port
    with redis.Redis(port=port) as admin:
        admin.mset({f"filler{n}": n for n in range(10)})
        with admin.pipeline(transaction=False) as many:
            for n in range(8_000):
                many.set(f"filler{n}", n)
            many.execute()
        async with make(port) as cache, make(port) as other:
            await until(lambda: is_well(cache))
            await cache.set("hot", "old")
            await until(lambda: sees(other, "hot", "old"))
            restart = asyncio.create_task(asyncio.to_thread(own_redis.restart))
            loads = refused = 0
            while not restart.done():
                loads += await asyncio.to_thread(is_loading, port)
                begun = time.perf_counter()
                assert await cache.get_or_set(f"k{loads}", lambda: "computed") == "computed"
                assert time.perf_counter() - begun < LIMIT + SLACK + stalls.seconds
                if loads:
                    confirmed = (await cache.delete("hot")).confirmed
                    if await asyncio.to_thread(is_loading, port):
                        assert not confirmed
                        refused += 1
            await restart
            assert refused
            for each in (cache, other):
                await until(lambda each=each: is_well(each))
            await until(lambda: sees(other, "hot", None))
            await until(lambda: confirms(lambda: cache.delete("hot")))


def is_loading(port: int | None) -> bool:
    """Ask by hand: the client would ask again until the server has loaded."""
    try:
        with socket.create_connection(("127.0.0.1", port or 0), 1) as asking:
            asking.sendall(b"PING\r\n")
            return asking.recv(100).startswith(b"-LOADING")
    except OSError:
        return False


async def test_resets_in_the_middle(cache: CacheProvider, proxy: Proxy) -> None:
    async def work(n: int) -> int:
        return int(await cache.get_or_set(f"k{n}", lambda: n))

    for round_ in range(5):
        tasks = [asyncio.create_task(work(round_ * 100 + n)) for n in range(50)]
        await asyncio.sleep(0.002)
        proxy.cut()
        assert await asyncio.gather(*tasks) == [round_ * 100 + n for n in range(50)]
        await until(lambda: is_well(cache))


async def test_flushall(cache: CacheProvider, other: CacheProvider, own_redis: Server) -> None:
    """All is gone, also the versions: what is stored afterwards and what was before never mix."""
    await cache.set("k", "old", tags=["t"])
    await until(lambda: sees(other, "k", "old"))
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow() -> str:
        begun.set()
        await go.wait()
        return "old"

    late = asyncio.create_task(other.get_or_set("late", slow, tags=["t"]))
    await begun.wait()
    with redis.Redis(port=own_redis.port) as admin:
        admin.flushall()
    await until(lambda: confirms(lambda: cache.invalidate(["t"])))
    go.set()
    assert await late == "old"
    await until(lambda: sees(other, "k", None))
    assert await cache.get("k") is None
    assert await cache.get("late") is None
    assert await other.get_or_set("late", lambda: "new", tags=["t"]) == "new"


@pytest.mark.parametrize("name", ["refused", "blackhole", "drop_replies", "slow", "frozen"])
async def test_a_pattern_ends_in_time(
    cache: CacheProvider, proxy: Proxy, own_redis: Server, name: str, stalls: Stalls
) -> None:
    """It may take a minute in all, but no answer may."""
    how = Fault(proxy, own_redis)
    await cache.set("a:1", 1)
    how.begin(name)
    try:
        begun = time.perf_counter()
        assert await cache.delete_pattern("a:*") == 0
        assert time.perf_counter() - begun < LIMIT + SLACK + stalls.seconds
        assert await cache.get("a:1") is None
    finally:
        how.end(name)


async def test_a_stream_that_was_lost_and_grew_again(own_redis: Server, proxy: Proxy) -> None:
    """The restarted server counts its messages anew, and soon is where it was before."""
    assert own_redis.port is not None
    settings = Settings.from_mapping({"suspect_after": 1.0})
    from tiered_cache.adapters.redis import RedisTier, StreamsBackplane

    def one(messages: int | None) -> CacheProvider:
        plane = StreamsBackplane(f"redis://127.0.0.1:{messages}", timeout=0.3)
        tier = RedisTier(
            f"redis://127.0.0.1:{own_redis.port}", timeout=5, announce=plane.how, node=plane.node
        )
        return CacheProvider(settings, remote=tier, backplane=plane)

    async with one(own_redis.port) as ours, one(proxy.port) as theirs:
        for n in range(200):
            await ours.set(f"before{n}", n)
        for each in (ours, theirs):
            await until(lambda each=each: is_well(each))
        await theirs.get_or_set("k", lambda: "old", ttl=600)
        assert await theirs.get("k") == "old"
        proxy.mode = "refuse"
        proxy.cut()
        assert (await ours.delete("k")).confirmed
        await asyncio.to_thread(own_redis.kill)
        await asyncio.to_thread(own_redis.restart)
        await until(lambda: is_well(ours))
        for n in range(20):
            await ours.delete(f"after{n}")

        async def doubts() -> bool:
            return not (await theirs.get_stats()).trusted

        # until then it may serve what it has, and has not noticed yet that it hears nothing
        await until(doubts)
        proxy.mode = "pass"

        async def hears_again() -> bool:
            # all the time there is something to read: no moment of rest in which to compare numbers
            await ours.delete("more")
            return (await theirs.get_stats()).trusted

        await until(hears_again)
        assert await theirs.get("k") is None


async def test_the_backplane_alone_is_cut(
    own_redis: Server, other: CacheProvider, stalls: Stalls
) -> None:
    """Commands pass, messages do not: after ``suspect_after`` nothing old is served."""
    assert own_redis.port is not None
    with Proxy(own_redis.port) as proxy:
        settings = Settings.from_mapping({"suspect_after": 1.0})
        from tiered_cache.adapters.redis import RedisBackplane, RedisTier

        direct = RedisTier(f"redis://127.0.0.1:{own_redis.port}", timeout=5)
        plane = RedisBackplane(f"redis://127.0.0.1:{proxy.port}", timeout=0.3)
        async with CacheProvider(settings, remote=direct, backplane=plane) as cut:
            await until(lambda: is_well(cut))
            await other.set("k", "old")
            await until(lambda: sees(cut, "k", "old"))
            proxy.mode = "drop_replies"
            assert (await other.delete("k")).confirmed
            begun = time.monotonic()
            await until(lambda: sees(cut, "k", None))
            assert time.monotonic() - begun < 1.0 + 0.5 + SLACK + stalls.seconds
            proxy.mode = "pass"
            proxy.cut()
            await until(lambda: is_well(cut))
