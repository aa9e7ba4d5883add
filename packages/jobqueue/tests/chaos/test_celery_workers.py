"""Handlers in real ``celery worker`` processes, while messages and processes get lost."""

import asyncio
import contextlib
import os
import pickle
import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from _common.processes import children_of
from _common.server import Server
from celery_stage import Stage, kill_all, staged
from faults import BUSY, PATIENCE, until

pytest.importorskip("celery")
pytest.importorskip("sqlalchemy")

import kombu

from jobqueue import JobOptions, JobQueue, JobStatus
from jobqueue.adapters.celery.addresses import address_of
from jobqueue.adapters.celery.chime import KombuChime

pytestmark = [pytest.mark.chaos, pytest.mark.slow]
LEASE = 3.0
KILLS = int(os.environ.get("CHAOS_KILLS", "12"))


@pytest.fixture
def stage(tmp_path: Path, amqp_url: str) -> Iterator[Stage]:
    """RabbitMQ before SQLite."""
    with staged(tmp_path, amqp_url, f"sqlite:///{tmp_path}/jobs.db", lease=LEASE) as made:
        yield made


@pytest.fixture
def postgres_stage(tmp_path: Path, amqp_url: str, postgres_url: str) -> Iterator[Stage]:
    """RabbitMQ before PostgreSQL."""
    pytest.importorskip("asyncpg")
    with staged(tmp_path, amqp_url, postgres_url, lease=LEASE) as made:
        yield made


