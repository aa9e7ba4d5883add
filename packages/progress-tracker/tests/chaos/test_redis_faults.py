"""The Redis store while the server forgets, fills up, falls silent, and others write nonsense."""

import asyncio
import contextlib
import pickle
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from _common.proxy import Proxy
from _common.server import Server
from helpers import is_now, until
from progress_tracker import BackendError, ProgressNotFound, ProgressTracker, Settings, rules
from progress_tracker._common.clock import new_id
from progress_tracker.ports import Filters, Write
from progress_tracker.testing import NOW, record, store_rule

redis = pytest.importorskip("redis")
pytestmark = [pytest.mark.slow, pytest.mark.chaos]

from progress_tracker.adapters.redis.store import RedisStore  # noqa: E402  it may not be installed


class Place(NamedTuple):
    """A server of our own, a proxy before it, and stores that are closed with the test."""

    server: Server
    proxy: Proxy
    make: Callable[..., RedisStore]
    raw: Any


@pytest.fixture
async def place(own_redis: Server) -> AsyncIterator[Place]:
    made: list[RedisStore] = []
    with Proxy(own_redis.port or 0) as proxy:

        def make(*, direct: bool = False, timeout: float = 30) -> RedisStore:
            port = own_redis.port if direct else proxy.port
            made.append(RedisStore(f"redis://127.0.0.1:{port}/0", timeout=timeout))
            return made[-1]

        raw = redis.Redis(port=own_redis.port, socket_timeout=60)
        yield Place(own_redis, proxy, make, raw)
        proxy.mode = "pass"
        raw.close()
        for each in made:
            await each.aclose()


async def test_a_server_without_the_scripts_gets_them(place: Place) -> None:
    """NOSCRIPT, after a restart or a failover: the same call succeeds."""
    store = place.make()
    await store.create(record("x"))
    for value in (10, 20):
        place.raw.script_flush()
        assert (await store_rule(store, "x", _percent(value))).units == value * 1_000_000
        assert "x" in await store.positions(["x"])


@pytest.mark.parametrize("mode", ["drop_requests", "drop_replies"])
async def test_what_was_cut_off_counts_once(place: Place, mode: Any) -> None:
    """Before the script ran, and after it with the answer lost: the second try finds its own."""
    store, witness = place.make(), place.make(direct=True)
    parent = (await store.create(record("p"))).record
    await store_rule(store, "p", lambda base: rules.request_cancel(base, NOW))  # scripts are known
    child = record("c", parent)
    created = await _cut_off(place, mode, store.create(child))
    assert created.reason == "created"
    base = await witness.get("c")
    assert base is not None
    new = msgspec.structs.replace(rules.update(base, NOW, 40), token=new_id())
    (written,) = await _cut_off(place, mode, store.write([Write(new, base.status)]))
    assert written.applied
    top = await witness.get("p")
    assert top is not None
    assert (top.units, top.kids.total, written.record.revision) == (40_000_000, 1, 2)


async def _cut_off(place: Place, mode: Any, call: Any) -> Any:
    place.proxy.mode, before = mode, place.proxy.requests
    sending = asyncio.create_task(call)
    await until(lambda: place.proxy.requests > before)
    await asyncio.sleep(0.1)  # for the server, which nobody tells us of
    place.proxy.mode = "pass"
    await asyncio.to_thread(place.proxy.cut)
    return await sending


async def test_a_silent_server_does_not_hold_us_up(place: Place) -> None:
    await place.make(direct=True).create(record("x"))
    store = place.make(timeout=1.0)
    place.proxy.mode = "blackhole"
    async with asyncio.timeout(60):
        with pytest.raises(BackendError, match="did not answer") as caught:
            await store.get("x")
        assert caught.value.retryable
    place.proxy.mode = "pass"

    async def is_there() -> bool:
        with contextlib.suppress(BackendError):  # a busy machine may be as silent for a second
            return await store.get("x") is not None
        return False

    await until(is_there)


async def test_a_full_server_refuses_and_keeps_what_it_has(place: Place) -> None:
    """OOM: nothing is half written, reads and deletions work, and room makes it work again."""
    store = place.make()
    parent = (await store.create(record("p"))).record
    await store.create(record("c", parent))
    await store.create(record("root"))
    place.raw.config_set("maxmemory", 1)
    for step in (store_rule(store, "c", _percent(50)), store.create(record("new"))):
        with pytest.raises(BackendError) as caught:
            await step
        assert caught.value.retryable
    bases = (await store.get_many(["c", "root"])).values()
    writes = [
        Write(msgspec.structs.replace(rules.update(each, NOW, 9), token=new_id()), each.status)
        for each in bases
    ]
    with pytest.raises(BackendError) as caught:
        await store.write(writes)
    assert caught.value.retryable
    found = await store.get_many(["p", "c", "new", "root"])
    assert {id: (each.units, each.version) for id, each in found.items()} == {
        "p": (0, 2), "c": (0, 1), "root": (0, 1),
    }  # fmt: skip
    assert list(await store.delete("root")) == ["root"]
    place.raw.config_set("maxmemory", 0)
    await store_rule(store, "c", _percent(50))
    assert (await store.get_many(["p"]))["p"].units == 50_000_000


