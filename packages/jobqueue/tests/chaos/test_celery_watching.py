"""Traces and figures where Celery's workers run the jobs."""

import asyncio
from pathlib import Path

import pytest

from _common.processes import free_port
from celery_stage import staged
from faults import PATIENCE

pytest.importorskip("celery")
pytest.importorskip("sqlalchemy")
pytest.importorskip("opentelemetry.sdk")

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from tracing_to_file import spans_in

pytestmark = [pytest.mark.chaos, pytest.mark.slow]


@pytest.mark.parametrize("pool", ["prefork", "threads"])
async def test_celery_workers_go_on_with_the_trace(
    tmp_path: Path, amqp_url: str, monkeypatch: pytest.MonkeyPatch, pool: str
) -> None:
    file, store = tmp_path / "spans", f"sqlite:///{tmp_path}/jobs.db"
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", TracerProvider())
    monkeypatch.setenv("TRACE_FILE", str(file))
    with staged(tmp_path, amqp_url, store) as stage:
        async with stage.queue:
            with trace.get_tracer("test").start_as_current_span("request") as request:
                mother = await stage.queue.enqueue("mother")
            stage.celery(pool)
            child = await stage.queue.result(mother.id, PATIENCE)
            await stage.done(child)
    trace_id = f"0x{request.get_span_context().trace_id:032x}"
    names = {"process mother", "enqueue short", "process short"}  # cron has traces of its own
    spans = {each["name"]: each for each in spans_in(file) if each["name"] in names}
    assert spans.keys() == names
    assert {each["context"]["trace_id"] for each in spans.values()} == {trace_id}
    for parent, name in (("process mother", "enqueue short"), ("enqueue short", "process short")):
        assert spans[name]["parent_id"] == spans[parent]["context"]["span_id"]


async def figures(port: int) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.1\r\n\r\n")
    text = (await reader.read()).decode()
    writer.close()
    return text


@pytest.mark.parametrize("pool", ["prefork", "threads"])
async def test_the_main_process_answers_prometheus(
    tmp_path: Path, amqp_url: str, pool: str
) -> None:
    """With threads it has the figures of the jobs too; processes of a pool keep theirs."""
    store, port = f"sqlite:///{tmp_path}/jobs.db", free_port()
    with staged(tmp_path, amqp_url, store, monitoring={"metrics_port": port}) as stage:
        async with stage.queue:
            stage.celery(pool)
            await stage.done((await stage.queue.enqueue("short")).id)
            text = await figures(port)
    assert "jobqueue_up 1\n" in text
    assert 'jobqueue_jobs{queue="default",status="completed"}' in text
    ended = 'attempts_total{queue="default",name="short",outcome="completed"} 1\n'
    assert (ended in text) == (pool == "threads")