class Evil:
    """What a pickle would run."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.mark}",)


def vandalize(url: str, mark: Path) -> int:
    """Send all sorts of nonsense to the queue of the rings; return how many messages."""
    address = address_of(url)
    chime = KombuChime(address)
    queue = address.queue("default")
    chime.declare(queue)
    headers = {"lang": "py", "task": "jobqueue.ring", "id": "HOSTILE\nid", "root_id": "x"}
    json, nothing = "application/json", '[["HOSTILE"], {}, {}]'
    messages: list[tuple[Any, dict[str, Any]]] = [
        (b"\xff\x00HOSTILE", {"content_type": "application/octet-stream"}),
        (pickle.dumps(Evil(mark)), {"content_type": "application/x-python-serialize"}),
        (nothing, {"content_type": json}),
        ("HOSTILE{", {"content_type": json, "headers": headers}),
        (nothing, {"content_type": json, "headers": {**headers, "task": "HOSTILE.task"}}),
        (nothing, {"content_type": json, "headers": {**headers, "task": 7, "id": None}}),
        (nothing, {"content_type": json, "headers": {**headers, "eta": "HOSTILE"}}),
        (nothing, {"content_type": json, "headers": {**headers, "eta": "2999-01-01T00:00:00"}}),
        (nothing, {"content_type": json, "headers": {**headers, "expires": "1999-01-01"}}),
        (nothing, {"content_type": json, "headers": {**headers, "compression": "HOSTILE"}}),
        ('[[["HOSTILE"], 7], {"HOSTILE": 1}, {}]', {"content_type": json, "headers": headers}),
        ('{"task": "HOSTILE", "args": 3}', {"content_type": json}),
        (
            '[["default"], {}, {"callbacks": ["HOSTILE"]}]',
            {"content_type": json, "headers": headers},
        ),
    ]
    for body, options in messages:
        chime._producer.publish(body, exchange="", routing_key=queue, **options)
    if address.transport == "redis":
        redis = pytest.importorskip("redis")
        with redis.Redis.from_url(address.url) as client:
            for raw in (b"\xff\x00HOSTILE", b"HOSTILE", b'{"HOSTILE": 1}', b"[]"):
                client.lpush(queue, raw)
                messages.append((raw, {}))
            elsewhere = {"delivery_tag": "x", "delivery_info": {"routing_key": "HOSTILE"}}
            stray = {"body": "HOSTILE", "headers": {"task": "HOSTILE"}, "properties": elsewhere}
            client.lpush(queue, msgspec.json.encode(stray))
            messages.append(("stray", {}))
    if address.transport == "sqs":
        link = chime._channel
        link.sqs().send_message(QueueUrl=link._new_queue(queue), MessageBody="HOSTILE{")
        messages.append(("HOSTILE{", {}))
    chime.close()
    return len(messages)


def messages(url: str) -> int:
    """Return how many rings wait."""
    address = address_of(url)
    chime = KombuChime(address)
    try:
        return chime.declare(address.queue("default"))
    finally:
        chime.close()


@pytest.mark.parametrize(
    ("server", "pool"),
    [("amqp_url", "prefork"), ("sqs_url", "threads"), ("celery_redis_url", "solo")],
)
async def test_every_kind_of_handler(
    request: pytest.FixtureRequest, tmp_path: Path, server: str, pool: str
) -> None:
    """Among hostile messages: kinds, retries, timeouts, cron, cancel from here, an end in order."""
    url, mark = request.getfixturevalue(server), tmp_path / "owned"
    with staged(tmp_path, url, f"sqlite:///{tmp_path}/jobs.db", lease=LEASE) as stage:
        sent = vandalize(url, mark)
        await until(lambda: messages(url) == sent)  # publishing waits for no answer
        worker = stage.celery(pool)
        async with stage.queue as queue:
            await _kinds(stage, queue)
            await _cancels(stage, queue)
            await until(lambda: len(stage.ledger("tick")) >= 2)
            assert set(stage.ledger("tick").values()) == {1}
            last = await queue.enqueue("long", {"seconds": 0.5})
            await until(lambda: stage.ledger("start")[last.id])
            worker.terminate()
            assert await asyncio.to_thread(worker.wait, PATIENCE) == 0, stage.log[-4000:]
            await stage.done(last.id)
    assert "HOSTILE" not in stage.log
    assert not mark.exists()


async def _kinds(stage: Stage, queue: JobQueue) -> None:
    jobs = await queue.enqueue_many(
        [
            ("short", {}),
            ("threaded", {}),
            ("processed", {"a": 1}),
            ("again", {}),
            ("other", {}, JobOptions(queue="other queue!")),
            ("late", {}, JobOptions(timeout=0.2, max_attempts=1)),
        ]
    )
    ended = await queue.wait_all(jobs, PATIENCE)
    short, threaded, processed, again, other, late = ended
    statuses = [str(each.status) for each in ended]
    assert statuses == ["completed"] * 5 + ["failed"], (ended, stage.log[-4000:])
    assert (again.result, other.result) == (3, "other queue!")
    assert processed.result["data"] == {"a": 1}
    assert processed.result["pid"] not in {short.result, threaded.result, os.getpid()}
    assert (late.error or "").startswith("JobTimeout")


async def _cancels(stage: Stage, queue: JobQueue) -> None:
    for name in ("long", "threaded"):
        job = await queue.enqueue(name, {"seconds": 60})
        await until(lambda job=job: stage.ledger("start")[job.id])  # type: ignore[misc]
        assert await queue.cancel_job(job.id)
        if name == "threaded":
            await until(lambda job=job: stage.ledger("cancelled")[job.id])  # type: ignore[misc]
        after = await queue.enqueue("short", {})
        await stage.done(after.id)
        found = await queue.get_job(job.id)
        assert found is not None
        assert found.status is JobStatus.CANCELLED


async def test_kill_nine_loses_nothing(postgres_stage: Stage) -> None:
    """Children of the pool and whole workers die at random: each job's end is real.

    ``CHAOS_KILLS`` says how often; a worker of Celery takes seconds to start.
    """
    stage, rng = postgres_stage, random.Random(7)
    await stage.queue.setup()
    ids: list[str] = []
    async with stage.queue as queue:
        worker = stage.celery()
        for n in range(KILLS):
            runs = stage.ledger("start").total()
            ids += [job.id for job in await queue.enqueue_many([("short", {})] * 40)]
            await until(lambda runs=runs: stage.ledger("start").total() > runs)  # type: ignore[misc]
            await asyncio.sleep(rng.uniform(0.0, 0.6))
            if n % 4 == 3:
                kill_all(worker)
                worker = stage.celery()
            elif children := children_of(worker.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(rng.choice(children), signal.SIGKILL)
        await stage.done(*ids)
        assert (await queue.get_stats()).failed == 0
    assert set(ids) <= set(stage.ledger("end"))


@pytest.mark.parametrize("who", ["child", "worker"])
async def test_a_killed_processs_job_runs_again_within_two_leases(stage: Stage, who: str) -> None:
    """A child of a pool, which gets an heir from it, or a whole worker, which we start again."""
    async with stage.queue as queue:
        worker = stage.celery()
        await stage.done((await queue.enqueue("short")).id)
        job = await queue.enqueue("threaded", {"seconds": 30})
        await until(lambda: stage.ledger("start")[job.id])
        [first] = [each for each in stage.notes("start") if each.job_id == job.id]
        assert first.pid in children_of(worker.pid)
        if who == "child":
            os.kill(first.pid, signal.SIGKILL)
        else:
            kill_all(worker)
        killed = time.time()
        if who == "worker":
            stage.celery()
        await until(lambda: stage.ledger("start")[job.id] == 2)
        again = stage.notes("start")[-1]
        assert (again.job_id, again.at - killed <= 2 * LEASE + BUSY) == (job.id, True)
        assert who == "worker" or worker.poll() is None


@pytest.mark.parametrize("pool", ["prefork", "threads"])
async def test_sigterm_releases_what_takes_too_long(
    tmp_path: Path, amqp_url: str, pool: str
) -> None:
    store = f"sqlite:///{tmp_path}/jobs.db"
    with ExitStack() as stack:
        stage = stack.enter_context(
            staged(tmp_path, amqp_url, store, lease=30, shutdown_timeout=0.3)
        )
        async with stage.queue as queue:
            jobs = await queue.enqueue_many(
                [("long", {"seconds": 60}), ("threaded", {"seconds": 60})]
            )
            worker = stage.celery(pool)
            await until(lambda: len(stage.ledger("start")) == 2)
            worker.terminate()
            assert await asyncio.to_thread(worker.wait, PATIENCE) == 0
            for job in jobs:
                left = await queue.get_job(job.id)
                assert left is not None
                assert (left.status, left.attempts) == ("pending", 0)


async def test_rabbitmq_dies_under_load(
    tmp_path: Path, prefix: str, own_rabbitmq: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Enqueueing goes on without it, fast; afterwards everything runs, whoever was connected."""
    url = f"celery+{own_rabbitmq.url}?prefix={prefix}"
    with staged(tmp_path, url, f"sqlite:///{tmp_path}/jobs.db", lease=LEASE) as stage:
        async with stage.queue as queue:
            first = [job.id for job in await queue.enqueue_many([("short", {})] * 100)]
            stage.celery()
            await until(lambda: len(stage.ledger("end")) >= 10)
            own_rabbitmq.kill()
            begun = time.monotonic()
            second = [(await queue.enqueue("short", {})).id for _ in range(30)]
            assert time.monotonic() - begun < 2 * BUSY  # a wait for each would be minutes
            await asyncio.to_thread(own_rabbitmq.restart)
            await stage.done(*first, *second)
    assert len(stage.ledger("end")) == 130
    assert "Connection to broker lost" in stage.log
    assert caplog.text.count("bell.failed") == 1  # and of the workers' processes each once
    assert stage.log.count("bell.failed") <= 3


