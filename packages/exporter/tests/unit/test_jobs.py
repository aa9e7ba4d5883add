"""Jobs: started, found, listed, watched, deleted; whose they are and what is told of them."""

import asyncio
import dataclasses
import hashlib
from datetime import timedelta
from typing import Any

import pytest

from exporter import (
    BackendError,
    ConfigurationError,
    Document,
    ExportError,
    ExportFilters,
    ExportNotFound,
    ExportOptions,
    ExportService,
    ExportSource,
    ExportStatus,
    InvalidSource,
    TemplateError,
    UnknownFormat,
)
from exporter._common.telemetry import correlated, correlation_id
from exporter.adapters.histories.memory import MemoryHistory
from exporter.adapters.storages.memory import MemoryStorage
from exporter.testing import FakeClock
from small_exports import CSV, ROWS, Gate, ended


async def test_a_job_from_start_to_end(service: ExportService, clock: FakeClock) -> None:
    job = await service.export(ROWS, "csv", ExportOptions(filename="table"), user_id="ann")
    assert (job.status, job.progress, job.user_id) == ("pending", 0.0, "ann")
    done = await service.wait(job.id, 60)
    data = await service.download(job.id)
    assert data == CSV
    assert done.status is ExportStatus.COMPLETED
    assert (done.size, done.sha256) == (len(CSV), hashlib.sha256(CSV).hexdigest())
    assert (done.progress, done.records, done.filename) == (100.0, 2, "table.csv")
    assert done.completed_at is not None
    assert done.completed_at.timestamp() == clock.time()
    assert done.source == ExportSource("custom", "1")


async def test_bad_arguments(service: ExportService) -> None:
    for format in ("nope", "", None, 7, "../pdf"):
        with pytest.raises(UnknownFormat):
            await service.export(ROWS, format)
    for source in (
        ExportSource("", "1"),
        ExportSource("a\0", "1"),
        ExportSource("a", "\ud800"),
        ExportSource("x" * 501, "1"),
        ExportSource("a", 5),
        {"a": 1},
    ):
        with pytest.raises(InvalidSource):
            await service.export(source, "csv")
    for name in ("", "../x", "/etc/passwd", "a\0b", "con", "x" * 201, "a/b", "x\r\ny", "a\\b"):
        with pytest.raises(InvalidSource):
            await service.export(ROWS, "csv", filename=name)
    for ttl in (0, -1, float("nan"), float("inf"), "5", True):
        with pytest.raises(ConfigurationError):
            await service.export(ROWS, "csv", ttl=ttl)
    with pytest.raises(TypeError):
        await service.export(ROWS, "csv", ExportOptions(), filename="x")
    with pytest.raises(TypeError):
        await service.export(ROWS, "csv", colour="x")
    with pytest.raises(TemplateError):
        await service.export(ROWS, "txt", template="x")
    with pytest.raises(ConfigurationError):
        await service.export(ROWS, "csv", user_id="")
    for limit in (0, 1001, True, "5"):
        with pytest.raises(ConfigurationError):
            await service.list_exports(limit=limit)
    for cursor in ("x", "-1", "٣", "9" * 30):
        with pytest.raises(ConfigurationError):
            await service.list_exports(cursor=cursor)
    with pytest.raises(ConfigurationError):
        await service.list_exports(status="nope")
    with pytest.raises(TypeError):
        await service.list_exports("u", filters=ExportFilters())
    assert await service.list_exports() == []
    assert await service.get_job("nope") is None
    assert not await service.cancel("nope")
    assert not await service.delete("nope")
    for call in (service.download, service.wait, service.retry, service.link):
        with pytest.raises(ExportNotFound):
            await call("nope")
    with pytest.raises(ExportNotFound):
        await service.subscribe("nope", print)


