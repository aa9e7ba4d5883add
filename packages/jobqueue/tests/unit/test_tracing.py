"""One trace from enqueue to run, through retries, children, threads and processes."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import jobqueue.sync
from jobqueue import Job, JobOptions, JobQueue, Worker
from process_handlers import enqueues

pytest.importorskip("opentelemetry.sdk")
pytest.importorskip("sqlalchemy")

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode


class Spans:
    """What was recorded."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()

    def named(self, name: str) -> list[ReadableSpan]:
        found = [each for each in self.exporter.get_finished_spans() if each.name == name]
        return sorted(found, key=lambda each: each.start_time or 0)

    def one(self, name: str) -> ReadableSpan:
        [found] = self.named(name)
        return found


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[Spans]:
    made, provider = Spans(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(made.exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    yield made
    provider.shutdown()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jobs.db"


@pytest.fixture
async def queue(url: str) -> AsyncIterator[JobQueue]:
    async with JobQueue.from_url(url) as made:
        yield made


async def finish(queue: JobQueue, *ids: str) -> list[Job]:
    """Run a worker until the jobs have ended."""
    worker = Worker(queue)
    task = asyncio.create_task(worker.run())
    try:
        return await queue.wait_all(ids, 60)
    finally:
        worker.stop()
        await task


def ids_of(span: ReadableSpan) -> tuple[int, int]:
    assert span.context is not None
    return span.context.trace_id, span.context.span_id


def parent_of(span: ReadableSpan) -> tuple[int, int] | None:
    return None if span.parent is None else (span.parent.trace_id, span.parent.span_id)


async def test_one_trace_from_the_request_to_the_run(queue: JobQueue, spans: Spans) -> None:
    seen: list[str | None] = []

    @queue.worker("greet", queue="mail")
    async def greet(job: Job) -> None:
        seen.append(job.headers.get("correlation_id"))

    with trace.get_tracer("test").start_as_current_span("request") as request:
        job = await queue.enqueue("greet", {"name": "Ada"})
    await finish(queue, job.id)
    sent, run = spans.one("enqueue greet"), spans.one("process greet")
    assert (sent.kind, run.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    context = request.get_span_context()
    assert parent_of(sent) == (context.trace_id, context.span_id)
    assert parent_of(run) == ids_of(sent)
    assert seen == [f"{context.trace_id:032x}"]
    assert dict(sent.attributes or {}) == {
        "messaging.system": "jobqueue",
        "messaging.operation.name": "enqueue",
        "messaging.operation.type": "send",
        "messaging.destination.name": "mail",
        "messaging.message.id": job.id,
        "messaging.message.body.size": 14,
        "jobqueue.job.name": "greet",
    }
    assert dict(run.attributes or {}) == {
        "messaging.system": "jobqueue",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "mail",
        "messaging.message.id": job.id,
        "messaging.message.body.size": 14,
        "jobqueue.job.name": "greet",
        "jobqueue.job.attempt": 1,
        "jobqueue.job.outcome": "completed",
    }
    assert run.status.status_code is StatusCode.UNSET


async def test_retries_and_failures_are_in_the_same_trace(queue: JobQueue, spans: Spans) -> None:
    from jobqueue import Retry, RetryJob

    @queue.worker("flaky", max_attempts=3, backoff=Retry("fixed", base=0))
    async def flaky(job: Job) -> None:
        if job.attempts == 1:
            raise RetryJob(0)
        raise ValueError(f"attempt {job.attempts}")

    await finish(queue, (await queue.enqueue("flaky")).id)
    sent, runs = spans.one("enqueue flaky"), spans.named("process flaky")
    assert [parent_of(run) for run in runs] == [ids_of(sent)] * 3
    attributes = [dict(run.attributes or {}) for run in runs]
    assert [each["jobqueue.job.outcome"] for each in attributes] == ["retry", "retry", "failed"]
    assert [each["jobqueue.job.attempt"] for each in attributes] == [1, 2, 3]
    # asking to run again is no error
    assert [run.status.status_code for run in runs] == [
        StatusCode.UNSET,
        StatusCode.ERROR,
        StatusCode.ERROR,
    ]
    assert "error.type" not in attributes[0]
    assert attributes[2]["error.type"] == "ValueError"
    [event] = runs[2].events
    assert event.attributes is not None
    assert event.attributes["exception.message"] == "attempt 3"


async def test_what_cannot_be_run_is_an_error_in_its_trace(queue: JobQueue, spans: Spans) -> None:
    await finish(queue, (await queue.enqueue("nobody's")).id)
    run = spans.one("process nobody's")
    assert parent_of(run) == ids_of(spans.one("enqueue nobody's"))
    assert (run.attributes or {})["error.type"] == "UnknownJob"


@pytest.mark.parametrize("place", ["loop", "thread"])
async def test_children_belong_to_the_attempt_that_enqueued_them(
    queue: JobQueue, spans: Spans, place: str
) -> None:
    @queue.worker("child")
    async def child(job: Job) -> None: ...

    if place == "loop":

        @queue.worker("mother")
        async def mother(job: Job) -> str:
            return (await queue.enqueue("child")).id
    else:

        @queue.worker("mother")
        def mother_in_thread(job: Job) -> str:
            return jobqueue.sync.JobQueue(queue).enqueue("child").id

    [done] = await finish(queue, (await queue.enqueue("mother")).id)
    await finish(queue, done.result)
    assert parent_of(spans.one("enqueue child")) == ids_of(spans.one("process mother"))
    assert parent_of(spans.one("process child")) == ids_of(spans.one("enqueue child"))
    traces = {ids_of(each)[0] for each in spans.exporter.get_finished_spans()}
    assert len(traces) == 1


async def test_a_process_handler_is_in_the_trace(queue: JobQueue, spans: Spans, url: str) -> None:
    queue.process("mother", enqueues, run_in="process")
    [done] = await finish(queue, (await queue.enqueue("mother", {"url": url})).id)
    trace_id, span_id = ids_of(spans.one("process mother"))
    # no SDK is set up in that process: its jobs are children of the attempt itself
    assert done.result["traceparent"].startswith(f"00-{trace_id:032x}-{span_id:016x}-")
    assert done.result["correlation_id"] == f"{trace_id:032x}"


async def test_many_jobs_are_one_span(queue: JobQueue, spans: Spans) -> None:
    @queue.worker("x")
    async def handler(job: Job) -> None: ...

    jobs = await queue.enqueue_many([("x", {"n": i}) for i in range(3)])
    await finish(queue, *(job.id for job in jobs))
    sent = spans.one("enqueue many")
    assert (sent.attributes or {})["messaging.batch.message_count"] == 3
    assert (sent.attributes or {})["messaging.destination.name"] == "default"
    assert {parent_of(run) for run in spans.named("process x")} == {ids_of(sent)}
    await queue.enqueue_many([])
    assert len(spans.named("enqueue many")) == 1


async def test_enqueueing_in_a_transaction_is_traced(
    queue: JobQueue, spans: Spans, url: str
) -> None:
    import sqlalchemy as sa

    @queue.worker("x")
    async def handler(job: Job) -> None: ...

    await queue.setup()
    engine = sa.create_engine(url)

    def store() -> list[str]:
        blocking = jobqueue.sync.JobQueue(queue)
        with engine.begin() as connection:
            one = blocking.enqueue("x", session=connection)
            many = blocking.enqueue_many([("x", {})], session=connection)
            return [one.id, many[0].id]

    found = await finish(queue, *await asyncio.to_thread(store))
    engine.dispose()
    assert len(found) == 2
    sent = {ids_of(each) for each in spans.named("enqueue many") + spans.named("enqueue x")}
    assert {parent_of(run) for run in spans.named("process x")} == sent


async def test_an_error_at_enqueue_is_recorded(queue: JobQueue, spans: Spans) -> None:
    with pytest.raises(Exception, match="belongs to job"):
        for n in range(2):
            await queue.enqueue("x", n, id="same")
    statuses = [each.status.status_code for each in spans.named("enqueue x")]
    assert statuses == [StatusCode.UNSET, StatusCode.ERROR]


async def test_the_callers_correlation_id_wins(queue: JobQueue, spans: Spans) -> None:
    options = JobOptions(headers={"correlation_id": "request-7"})
    job = await queue.enqueue("x", options=options)
    assert job.headers["correlation_id"] == "request-7"
    assert job.headers["traceparent"]


async def test_without_an_sdk_nothing_is_made(url: str) -> None:
    """No provider: no span, no headers, and OpenTelemetry's SDK is not even looked for."""
    code = (
        "import asyncio, sys\n"
        "from jobqueue import JobQueue\n"
        "async def main():\n"
        "    async with JobQueue.from_url(sys.argv[1]) as queue:\n"
        "        queue.process('x', lambda job: None)\n"
        "        job = await queue.enqueue('x')\n"
        "        await queue.run_until_idle()\n"
        "        assert (await queue.get_job(job.id)).status == 'completed'\n"
        "        print(dict(job.headers), 'opentelemetry.sdk' in sys.modules)\n"
        "asyncio.run(main())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, url], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "{} False"
