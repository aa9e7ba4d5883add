"""What workers count, and how Prometheus and OpenTelemetry see it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from _common.processes import free_port
from jobqueue import BackendError, Job, JobQueue, RetryJob, Settings, Worker
from jobqueue.testing import FakeClock
from jobqueue.worker import counters
from jobqueue.worker.counters import OTHER, UNKNOWN, Counters, Histogram
from jobqueue.worker.exposition import Exposition
from jobqueue.worker.metrics import render


@asynccontextmanager
async def working(queue: JobQueue, **options: Any) -> AsyncIterator[Worker]:
    worker = Worker(queue, **options)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        worker.stop()
        await task


def parsed(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    parser = pytest.importorskip("prometheus_client.parser")
    found = {}
    for family in parser.text_string_to_metric_families(text):
        assert family.documentation, family.name
        assert family.type in {"gauge", "counter", "histogram"}, family.name
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found
            found[key] = sample.value
    return found


def key(metric: str, /, **labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return metric, tuple(sorted(labels.items()))


@pytest.fixture
async def live() -> AsyncIterator[JobQueue]:
    async with JobQueue(Settings.from_mapping({"shutdown_timeout": 0})) as made:
        yield made


async def test_every_outcome_is_counted(live: JobQueue) -> None:
    begun = asyncio.Event()

    @live.worker("good", queue="q")
    async def good(job: Job) -> None: ...

    @live.worker("again", max_attempts=2)
    async def again(job: Job) -> None:
        if job.attempts == 1:
            raise RetryJob(0)
        raise ValueError("no")

    @live.worker("long")
    async def long(job: Job) -> None:
        begun.set()
        await asyncio.sleep(60)

    async with working(live) as worker:
        for _ in range(3):
            await live.enqueue("good", queue="q")
        await live.enqueue("nobody's")
        failed = await live.enqueue("again")
        lost = await live.enqueue("long")
        await live.wait(failed.id, 60)
        await begun.wait()
        await live.cancel_job(lost.id)
        async with asyncio.timeout(60):
            while worker.in_flight:
                await asyncio.sleep(0.01)
        begun.clear()
        released = await live.enqueue("long")
        await begun.wait()
        text = await render(live, worker)
    assert worker not in live.running
    found = parsed(text)
    attempts = "jobqueue_worker_attempts_total"
    assert found[key(attempts, queue="q", name="good", outcome="completed")] == 3
    assert found[key(attempts, queue="default", name="again", outcome="retried")] == 1
    assert found[key(attempts, queue="default", name="again", outcome="failed")] == 1
    assert found[key(attempts, queue="default", name=UNKNOWN, outcome="failed")] == 1
    assert found[key(attempts, queue="default", name="long", outcome="lost")] == 1
    assert found[key("jobqueue_worker_in_flight", queue="default", name="long")] == 1
    assert found[key("jobqueue_jobs", queue="q", status="completed")] == 3
    assert found[key("jobqueue_jobs", queue="default", status="processing")] == 1
    assert found[key("jobqueue_up")] == 1
    assert found[key("jobqueue_workers")] == 1
    run = {"queue": "q", "name": "good"}
    assert found[key("jobqueue_worker_run_seconds_count", **run)] == 3
    assert found[key("jobqueue_worker_run_seconds_bucket", **run, le="+Inf")] == 3
    assert found[key("jobqueue_worker_wait_seconds_bucket", **run, le="60")] == 3
    tallies = {name: each for _, name, each in worker.counters.tallies}
    assert tallies["long"].released == 1
    assert (await live.get_job(released.id)).status == "pending"  # type: ignore[union-attr]


async def test_run_and_wait_times(queue: JobQueue, clock: FakeClock) -> None:
    @queue.worker("slow")
    async def slow(job: Job) -> None:
        await clock.advance(0.2)

    await queue.enqueue_many([("slow", {})] * 2)
    worker = Worker(queue, {"default": 1})
    await worker.run_until_idle()
    [(_, _, tally)] = worker.counters.tallies
    assert tally.run_time.total == pytest.approx(0.4)
    assert tally.wait_time.total == pytest.approx(0.2)  # the second waited for the first


async def test_labels_are_escaped_and_bounded(live: JobQueue) -> None:
    hostile = 'a"b\\c} 1'
    live.process(hostile, lambda job: None)
    async with working(live) as worker:
        await live.wait((await live.enqueue(hostile)).id, 60)
        for i in range(5):
            await live.wait((await live.enqueue(f"unknown {i}")).id, 60)
        found = parsed(await render(live, worker))
    attempts = "jobqueue_worker_attempts_total"
    assert found[key(attempts, queue="default", name=hostile, outcome="completed")] == 1
    assert found[key(attempts, queue="default", name=UNKNOWN, outcome="failed")] == 5
    page = Exposition()
    page.metric("m", "gauge", "t", [({"l": "two\nlines"}, 1.5)])
    assert parsed(str(page)) == {key("m", l="two\nlines"): 1.5}


def test_pairs_beyond_the_most_share_a_tally(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counters, "_MOST", 3)
    made, names = Counters(), [f"n{i}" for i in range(10)]
    for name in names:
        made.tally("q", name, names).end("completed", 0.1)
    assert len(made.tallies) == 4
    assert {n: t.completed for _, n, t in made.tallies}[OTHER] == 7


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(-1.0, 0), (0.0, 0), (0.005, 0), (0.006, 1), (1800.0, 14), (1e9, 15)]
)
def test_a_value_falls_into_the_bucket_of_its_upper_bound(seconds: float, bucket: int) -> None:
    made = Histogram()
    made.observe(seconds)
    assert made.counts.index(1) == bucket
    assert made.total == max(0.0, seconds)


async def test_the_workers_figures_stay_while_the_broker_is_away(
    live: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(live)
    worker.counters.broker_errors = 7

    async def broken(*_: object) -> None:
        raise BackendError("down")

    await live.opened()
    monkeypatch.setattr(live.broker, "queues", broken)
    found = parsed(await render(live, worker))
    assert found[key("jobqueue_up")] == 0
    assert found[key("jobqueue_worker_broker_errors_total", call="step")] == 7
    assert not [name for name, _ in found if name == "jobqueue_jobs"]


async def test_a_broker_that_fails_and_a_loop_that_stands_still_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with JobQueue(Settings.from_mapping({"lease": 0.3})) as queue:

        @queue.worker("blocks")
        async def blocks(job: Job) -> None:
            time.sleep(0.5)  # the worker's thread beats on meanwhile

        await queue.opened()
        whole, calls = queue.broker.step, 0

        async def sometimes(call: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise BackendError("down")
            return await whole(call)

        monkeypatch.setattr(queue.broker, "step", sometimes)
        async with working(queue) as worker:
            await queue.wait((await queue.enqueue("blocks")).id, 60)
            async with asyncio.timeout(60):
                while not worker.counters.loop_lag:
                    await asyncio.sleep(0.01)
    assert worker.counters.broker_errors == 1
    assert worker.counters.loop_blocked >= 1
    assert worker.counters.loop_lag < 60


async def ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


async def test_what_the_port_answers() -> None:
    port = free_port()
    settings = Settings.from_mapping({"monitoring": {"metrics_port": port}})
    async with JobQueue(settings) as queue, working(queue) as worker:
        async with asyncio.timeout(60):
            while worker not in queue.running:
                await asyncio.sleep(0.01)
        good = await ask(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n")
        assert good.startswith(b"HTTP/1.1 200")
        assert b"jobqueue_up 1\n" in good
        head = await ask(port, b"HEAD /metrics?x=1 HTTP/1.1\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert head.endswith(b"\r\n\r\n")
        for wrong in (b"GET /metricsx HTTP/1.1", b"POST /metrics HTTP/1.1", b"GET / HTTP/1.1"):
            assert (await ask(port, wrong + b"\r\n\r\n")).startswith(b"HTTP/1.1 404")
        endless = b"GET /metrics HTTP/1.1\r\n" + b"A: " + b"x" * 40_000 + b"\r\n\r\n"
        with contextlib.suppress(ConnectionError):  # closed over what was not read
            assert await ask(port, endless) == b""
        assert b"200 OK" in await ask(port, b"GET /metrics HTTP/1.0\r\n\r\n")


async def test_opentelemetry_reads_the_counters(live: JobQueue) -> None:
    sdk = pytest.importorskip("opentelemetry.sdk.metrics")
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    from jobqueue.integrations.opentelemetry import instrument

    reader = InMemoryMetricReader()
    provider = sdk.MeterProvider([reader])
    instrument(live, meter_provider=provider)

    def points() -> dict[str, list[tuple[dict[str, Any], Any]]]:
        data = reader.get_metrics_data()
        scopes = [] if data is None else data.resource_metrics[0].scope_metrics
        return {
            metric.name: [(dict(p.attributes), p.value) for p in metric.data.data_points]
            for scope in scopes
            for metric in scope.metrics
        }

    assert points() == {}
    go = asyncio.Event()

    @live.worker("x")
    async def handler(job: Job) -> None:
        await go.wait()

    async with working(live):
        job = await live.enqueue("x")
        async with asyncio.timeout(60):
            while not points().get("jobqueue.worker.in_flight"):
                await asyncio.sleep(0.01)
        about = {"messaging.destination.name": "default", "jobqueue.job.name": "x"}
        assert points()["jobqueue.worker.in_flight"] == [(about, 1)]
        go.set()
        await live.wait(job.id, 60)
        async with asyncio.timeout(60):
            while ({**about, "jobqueue.job.outcome": "completed"}, 1) not in points()[
                "jobqueue.worker.attempts"
            ]:
                await asyncio.sleep(0.01)
        [(_, seconds)] = points()["jobqueue.worker.run_time"]
        assert seconds > 0
        assert {name for name in points() if name.endswith(("broker_errors", "loop_lag"))}
    provider.shutdown()


def test_without_opentelemetry_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from jobqueue import MissingExtraError
    from jobqueue.integrations.opentelemetry import instrument

    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.metrics", None)
    with pytest.raises(MissingExtraError, match=r"jobqueue\[otel\]"):
        instrument(JobQueue())
