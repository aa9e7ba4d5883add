"""The Redis broker while servers die, forget, fill up, and others write nonsense."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple

import pytest

from _common.proxy import Proxy
from _common.server import Server
from faults import (
    BUSY,
    OWNED,
    PATIENCE,
    PICKLE,
    YAML,
    Jumping,
    has_ended,
    listed,
    until,
    until_it_works,
)
from jobqueue.errors import BackendError, ConfigurationError, QueueFull
from jobqueue.models import JobFilters, JobStatus
from jobqueue.ports import Lease, Limit, Outcome, WorkerCall
from jobqueue.testing import LEASE, FakeClock, claim, finish, record

redis = pytest.importorskip("redis")
pytestmark = pytest.mark.chaos

from jobqueue.adapters.redis.broker import RedisBroker  # noqa: E402  it may not be installed

TIMEOUT = 0.5  # of calls that shall not be answered; others have time
DURABLE = ("--appendonly", "yes", "--appendfsync", "always")


class Place(NamedTuple):
    """A server of our own, a proxy before it, and brokers that are closed with the test."""

    server: Server
    proxy: Proxy
    make: Callable[..., RedisBroker]
    raw: Any


@pytest.fixture
async def place(own_redis: Server) -> AsyncIterator[Place]:
    assert own_redis.port is not None
    brokers: list[RedisBroker] = []
    with Proxy(own_redis.port) as proxy:

        def make(
            *, direct: bool = False, clock: Any = None, timeout: float = PATIENCE, pool: int = 4
        ) -> RedisBroker:
            port = own_redis.port if direct else proxy.port
            url = f"redis://127.0.0.1:{port}/0"
            made = RedisBroker(url, timeout=timeout, pool=pool, clock=clock or Jumping())
            brokers.append(made)
            return made

        raw = redis.Redis(port=own_redis.port, socket_timeout=PATIENCE)
        yield Place(own_redis, proxy, make, raw)
        proxy.mode = "pass"
        raw.close()
        for broker in brokers:
            await broker.aclose()


durable = pytest.mark.parametrize("own_redis", [DURABLE], indirect=True)


@durable
async def test_a_killed_server_loses_nothing(place: Place) -> None:
    """With its file written at every command: what was acknowledged is there after kill -9."""
    broker = place.make()
    jobs = [record() for _ in range(20)]
    await broker.enqueue(jobs)
    running = (await claim(broker, 5)).claimed
    place.server.kill()
    with pytest.raises(BackendError) as caught:
        await broker.step(WorkerCall("w1", LEASE, {"default": 5}))
    assert caught.value.retryable
    place.server.restart()
    outcomes = [Outcome(Lease(each.id, each.fence), "completed") for each in running]
    step = await until_it_works(lambda: broker.step(WorkerCall("w1", LEASE, {}, outcomes)))
    assert not step.refused
    rest = await until_it_works(lambda: claim(broker))
    assert {each.id for each in [*running, *rest.claimed]} == {each.id for each in jobs}


def lose(proxy: Proxy, mode: Any) -> Callable[[], bool]:
    """Lose requests or answers from now on; return what says that a request has come."""
    before, proxy.mode = proxy.requests, mode
    return lambda: proxy.requests > before


@pytest.mark.parametrize("mode", ["drop_requests", "drop_replies"])
async def test_an_enqueue_cut_off_makes_one_job(place: Place, mode: Any) -> None:
    """Before the script ran, and after it with the answer lost."""
    broker, witness = place.make(), place.make(direct=True)
    for known in (record("zeroth", unique_key="z"), record("first")):
        await broker.enqueue([known])  # the server has both scripts
    plain, keyed = record("second"), record("third", unique_key="k")
    for made in (plain, keyed):
        swallowed = lose(place.proxy, mode)
        sending = asyncio.create_task(broker.enqueue([made]))
        await until(swallowed)
        if mode == "drop_replies":
            await until(lambda made=made: witness.get(made.id))  # type: ignore[misc]
        stored = await witness.get(made.id)
        assert (stored is not None) == (mode == "drop_replies")  # nobody has heard of it
        place.proxy.mode = "pass"
        place.proxy.cut()
        [enqueued] = await sending  # by another connection
        assert enqueued.record.id == made.id
    names = [each.name for each in await listed(witness)]
    assert names == ["third", "second", "first", "zeroth"]


@pytest.mark.parametrize("mode", ["drop_requests", "drop_replies"])
async def test_an_outcome_cut_off_counts_once(place: Place, mode: Any) -> None:
    broker, witness = place.make(), place.make(direct=True)
    await broker.enqueue([record()])
    [job] = (await claim(broker)).claimed
    swallowed = lose(place.proxy, mode)
    sending = asyncio.create_task(finish(broker, job, result=b"1"))
    await until(swallowed)
    applied = mode == "drop_replies"
    if applied:
        await until(lambda: has_ended(witness, job.id))
    stored = await witness.get(job.id)
    assert stored is not None
    assert (stored.status == "completed") == applied
    place.proxy.mode = "pass"
    place.proxy.cut()
    with pytest.raises(BackendError) as caught:
        await sending
    assert caught.value.retryable
    step = await until_it_works(lambda: finish(broker, job, result=b"2"))
    assert step.refused == ([job.id] if applied else [])
    found = await witness.get(job.id)
    assert found is not None
    assert (found.status, found.result) == ("completed", b"1" if applied else b"2")


@pytest.mark.parametrize("mode", ["drop_requests", "drop_replies"])
async def test_a_cancel_cut_off_says_that_it_is_done(place: Place, mode: Any) -> None:
    """Not that there was nothing to cancel, because it finds its own work."""
    broker, witness = place.make(), place.make(direct=True)
    for known in (record(id="first"), record(id="second")):
        await broker.enqueue([known])
    assert await broker.change("first", JobStatus.CANCELLED)  # the server has the script
    swallowed = lose(place.proxy, mode)
    sending = asyncio.create_task(broker.change("second", JobStatus.CANCELLED))
    await until(swallowed)
    if mode == "drop_replies":
        await until(lambda: is_cancelled(witness, "second"))
    place.proxy.mode = "pass"
    place.proxy.cut()
    assert await sending
    assert await is_cancelled(witness, "second")
    assert not await broker.change("second", JobStatus.CANCELLED)


async def is_cancelled(broker: RedisBroker, job_id: str) -> bool:
    found = await broker.get(job_id)
    return found is not None and found.status is JobStatus.CANCELLED


async def test_a_tick_cut_off_is_taken_once(place: Place) -> None:
    broker, witness = place.make(), place.make(direct=True)
    await broker.tick("c", 60.0, ())
    place.proxy.mode = "drop_replies"
    sending = asyncio.create_task(broker.tick("c", 120.0, [record()]))
    await until(lambda: listed(witness))
    place.proxy.mode = "pass"
    place.proxy.cut()
    with pytest.raises(BackendError):
        await sending  # whether it happened we cannot know: the scheduler looks again
    assert await witness.last_tick("c") == 120.0
    assert not await until_it_works(lambda: broker.tick("c", 120.0, [record()]))
    assert len(await listed(witness)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("how", ["blackhole", "frozen"])
async def test_a_server_that_never_answers_holds_up_no_call(place: Place, how: str) -> None:
    broker, other = place.make(timeout=TIMEOUT), place.make(direct=True)
    await other.enqueue([record()])
    [job] = (await claim(other)).claimed
    await until_it_works(lambda: claim(broker))
    await until_it_works(lambda: broker.wait(0.01))
    calls: list[Callable[[], Any]] = [
        lambda: broker.enqueue([record()]),
        lambda: claim(broker),
        lambda: broker.extend(WorkerCall("w1", LEASE, held=[Lease(job.id, job.fence)])),
        lambda: broker.get(job.id),
        lambda: broker.stats(None),
        lambda: broker.remove([job.id]),
        lambda: broker.tick("c", 1.0, ()),
    ]
    if how == "blackhole":
        place.proxy.mode = "blackhole"
    else:
        place.server.pause()
    begun = time.monotonic()
    for call in calls:
        with pytest.raises(BackendError) as caught:
            await call()
        assert caught.value.retryable
    assert time.monotonic() - begun < len(calls) * (TIMEOUT + 0.5) + BUSY
    begun = time.monotonic()
    await broker.wait(0.5)
    assert time.monotonic() - begun < 0.5 + BUSY
    place.server.resume()
    place.proxy.mode = "pass"
    place.proxy.cut()
    assert not (await until_it_works(lambda: finish(broker, job))).refused


def blocked(place: Place) -> int:
    """How many clients wait at the server for a token."""
    return int(place.raw.info("clients")["blocked_clients"])


async def test_waiting_survives_a_restart(place: Place) -> None:
    broker, other = place.make(), place.make(direct=True)
    await claim(broker)
    waiting = asyncio.create_task(broker.wait(30.0))
    await until(lambda: blocked(place) == 1)
    place.proxy.cut()
    with pytest.raises(BackendError) as caught:
        await waiting
    assert caught.value.retryable
    waiting = asyncio.create_task(broker.wait(30.0))
    await until(lambda: blocked(place) == 1)
    await other.enqueue([record()])
    async with asyncio.timeout(PATIENCE):
        await waiting


async def test_a_token_is_not_kept_by_who_does_not_wait(place: Place) -> None:
    """A worker that lost patience hands what its pop brings later to one that waits."""
    impatient, patient, source = (place.make(direct=True) for _ in range(3))
    await claim(impatient)
    await claim(patient, worker="w2")
    await impatient.wait(0.05)  # its pop is still under way, and first in the line
    waiting = asyncio.create_task(patient.wait(30.0))
    await until(lambda: blocked(place) == 2)
    await source.enqueue([record()])
    async with asyncio.timeout(PATIENCE):
        await waiting
    assert len((await claim(patient, worker="w2")).claimed) == 1


async def test_many_idle_workers_are_all_woken(place: Place) -> None:
    """One token wakes one worker, who wakes the next as long as there is work."""
    workers = [place.make(direct=True) for _ in range(4)]
    source = place.make(direct=True)

    async def work(broker: RedisBroker, name: str) -> int:
        await claim(broker, 1, worker=name)
        await broker.wait(30.0)
        return len((await claim(broker, 1, worker=name)).claimed)

    tasks = [asyncio.create_task(work(each, f"w{i}")) for i, each in enumerate(workers)]
    await until(lambda: blocked(place) == 4)
    await source.enqueue([record() for _ in range(4)])
    async with asyncio.timeout(PATIENCE):
        assert await asyncio.gather(*tasks) == [1, 1, 1, 1]


async def test_forgotten_scripts_are_sent_again(place: Place) -> None:
    broker = place.make()
    await broker.enqueue([record()])
    place.raw.script_flush()
    await broker.enqueue([record()])
    place.raw.script_flush()
    assert len((await claim(broker)).claimed) == 2


async def test_flushall_is_survived_and_reported(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    """Outcomes and leases of before are refused as lost, the loss is logged, work goes on."""
    broker = place.make()
    await broker.enqueue([record(), record()])
    first, second = (await claim(broker)).claimed
    place.raw.flushall()
    assert (await finish(broker, first)).refused == [first.id]
    held = [Lease(second.id, second.fence)]
    assert await broker.extend(WorkerCall("w1", LEASE, held=held)) == [second.id]
    assert [each.message for each in caplog.records] == ["broker.data_lost"]
    await broker.enqueue([record("new")])
    assert [each.name for each in (await claim(broker)).claimed] == ["new"]
    assert len(caplog.records) == 1


async def test_a_full_memory_drains(place: Place) -> None:
    """At maxmemory nothing comes in, all or none, and everything that was there gets done."""
    broker = place.make()
    await broker.enqueue([record(data=b"x" * 1000, unique_key=f"k{n}") for n in range(40)])
    await broker.enqueue([record(data=b"x" * 1000) for _ in range(40)])
    parent = record("parent")
    await broker.enqueue([parent, record("child", depends_on=(parent.id,), delay=0.0)])
    place.raw.config_set("maxmemory", 1)
    for extra in (record(), record(unique_key="new"), record(delay=5.0)):
        with pytest.raises(QueueFull) as caught:
            await broker.enqueue([extra])
        assert caught.value.retryable
    with pytest.raises(QueueFull):
        await broker.tick("c", 60.0, [record()])
    assert await broker.last_tick("c") is None
    done = 0
    limit = {"job": Limit(concurrency=7)}
    while jobs := (
        await broker.step(WorkerCall("w1", LEASE, {"default": 10}, limits=limit))
    ).claimed:
        held = [Lease(each.id, each.fence) for each in jobs]
        assert not await broker.extend(WorkerCall("w1", LEASE, held=held))
        outcomes = [Outcome(each, "completed", result=b"{}") for each in held]
        assert not (await broker.step(WorkerCall("w1", LEASE, {}, outcomes))).refused
        done += len(jobs)
    assert done == 82
    assert (await broker.stats(None)).completed == 82
    assert await broker.purge([JobStatus.COMPLETED], time.time() + 60, 1000) == 82
    place.raw.config_set("maxmemory", 0)
    assert (await broker.enqueue([record()]))[0].reason == "created"


async def test_nothing_is_left_behind(place: Place) -> None:
    """After all jobs are gone only what is bounded remains."""
    broker = place.make()
    parent = record()
    await broker.enqueue([parent, record(depends_on=(parent.id,), unique_key="k", limit_key="l")])
    limit = {"job": Limit(concurrency=1, starts=100, period=0.01)}
    for _ in range(2):
        call = WorkerCall("w", LEASE, {"default": 5}, limits=limit)
        for job in (await broker.step(call)).claimed:
            await finish(broker, job, "failed" if job.id == parent.id else "completed")
        for each in await listed(broker):
            await broker.change(each.id, JobStatus.PENDING)
    for each in await listed(broker):
        await broker.change(each.id, JobStatus.CANCELLED)
    await broker.remove([each.id for each in await listed(broker)])
    left = {key.decode().partition(":")[2].partition(":")[0] for key in place.raw.keys("*")}
    assert left <= {"seq", "born", "workers", "wake", "starts", "rate", "leases"}
    # what makes Redis keep leases in a form that is quick to change
    assert [place.raw.zcard(key) for key in place.raw.keys("*:leases")] == [1]


@pytest.mark.slow
async def test_fifty_megabytes(place: Place) -> None:
    broker = place.make()
    data = b'"' + os.urandom(25_000_000).hex().encode() + b'"'
    await broker.enqueue([record(data=data)])
    [job] = (await claim(broker)).claimed
    assert job.data == data
    assert not (await finish(broker, job, result=data)).refused
    found = await broker.get(job.id)
    assert found is not None
    assert found.result == data


async def test_a_workers_wrong_clock_changes_nothing(place: Place) -> None:
    clock = Jumping()
    broker, healthy = place.make(clock=clock), place.make()
    await broker.enqueue([record("running"), record("later", delay=3600.0)])
    [job] = (await claim(healthy, worker="healthy")).claimed
    for ahead in (2 * 86_400.0, -3600.0):
        clock.ahead = ahead
        assert not (await claim(broker)).claimed
        [made] = await broker.enqueue([record("now")])
        assert made.record.created_at == pytest.approx(time.time(), abs=60)
        [now] = (await claim(broker)).claimed
        assert not (await finish(broker, now)).refused
    assert not (await finish(healthy, job, worker="healthy")).refused


async def test_an_exhausted_pool_says_so(place: Place) -> None:
    broker = place.make(pool=1, timeout=0.3)
    place.proxy.delay = 1.0
    with pytest.raises(BackendError, match=r"did not answer within 0\.3 s"):
        await asyncio.gather(*(broker.get("x") for _ in range(3)))


@contextlib.contextmanager
def options(server: Any, **values: str) -> Iterator[None]:
    before = {name: server.config_get(name)[name] for name in values}
    for name, value in values.items():
        server.config_set(name, value)
    yield
    for name, value in before.items():
        server.config_set(name, value)


async def test_a_password_is_asked_for_and_not_shown(place: Place) -> None:
    with options(place.raw, requirepass="open sesame"):
        port = place.server.port
        broker = RedisBroker(f"redis://:wrong@127.0.0.1:{port}/0")
        with pytest.raises(BackendError) as caught:
            await broker.get("x")
        assert not caught.value.retryable
        assert "wrong" not in str(caught.value).replace("WRONGPASS", "")
        right = RedisBroker(f"redis://:open%20sesame@127.0.0.1:{port}/0")
        assert await right.get("x") is None
        await right.aclose()
        await broker.aclose()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://h?prefix=a{b}", "prefix"),
        ("redis://h?prefix=", "prefix"),
        ("redis://h?timeout=0", "timeout"),
        ("redis://h?pool=many", "pool"),
        ("redis://h:port", "not a Redis URL"),
        ("redis://h?colour=blue", "unknown option 'colour'"),
        ("redis://h/abc", "database's number"),
    ],
)
async def test_wrong_urls_say_what_is_wrong(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        await RedisBroker.from_url(url).get("x")


FIELDS = [
    "s",
    "a",
    "f",
    "r",
    "st",
    "e",
    "g",
    "w",
    "o",
    "er",
    "u",
    "pf",
    "wt",
    "ch",
    "k",
    "gt",
    "tl",
    "q",
]
VALUES = [PICKLE, YAML, b'{"a": ', b"", b"nan", b"-inf", b"1e308", b"\xff\xfe\x00", b"a" * 100_000]


@pytest.mark.parametrize("field", FIELDS)
async def test_hostile_fields_break_nothing(place: Place, field: str) -> None:
    """Whatever stands in a field of a job: others are claimed and listed, nothing is run."""
    broker = place.make()
    for value in VALUES:
        place.raw.flushall()
        await broker.enqueue([record("bad", id="bad"), record("well")])
        place.raw.hset("{jobqueue}:job:bad", field, value)
        await goes_on(broker)


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
async def test_hostile_bodies_break_nothing(place: Place, value: bytes) -> None:
    broker = place.make()
    await broker.enqueue([record("bad", id="bad"), record("well")])
    good = place.raw.get("{jobqueue}:body:bad")
    for body in (value, good[:24] + value, good[:46] + value, good + value, good[:-5]):
        place.raw.flushall()
        await broker.enqueue([record("bad", id="bad"), record("well")])
        place.raw.set("{jobqueue}:body:bad", body)
        await goes_on(broker)


@pytest.mark.parametrize("key", ["job", "body", "children"])
async def test_keys_of_another_type_break_nothing(place: Place, key: str) -> None:
    broker = place.make()
    await broker.enqueue([record("bad", id="bad"), record("well")])
    name = f"{{jobqueue}}:{key}:bad"
    place.raw.delete(name)
    place.raw.zadd(name, {"x": 1})
    await goes_on(broker)


async def goes_on(broker: RedisBroker) -> None:
    """Claim, list, look up, end and cancel beside a job that somebody has written to."""
    step = await claim(broker)
    [well] = [each for each in step.claimed if each.name == "well"]
    assert "well" in {each.name for each in await listed(broker)}
    for bad in [each for each in step.claimed if each.id == "bad"]:
        await finish(broker, bad, "retry", error="E", delay=0.0)
    assert not (await finish(broker, well)).refused
    with contextlib.suppress(BackendError):
        await broker.get("bad")
    await claim(broker)
    await broker.change("bad", JobStatus.CANCELLED)
    await broker.stats(None)
    assert not OWNED.exists()


async def test_a_record_that_cannot_be_read_fails_with_its_bytes(place: Place) -> None:
    broker = place.make()
    await broker.enqueue([record("bad", id="bad", data=b"raw"), record("well")])
    key = "{jobqueue}:body:bad"
    body = place.raw.get(key).replace(b"raw", b"\xc1aw")[:-1]
    place.raw.set(key, body)
    assert [each.name for each in (await claim(broker)).claimed] == ["well"]
    assert place.raw.get(key) == body
    assert place.raw.hget("{jobqueue}:job:bad", "s") == b"failed"
    assert place.raw.hget("{jobqueue}:job:bad", "er").startswith(b"UnreadableRecord")
    assert (await broker.stats(None)).failed == 1
    with pytest.raises(BackendError, match="'bad' cannot be read"):
        await broker.get("bad")


async def test_a_later_releases_record_is_left_alone(place: Place) -> None:
    broker = place.make()
    await broker.enqueue([record("new", id="new", version=9), record("well")])
    assert [each.name for each in (await claim(broker)).claimed] == ["well"]
    assert [each.name for each in await listed(broker)] == ["well"]
    with pytest.raises(BackendError, match="format 9"):
        await broker.get("new")
    limit = {"new": Limit(concurrency=1)}
    call = WorkerCall("w", LEASE, {"default": 5}, limits=limit)
    assert not (await broker.step(call)).claimed
    assert (await broker.stats(None)).pending == 1


async def test_prefixes_share_nothing(place: Place, clock: FakeClock) -> None:
    url = f"redis://127.0.0.1:{place.server.port}/0"
    one, other = RedisBroker(url, prefix="a"), RedisBroker(url, prefix="a:b")
    await one.enqueue([record(id="x")])
    assert await other.get("x") is None
    assert not (await claim(other)).claimed
    assert {key.partition(b"}")[0] for key in place.raw.keys("*")} == {b"{a", b"{a:b"}
    for each in (one, other):
        await each.aclose()


async def test_listing_a_long_queue_in_pieces(place: Place) -> None:
    """A filter that few of many jobs pass: pages are full, nothing is missed or doubled."""
    broker = place.make()
    for first in range(0, 12_000, 2000):
        names = ["rare" if n % 1000 == 0 else "job" for n in range(first, first + 2000)]
        await broker.enqueue([record(name) for name in names])
    seen: list[str] = []
    cursor = None
    while True:
        page = await broker.list_jobs(JobFilters(name="rare"), 5, cursor)
        seen += [each.id for each in page]
        if (cursor := page.next_cursor) is None:
            break
        assert len(page) == 5
    assert len(seen) == len(set(seen)) == 12