async def test_idempotency(service: ExportService) -> None:
    jobs = await asyncio.gather(
        *(service.export(ROWS, "csv", user_id="u", idempotency_key="k") for _ in range(5))
    )
    assert len({job.id for job in jobs}) == 1
    with pytest.raises(ExportError) as caught:
        await service.export(ROWS, "json", user_id="u", idempotency_key="k")
    assert caught.value.reason == "conflict"
    other = await service.export(ROWS, "json", user_id="v", idempotency_key="k")
    assert other.id != jobs[0].id
    await service.wait(other.id, 60)
    await service.wait(jobs[0].id, 60)
    assert (await service.get_stats()).started == 2


async def test_users_do_not_see_each_other(service: ExportService) -> None:
    job = await ended(service, ROWS, "csv", user_id="ann")
    assert await service.get_job(job.id, user_id="bob") is None
    assert not await service.cancel(job.id, user_id="bob")
    assert not await service.delete(job.id, user_id="bob")
    for call in (
        service.download(job.id, "bob"),
        service.wait(job.id, user_id="bob"),
        service.retry(job.id, user_id="bob"),
        service.subscribe(job.id, print, user_id="bob"),
        service.link(job.id, user_id="bob"),
        anext(service.stream(job.id, user_id="bob")),
        anext(service.watch(job.id, user_id="bob")),
    ):
        with pytest.raises(ExportNotFound):
            await call
    assert await service.list_exports("bob") == []
    assert [each.id for each in await service.list_exports("ann")] == [job.id]
    assert await service.delete(job.id, user_id="ann")
    assert [found async for found in service.storage.list_keys()] == []


async def test_listing(service: ExportService, clock: FakeClock) -> None:
    made = []
    for n in range(5):
        made.append(await ended(service, ROWS, ("csv", "json")[n % 2], user_id=f"u{n % 2}"))
        clock.shift(1)
    page = await service.list_exports(limit=2)
    assert [each.id for each in page] == [made[4].id, made[3].id]
    rest = await service.list_exports(limit=10, cursor=page.next_cursor)
    assert [each.id for each in rest] == [made[2].id, made[1].id, made[0].id]
    assert rest.next_cursor is None
    found = await service.list_exports(filters=ExportFilters(format="json", user_id="u1"))
    assert len(found) == 2
    assert len(await service.list_exports(status=ExportStatus.FAILED)) == 0


async def test_delete_while_running(service: ExportService) -> None:
    gate = Gate()
    job = await service.export(ExportSource("custom", "1", gate), "csv")
    await gate.wait()
    assert await service.delete(job.id)
    gate.release.set()
    assert await service.get_job(job.id) is None
    async with asyncio.timeout(60):
        while (await service.get_stats()).active:
            await asyncio.sleep(0.001)
    assert [found async for found in service.storage.list_keys()] == []


async def test_watch_and_subscribe(service: ExportService) -> None:
    gate, seen = Gate(), []
    job = await service.export(ExportSource("custom", "1", gate), "csv")
    raised = []

    def broken(job: Any) -> None:
        raised.append(job)
        raise RuntimeError("of the callback")

    async def note(job: Any) -> None:
        seen.append(job.status)

    await service.subscribe(job.id, note)
    await service.subscribe(job.id, broken)
    stop = await service.subscribe(job.id, lambda each: None)
    stop()
    await gate.wait()
    with pytest.raises(TimeoutError):
        await service.wait(job.id, 0.01)
    with pytest.raises(ExportError) as caught:
        await service.download(job.id)
    assert caught.value.reason == "not_ready"
    gate.release.set()
    states = [each.status async for each in service.watch(job.id)]
    assert states[-1] == "completed"
    async with asyncio.timeout(60):
        while seen[-1:] != ["completed"] or raised[-1].status != "completed":
            await asyncio.sleep(0.001)
    async with asyncio.timeout(60):
        while (await service.get_stats()).watchers:
            await asyncio.sleep(0.001)


async def test_progress_is_seen(service: ExportService) -> None:
    gate = Gate()
    document = Document(records=gate, total=4)
    job = await service.export(document, "csv")
    await gate.wait()
    async with asyncio.timeout(60):
        while (await service.get_job(job.id)).progress < 25:
            await asyncio.sleep(0.001)
    assert (await service.get_job(job.id)).status == "processing"
    gate.release.set()
    assert (await service.wait(job.id, 60)).progress == 100


