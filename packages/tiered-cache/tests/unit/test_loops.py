"""One instance over several event loops, threads and forks."""

import asyncio
import gc
import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from tiered_cache import CacheProvider, Settings, sync


@pytest.fixture(params=["memory", "sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "redis":
        pytest.importorskip("redis")
        return str(request.getfixturevalue("redis_url"))
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/c.db"


def patient(url: str) -> CacheProvider:
    """A busy machine is no fault of the server."""
    return CacheProvider(Settings.from_mapping({"l2": {"connection_string": url, "timeout": 30}}))


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """Let the garbage collector close, unseen, what loops left that ended without ``aclose``."""
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_closed_loop_is_replaced(url: str) -> None:
    cache = patient(url)
    asyncio.run(cache.set("k", 1))
    assert asyncio.run(cache.get("k")) == 1
    asyncio.run(cache.delete("k"))
    assert asyncio.run(cache.get("k")) is None
    asyncio.run(cache.aclose())


def test_calls_from_other_loops_are_forwarded_and_factories_stay(url: str) -> None:
    cache = patient(url)

    async def foreign(n: int) -> int:
        return await cache.get_or_set(f"t{n}", threading.get_ident)

    async def main() -> None:
        await cache.set("k", 0)
        idents = await asyncio.gather(
            *(
                asyncio.to_thread(lambda n=n: (asyncio.run(foreign(n)), threading.get_ident()))
                for n in range(3)
            )
        )
        assert all(ran == thread for ran, thread in idents)
        await cache.aclose()

    asyncio.run(main())


def test_many_threads_use_the_sync_facade(url: str) -> None:
    calls: list[int] = []

    def factory() -> int:
        calls.append(threading.get_ident())
        return 5

    with sync.CacheProvider(patient(url)) as cache:
        results: list[int] = []

        def work() -> None:
            results.extend(cache.get_or_set("k", factory) for _ in range(20))

        threads = [threading.Thread(target=work) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert results == [5] * 80
        assert len(calls) == 1
        assert calls[0] in {each.ident for each in threads}
        cache.set("a", (1, 2), tags=["t"])
        assert cache.get("a") == (1, 2)
        assert cache.get_or_set("c", lambda ctx: ctx.key) == "c"
        assert cache.invalidate(["t"]).confirmed
        assert cache.get_many(["a", "k"]) == {"k": 5}
        cache.set_many({"x": 1, "y": 2})
        assert cache.delete("x").confirmed
        assert cache.delete_many(["y"]).confirmed
        assert cache.warm(["w"], str.upper) == 1
        assert cache.delete_pattern("w*") >= 0
        assert cache.clear().confirmed
        assert cache.get_stats().factory_calls >= 1


async def test_the_facade_refuses_a_running_loop() -> None:
    blocking = sync.CacheProvider.from_url("memory://")
    with pytest.raises(RuntimeError, match="await"):
        blocking.get("k")
    with pytest.raises(RuntimeError, match="await"):
        blocking.get_or_set("k", int)

    @blocking.cached()
    def works_anywhere() -> int:
        return 1

    assert works_anywhere() == 1


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_fork_gets_clients_of_its_own(url: str) -> None:
    cache = patient(url)
    asyncio.run(cache.set("parent", 1))
    if (pid := os.fork()) == 0:
        code = 1
        try:
            asyncio.run(cache.set("child", 2))
            code = 0 if asyncio.run(cache.get("parent")) == 1 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    expected = None if url.startswith("memory") else 2
    assert asyncio.run(cache.get("child")) == expected
    asyncio.run(cache.aclose())


async def test_configure_and_aclose() -> None:
    cache = CacheProvider()
    cache.configure("memory://")
    await cache.set("k", 1)
    with pytest.raises(ValueError, match="before the first operation"):
        cache.configure("memory://")
    await cache.aclose()
    await cache.aclose()
    cache.configure({"l1": {"max_size": 5}})
    assert await cache.get("k") is None
    await cache.aclose()