async def test_updates_wait_for_room(place: Place) -> None:
    """A full server does not break the work, and gets the newest state when there is room."""
    settings = Settings.from_mapping(
        {"storage": {"connection_string": place.server.url}, "min_interval": 0.02}
    )
    async with ProgressTracker(settings) as tracker:
        async with tracker.track("x", total=100) as p:
            place.raw.config_set("maxmemory", 1)
            for _ in p.iter(range(50)):
                await asyncio.sleep(0.002)
            await until(lambda: tracker.get_stats().store_errors > 0)
            place.raw.config_set("maxmemory", 0)
            await until(lambda: is_now(tracker, "x", current=50))
        assert (await tracker.get("x")).status == "completed"


async def test_a_server_that_forgot_everything(place: Place) -> None:
    """FLUSHALL: watchers end with ProgressNotFound, workers go on, and ids are free again."""
    settings = Settings.from_mapping(
        {"storage": {"connection_string": place.server.url}, "realtime": {"safety_poll": 0.2}}
    )
    async with ProgressTracker(settings) as tracker:
        async with tracker.track("x", total=10) as p:
            states = tracker.watch("x")
            await anext(states)
            place.raw.flushall()
            with pytest.raises(ProgressNotFound):
                async with asyncio.timeout(120):
                    async for _ in states:
                        pass
            p.advance()
        with pytest.raises(ProgressNotFound):
            await tracker.update("x", 5)
        again = await tracker.create(id="x")
        assert again.version == 1


class _Trap:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


_FIELDS = [
    *("e", "v", "n", "t", "s", "us", "pa", "up", "ki", "w", "m", "at", "ua", "c", "sa", "x", "wr"),
    *("cr", "st", "kw", "kd", "kt", "kc", "kf", "kx", "u", "f", "pw", "pd", "ex", "ou"),
]


@pytest.mark.parametrize("nonsense", ["pickle", "json", "text", "number", "nothing"])
async def test_nonsense_in_the_store_runs_nothing(
    place: Place, nonsense: str, tmp_path: Path
) -> None:
    """Whatever somebody else wrote into a field: our error or a record, and no code runs."""
    trap = tmp_path / "ran"
    value = {
        "pickle": pickle.dumps(_Trap(trap)),
        "json": b'{"stages": [{"name": 7',
        "text": b"local x = redis.call('FLUSHALL')",
        "number": b"-1e999",
        "nothing": b"",
    }[nonsense]
    store = place.make(direct=True)
    for name in _FIELDS:
        id = f"x-{name}"
        parent = (await store.create(record(f"p-{name}"))).record
        await store.create(record(id, parent, user_id="u", kind="k"))
        healthy = (await store.create(record(f"y-{name}"))).record
        assert healthy is not None
        for whose in (f"p-{name}", id):
            place.raw.hset(f"{{progress}}:o:{whose}", name, value)
            for call in (
                store.get(whose), store.positions([whose]), store.touch([]),
                store_rule(store, whose, _percent(50)), store_rule(store, id, _percent(60)),
                store.list_records(Filters(), 10, None), store.overdue(NOW, NOW, NOW, 5),
            ):  # fmt: skip
                try:
                    await call
                except (BackendError, AssertionError):
                    continue  # an AssertionError is the helper's: it is not there any more
        assert await store.get(healthy.id) == healthy, "it stays with whom it is about"
        for each in (id, f"p-{name}"):
            place.raw.delete(f"{{progress}}:o:{each}")
            place.raw.zrem("{progress}:all", each)
    assert not trap.exists()


@pytest.mark.parametrize("key", ["o:x", "s:x", "all", "stale", "is:pending"])
async def test_keys_of_another_type_are_our_error(place: Place, key: str) -> None:
    store = place.make(direct=True)
    await store.create(record("x"))
    place.raw.delete(f"{{progress}}:{key}")
    place.raw.set(f"{{progress}}:{key}", "not yours")
    for call in (
        store.get("x"), store_rule(store, "x", _percent(50)), store.create(record()),
        store.list_records(Filters(), 10, None), store.overdue(NOW, NOW, NOW, 5),
        store.delete("x"),
    ):  # fmt: skip
        try:
            await call
        except (BackendError, AssertionError):
            continue  # an AssertionError is the helper's: it is not there any more


def _percent(value: float) -> rules.Rule:
    return lambda base: rules.update(base, base.updated_at + 1, value)