async def test_correlation_ids_travel(service: ExportService) -> None:
    seen = []

    @service.source("t")
    def load(id: str) -> dict:
        seen.append(correlation_id())
        return {"rows": []}

    with correlated("c-1"):
        job = await service.export(ExportSource("t", "1"), "csv")
    done = await service.wait(job.id, 60)
    assert done.metadata["correlation_id"] == "c-1"
    assert seen == ["c-1"]


async def test_logs_hold_no_user_text(
    service: ExportService, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    await ended(service, ExportSource("secret-type", "secret-id"), "csv")
    await ended(service, ExportSource("custom", "secret-id", {"secret-key": "secret-value"}), "csv")
    text = " ".join(
        str(vars(record)) for record in caplog.records if record.name.startswith("exporter")
    )
    assert "export.failed" in text
    assert "secret" not in text


async def test_a_history_that_fails_is_reported(clock: FakeClock) -> None:
    class Broken(MemoryHistory):
        async def create(self, record: Any) -> Any:
            raise BackendError("down", retryable=True)

    async with ExportService(storage=MemoryStorage(), history=Broken()) as service:
        with pytest.raises(BackendError, match="down") as caught:
            await service.export(ROWS, "csv")
        assert caught.value.retryable


def test_jobs_are_values() -> None:
    source = ExportSource("custom", "1")
    with pytest.raises(dataclasses.FrozenInstanceError):
        source.id = "2"  # type: ignore[misc]


@pytest.mark.parametrize("value", ["", "a\0", "\ud800", "x" * 501, 5, b"x"])
async def test_names_that_no_history_could_keep(service: ExportService, value: Any) -> None:
    for name in ("user_id", "idempotency_key"):
        with pytest.raises(ConfigurationError, match=f"{name} must be text"):
            await service.export(ROWS, "csv", **{name: value})
        with pytest.raises(ConfigurationError, match=f"{name} must be text"):
            await service.export_batch([(ROWS, "csv")], **{name: value})
    assert await service.get_job(value) is None
    assert await service.list_exports() == []


async def test_options_of_the_wrong_type(service: ExportService) -> None:
    for keywords in ({"include_metadata": "yes"}, {"include_metadata": 1}, {"ttl": 10**5000}):
        with pytest.raises(ConfigurationError):
            await service.export(ROWS, "csv", **keywords)
    for options in ("x", 0, {}, ("csv",)):
        with pytest.raises(ConfigurationError, match="options must be ExportOptions"):
            await service.export(ROWS, "csv", options)
    with pytest.raises(TemplateError):
        await service.export(ROWS, "txt", template=5)


async def test_odd_times_to_wait(service: ExportService) -> None:
    job = await ended(service, ROWS, "csv")
    for timeout in (float("nan"), "5", True, b"1", [1]):
        with pytest.raises(ConfigurationError, match="timeout must be"):
            await service.wait(job.id, timeout)
    for timeout in (float("inf"), 10**400, timedelta(seconds=5), None):
        assert (await service.wait(job.id, timeout)).id == job.id
    gate = Gate()
    job = await service.export(ExportSource("custom", "1", gate), "csv")
    for timeout in (0, -1, float("-inf"), timedelta(seconds=-1)):
        with pytest.raises(TimeoutError):
            await service.wait(job.id, timeout)
    gate.release.set()


async def test_filters_of_the_wrong_type(service: ExportService) -> None:
    wrong: tuple[Any, ...] = (
        "x", ExportFilters(user_id=5), ExportFilters(format="\ud800"),
        ExportFilters(source_type="a\0"), ExportFilters(created_after="today"),
        ExportFilters(status="nope"),
    )  # fmt: skip
    for filters in wrong:
        with pytest.raises(ConfigurationError):
            await service.list_exports(filters=filters)
    for cursor in (5, b"1", "1" * 19):
        with pytest.raises(ConfigurationError, match="not a cursor"):
            await service.list_exports(cursor=cursor)