async def test_purged_messages_are_not_missed(tmp_path: Path, amqp_url: str) -> None:
    """Nothing rings but the timer: without cron, too."""
    url, store, quiet = amqp_url, f"sqlite:///{tmp_path}/jobs.db", {"enabled": False}
    with staged(tmp_path, url, store, lease=LEASE, scheduler=quiet) as stage:
        await _purged(stage, url, store)


async def _purged(stage: Stage, url: str, store: str) -> None:
    async with stage.queue as queue:
        ids = [job.id for job in await queue.enqueue_many([("short", {})] * 20)]
        await until(lambda: messages(url) == 20)
        address = address_of(url)
        with kombu.Connection(address.url) as connection:
            connection.default_channel.queue_purge(address.queue("default"))
        assert messages(url) == 0
        stage.celery()
        await stage.done(*ids)
        assert set(stage.ledger("start").values()) == {1}
        # and what is enqueued by somebody who knows of no messages
        async with JobQueue.from_url(store) as plain:
            quiet = await plain.enqueue("short", {})
        await stage.done(quiet.id)


async def test_doubled_messages_run_nothing_twice(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each ring comes three times, to two workers: most find nothing to do."""
    publish = KombuChime._publish

    def thrice(chime: KombuChime, queue: str, name: str) -> None:
        for _ in range(3):
            publish(chime, queue, name)

    monkeypatch.setattr(KombuChime, "_publish", thrice)
    async with stage.queue as queue:
        ids = [job.id for job in await queue.enqueue_many([("short", {})] * 20)]
        stage.celery()
        stage.celery("threads")
        await stage.done(*ids)
        last = [(await queue.enqueue("short", {})).id for _ in range(5)]
        await stage.done(*last)
    assert stage.ledger("start") == dict.fromkeys([*ids, *last], 1)


async def test_an_ordinary_worker_shares_the_store(stage: Stage) -> None:
    stage.start("-m", "jobqueue", "worker", "celery_jobs:queue")
    async with stage.queue as queue:
        job = await queue.enqueue("short", {})
        await stage.done(job.id)
        assert (await queue.get_job(job.id)).result == stage.processes[0].pid  # type: ignore[union-attr]
