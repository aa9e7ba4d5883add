"""The service: jobs from start to end, and what can go wrong on the way."""

import asyncio
import dataclasses
import hashlib
import io
import json
import threading
import time
import tracemalloc
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from exporter import (
    BackendError,
    ConfigurationError,
    Document,
    ExportCancelled,
    ExportError,
    ExportExpired,
    ExportFilters,
    ExportFormatDefinition,
    ExportNotFound,
    ExportOptions,
    ExportService,
    ExportSource,
    ExportStatus,
    InvalidSource,
    Segment,
    Settings,
    StorageError,
    TemplateError,
    UnknownFormat,
    UnsupportedOperationError,
)
from exporter._common.telemetry import correlated, correlation_id
from exporter.adapters.histories.memory import MemoryHistory
from exporter.adapters.storages.memory import MemoryStorage
from exporter.engine import Order, produce
from exporter.formats import Format
from exporter.ports import Renderer
from exporter.registry import FORMATS
from exporter.settings import FormatsSettings
from exporter.sink import Control
from exporter.testing import FakeClock

ROWS = ExportSource("custom", "1", {"rows": [{"a": 1}]})
CSV = b"a\r\n1\r\n"


async def ended(service: ExportService, *args: Any, **kwargs: Any) -> Any:
    return await service.wait((await service.export(*args, **kwargs)).id, 20)


class Gate:
    """A source that waits in the middle until it is let go."""

    def __init__(self) -> None:
        self.reached, self.release = threading.Event(), threading.Event()

    def __iter__(self):
        yield {"a": 1}
        self.reached.set()
        self.release.wait(20)
        for n in range(10_000):
            yield {"a": n}

    async def wait(self) -> None:
        async with asyncio.timeout(10):
            while not self.reached.is_set():
                await asyncio.sleep(0.001)


async def test_a_job_from_start_to_end(service: ExportService, clock: FakeClock) -> None:
    job = await service.export(ROWS, "csv", ExportOptions(filename="table"), user_id="ann")
    assert (job.status, job.progress, job.user_id) == ("pending", 0.0, "ann")
    done = await service.wait(job.id, 10)
    data = await service.download(job.id)
    assert data == CSV
    assert done.status is ExportStatus.COMPLETED
    assert (done.size, done.sha256) == (len(CSV), hashlib.sha256(CSV).hexdigest())
    assert (done.progress, done.records, done.filename) == (100.0, 2, "table.csv")
    assert done.completed_at is not None
    assert done.completed_at.timestamp() == clock.time()
    assert done.source == ExportSource("custom", "1")


@pytest.mark.parametrize("kind", ["dict", "document", "iterable", "async", "table"])
async def test_what_loaders_may_return(service: ExportService, kind: str) -> None:
    segment = {"text": "hello", "start": 1, "end": 2}

    async def stream() -> AsyncIterator[Any]:
        yield segment
        await asyncio.sleep(0)
        yield Segment("there", 2.0, 3.0)

    if kind == "dict":

        @service.source("transcript")
        async def load(id: str) -> Any:
            return {"segments": [segment]}
    elif kind == "document":

        @service.source("transcript")
        def load(id: str) -> Any:
            return Document("T", "transcript", stream(), total=2)
    elif kind == "iterable":

        @service.source("transcript")
        def load(id: str) -> Any:
            return (each for each in [segment])
    elif kind == "async":

        @service.source("transcript")
        async def load(id: str) -> AsyncIterator[Any]:
            async for each in stream():
                yield each
    else:

        @service.source("transcript")
        async def load(id: str) -> Any:
            return stream()

    job = await ended(service, ExportSource("transcript", "x"), "srt")
    assert job.status is ExportStatus.COMPLETED, job.error
    assert b"hello" in await service.download(job.id)


async def test_loaders_that_fail(service: ExportService) -> None:
    @service.source("none")
    async def none(id: str) -> None:
        return None

    @service.source("raises")
    async def raises(id: str) -> dict:
        raise KeyError("secret")

    @service.source("times out")
    async def times_out(id: str) -> dict:
        raise TimeoutError("of the loader")

    @service.source("stream")
    async def stream(id: str):
        yield {"a": 1}
        raise ZeroDivisionError("in the middle")

    errors = {}
    for name in ("none", "raises", "times out", "stream", "unknown"):
        job = await ended(service, ExportSource(name, "1"), "csv")
        assert job.status is ExportStatus.FAILED
        errors[name] = job.error
    assert errors["none"].startswith("ExportNotFound: the loader found no none")
    assert errors["raises"] == "KeyError: 'secret'"
    assert errors["times out"] == "TimeoutError: of the loader"
    assert errors["stream"] == "ZeroDivisionError: in the middle"
    assert "no data and no loader" in errors["unknown"]
    assert [found async for found in service.storage.list_keys()] == []


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


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"segments": 5}, "'segments' must be a list"),
        ({"segments": ["x"]}, "record 1 is str"),
        ({"segments": [{"text": ["x"]}]}, "segments[0].text must be text"),
        ({"segments": [{"text": "x", "start": "soon"}]}, "segments[0].start must be a number"),
        ({"segments": [{"text": "x", "start": 10**400}]}, "segments[0].start must be a number"),
        (
            {"segments": [{"text": "x"}, {"text": "y", "words": 3}]},
            "segments[1].words must be a list",
        ),
        ({"metadata": 3}, "'metadata' must be a mapping"),
        ({"created_at": "yesterday"}, "'created_at' is not an ISO 8601 date"),
    ],
)
async def test_bad_data_names_the_field(service: ExportService, data: Any, words: str) -> None:
    job = await ended(service, ExportSource("transcript", "1", data), "txt")
    assert job.status is ExportStatus.FAILED
    assert job.error.startswith("InvalidSource: ")
    assert words in job.error


async def test_deep_nesting_is_an_error(service: ExportService) -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    for format in ("json", "txt", "csv"):
        job = await ended(service, ExportSource("custom", "1", {"x": deep}), format)
        assert job.status is ExportStatus.FAILED
        assert "nested too deeply" in job.error
    while deep:
        deep = deep[0]


async def test_cancel_while_waiting_and_running() -> None:
    settings = Settings.from_mapping(
        {"storage": {"url": "memory://"}, "history": {"url": "memory://"}, "jobs": {"workers": 1}}
    )
    gate = Gate()
    async with ExportService(settings) as service:
        runs = await service.export(ExportSource("custom", "1", gate), "csv")
        waits = await service.export(ROWS, "csv")
        await gate.wait()
        for job in (runs, waits):
            assert await service.cancel(job.id)
            assert not await service.cancel(job.id)
        begun = time.monotonic()
        for job in (runs, waits):
            assert (await service.wait(job.id, 10)).status is ExportStatus.CANCELLED
            with pytest.raises(ExportCancelled):
                await service.download(job.id)
        assert time.monotonic() - begun < 1
        gate.release.set()
        assert (await ended(service, ROWS, "csv")).status is ExportStatus.COMPLETED
        assert len([found async for found in service.storage.list_keys()]) == 1
        assert (await service.get_stats()).cancelled == 2


async def test_cancel_by_another_process() -> None:
    history, storage, gate = MemoryHistory(), MemoryStorage(), Gate()
    settings = Settings.from_mapping({"jobs": {"lease": 1}})
    clock = FakeClock()
    here = ExportService(settings, storage=storage, history=history, clock=clock)
    there = ExportService(settings, storage=storage, history=history, clock=clock)
    job = await here.export(ExportSource("custom", "1", gate), "csv")
    await gate.wait()
    assert await there.cancel(job.id)
    await clock.advance(1)  # the next heartbeat
    gate.release.set()
    async with asyncio.timeout(10):
        while (await here.get_stats()).active:
            await asyncio.sleep(0.001)
    assert (await here.wait(job.id, 5)).status is ExportStatus.CANCELLED
    assert [found async for found in storage.list_keys()] == []
    await here.aclose()
    await there.aclose()


async def test_a_silent_process_is_taken_for_dead() -> None:
    history, storage, clock, gate = MemoryHistory(), MemoryStorage(), FakeClock(), Gate()
    frozen = ExportService(storage=storage, history=history, clock=clock)
    job = await frozen.export(ExportSource("custom", "1", gate), "csv")
    await gate.wait()
    clock.shift(31)  # its heartbeat did not wake
    async with ExportService(storage=storage, history=history, clock=clock) as other:
        await other.cleanup()
        found = await other.get_job(job.id)
        assert found is not None
        assert (found.status, found.error) == (
            "failed",
            "ExportError: the process that ran the export is gone",
        )
        gate.release.set()
        async with asyncio.timeout(10):
            while (await frozen.get_stats()).active:
                await asyncio.sleep(0.001)
        assert (await other.get_job(job.id)).status is ExportStatus.FAILED
        assert [each async for each in storage.list_keys()] == []
    await frozen.aclose()


async def test_heartbeat_keeps_a_long_export_alive() -> None:
    history, clock, gate = MemoryHistory(), FakeClock(), Gate()
    settings = Settings.from_mapping({"storage": {"url": "memory://"}, "jobs": {"lease": 9}})
    async with ExportService(settings, history=history, clock=clock) as service:
        job = await service.export(ExportSource("custom", "1", gate), "csv")
        await gate.wait()
        for _ in range(10):
            await clock.advance(3)
            assert await history.due(clock.time(), 10) == []
        gate.release.set()
        assert (await service.wait(job.id, 10)).status is ExportStatus.COMPLETED


async def test_retry(service: ExportService) -> None:
    broken = True

    @service.source("flaky")
    async def load(id: str) -> dict:
        if broken:
            raise OSError("no")
        return {"rows": [{"a": 1}]}

    job = await ended(service, ExportSource("flaky", "1"), "csv", user_id="u")
    assert (job.status, job.attempts) == ("failed", 1)
    with pytest.raises(ExportError, match="failed") as caught:
        await service.download(job.id)
    assert caught.value.reason == "failed"
    broken = False
    with pytest.raises(ExportNotFound):
        await service.retry(job.id, user_id="other")
    again = await service.retry(job.id, user_id="u")
    assert (again.id, again.status, again.error) == (job.id, "pending", None)
    done = await service.wait(job.id, 10)
    assert (done.status, done.attempts) == ("completed", 2)
    assert await service.download(job.id) == CSV
    with pytest.raises(ExportError, match="completed") as caught:
        await service.retry(job.id)
    assert caught.value.reason == "not_failed"


async def test_retry_without_the_data(clock: FakeClock) -> None:
    history, storage = MemoryHistory(), MemoryStorage()
    first = ExportService(history=history, storage=storage)
    bad = ExportSource("custom", "1", {"rows": 5})
    job = await ended(first, bad, "csv")
    assert (await first.retry(job.id)).id == job.id  # remembered here
    await first.wait(job.id, 10)
    once = await ended(first, ExportSource("custom", "1", iter([5])), "csv")
    with pytest.raises(ExportError) as caught:
        await first.retry(once.id)
    assert caught.value.reason == "no_source"
    await first.aclose()
    second = ExportService(history=history, storage=storage)
    with pytest.raises(ExportError) as caught:
        await second.retry(job.id)
    assert caught.value.reason == "no_source"

    @second.source("custom")
    async def load(id: str) -> dict:
        return {"rows": [{"a": 1}]}

    await second.retry(job.id)
    assert (await second.wait(job.id, 10)).status is ExportStatus.COMPLETED
    await second.aclose()


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
    await service.wait(other.id, 10)
    await service.wait(jobs[0].id, 10)
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
    async with asyncio.timeout(10):
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
    async with asyncio.timeout(10):
        while seen[-1:] != ["completed"] or raised[-1].status != "completed":
            await asyncio.sleep(0.001)
    async with asyncio.timeout(10):
        while (await service.get_stats()).watchers:
            await asyncio.sleep(0.001)


async def test_ranges_and_broken_files(service: ExportService) -> None:
    job = await ended(service, ROWS, "csv")

    async def part(*byte_range: Any) -> bytes:
        return b"".join([block async for block in service.stream(job.id, byte_range)])

    assert await part(0, 0) == CSV[:1]
    assert await part(2, None) == CSV[2:]
    assert await part(1, 999) == CSV[1:]
    for wrong in ((9, None), (-1, 2), (3, 2)):
        with pytest.raises(ExportError) as caught:
            await part(*wrong)
        assert caught.value.reason == "range"
    [found] = [each async for each in service.storage.list_keys()]
    service.storage._files[found.key] = CSV.upper() + b"x"
    with pytest.raises(StorageError, match="not what was written"):
        await service.download(job.id)
    service.storage._files[found.key] = b"A\r\n1\r\n"
    with pytest.raises(StorageError, match="not what was written"):
        await service.download(job.id)
    await service.storage.delete(found.key)
    with pytest.raises(ExportExpired):
        await service.download(job.id)


async def test_custom_formats(service: ExportService) -> None:
    @service.register_format
    class Upper(Renderer):
        format = "upper"
        content_type = "text/plain"
        extension = "up"

        def begin(self, document: Document) -> None:
            self.put(document.title.upper())

        def write(self, record: Any) -> None:
            self.put(record.text.upper())

        def end(self) -> None:
            self.put("!")

    assert isinstance(Upper, type)
    service.register_format(
        ExportFormatDefinition(
            "bytes",
            "application/octet-stream",
            export=lambda data: b"\x00" + repr(data["metadata"]["title"]).encode(),
        )
    )
    document = Document("Talk", "transcript", [Segment("hello")])
    job = await ended(service, document, "upper")
    assert (job.filename, job.content_type) == ("transcript_Talk.up", "text/plain")
    assert await service.download(job.id) == b"TALKHELLO!"
    job = await ended(service, document, "bytes")
    assert await service.download(job.id) == b"\x00'Talk'"
    assert {"upper", "bytes"} <= set(service.list_formats())


async def test_custom_formats_that_fail(service: ExportService) -> None:
    hanging = threading.Event()

    def register(name: str, export: Any) -> None:
        service.register_format(ExportFormatDefinition(name, "text/plain", export=export))

    async def hangs(data: dict) -> str:
        await asyncio.sleep(3600)
        return ""

    register("raises", lambda data: 1 / 0)
    register("wrong", lambda data: 5)
    register("hangs", hangs)
    register("blocks", lambda data: hanging.wait(20) or "")
    assert (await ended(service, ROWS, "raises")).error == "ZeroDivisionError: division by zero"
    assert "returned int, not str or bytes" in (await ended(service, ROWS, "wrong")).error
    settings = {
        "storage": {"url": "memory://"},
        "history": {"url": "memory://"},
        "jobs": {"timeout": 0.05},
    }
    async with ExportService(Settings.from_mapping(settings)) as impatient:
        impatient._formats = service._formats
        for name in ("hangs", "blocks"):
            job = await ended(impatient, ROWS, name)
            assert job.error == "ExportError: the export took longer than 0.05 seconds"
    hanging.set()
    for wrong in (
        object,
        5,
        ExportFormatDefinition("x", "text/plain"),
        Renderer,
        ExportFormatDefinition("Bad Name", "text/plain", export=str),
        ExportFormatDefinition("x", "text/plain\r\nx: y", export=str),
        ExportFormatDefinition("x", "text/plain", "../x", export=str),
    ):
        with pytest.raises(ConfigurationError):
            service.register_format(wrong)


async def test_batch(service: ExportService) -> None:
    seen = []
    items = [
        (ROWS, "csv"),
        (ROWS, "csv"),
        (ExportSource("nothing", "x"), "json"),
        (ExportSource("custom", "2", {"a": "b"}), "json", ExportOptions(filename="manifest.json")),
        (ExportSource("summary", "2", {"text": "b"}), "srt"),
    ]
    job = await service.export_batch(items, on_progress=lambda *n: seen.append(n), user_id="u")
    done = await service.wait(job.id, 20)
    assert done.status is ExportStatus.COMPLETED, done.error
    assert (done.format, done.filename, done.records) == ("zip", "exports.zip", 5)
    assert done.warnings == ("2 of 5 items failed; see manifest.json",)
    assert seen == [(n, 5) for n in range(1, 6)]
    archive = zipfile.ZipFile(io.BytesIO(await service.download(job.id)))
    assert archive.testzip() is None
    assert archive.namelist() == [
        "custom_1.csv",
        "custom_1 (2).csv",
        "manifest (2).json",
        "manifest.json",
    ]
    manifest = json.loads(archive.read("manifest.json"))
    states = [item["status"] for item in manifest["items"]]
    assert states == ["completed", "completed", "failed", "completed", "failed"]
    assert archive.read("custom_1.csv") == CSV
    assert manifest["items"][0]["sha256"] == hashlib.sha256(CSV).hexdigest()
    with pytest.raises(UnsupportedOperationError):
        await service.export_batch(items, "tar")
    with pytest.raises(InvalidSource):
        await service.export_batch(items, filename="../x.zip")
    with pytest.raises(ConfigurationError):
        await service.export_batch([(ROWS, "csv")] * 10_001)


async def test_batch_is_cancelled_and_limited(service: ExportService) -> None:
    gate = Gate()
    job = await service.export_batch([(ExportSource("custom", "1", gate), "csv"), (ROWS, "csv")])
    await gate.wait()
    assert await service.cancel(job.id)
    gate.release.set()
    assert (await service.wait(job.id, 10)).status is ExportStatus.CANCELLED
    settings = {
        "storage": {"url": "memory://"},
        "history": {"url": "memory://"},
        "jobs": {"max_size": 200},
    }
    async with ExportService(Settings.from_mapping(settings)) as small:
        job = await small.wait((await small.export_batch([(ROWS, "csv")] * 9)).id, 10)
        assert job.error == "ExportTooLarge: the file is over 200 bytes"
        assert [found async for found in small.storage.list_keys()] == []


async def test_a_full_storage_fails_the_job(clock: FakeClock) -> None:
    async with ExportService(
        storage=MemoryStorage(max_bytes=10), history=MemoryHistory()
    ) as service:
        job = await ended(service, ROWS, "json")
        assert job.error == "StorageError: the memory storage is full (10 bytes)"
        assert (await ended(service, ROWS, "csv")).status is ExportStatus.COMPLETED


async def test_the_loop_is_never_held(service: ExportService) -> None:
    async def source():
        for n in range(30_000):
            yield {"text": f"word {n} " * 8, "start": n, "end": n + 1}

    longest, last = 0.0, time.perf_counter()
    job = await service.export(Document("T", "transcript", source()), "json")
    while not (await service.get_job(job.id)).status.is_final:
        await asyncio.sleep(0)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    assert (await service.get_job(job.id)).status is ExportStatus.COMPLETED
    # asked for is 0.05; a loaded machine adds its own pauses
    assert longest < 0.5


async def test_memory_is_bounded() -> None:
    def stream():
        for n in range(5_000):
            yield Segment(f"segment {n} with a few more words in it", n * 1.0, n + 0.9, "Ann")

    for name in ("txt", "json", "jsonl", "csv", "srt", "vtt", "html", "md"):
        renderer = FORMATS.load(name)
        order = Order(
            Format(name, renderer.content_type, name, renderer=renderer),
            FormatsSettings().of(name),
            datetime(2026, 1, 1, tzinfo=UTC),
        )
        tracemalloc.start()
        produce(order, Document("T", "transcript"), stream(), len, Control(), resolve=lambda v: v)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 1_000_000, (name, peak)


def test_export_to(tmp_path: Path) -> None:
    service, seen = ExportService(), []

    @service.source("t")
    def load(id: str) -> dict:
        return {"rows": [{"a": 1}]}

    made = service.export_to(
        tmp_path / "x.csv", ExportSource("t", "1"), on_progress=lambda *n: seen.append(n)
    )
    assert (tmp_path / "x.csv").read_bytes() == CSV
    assert (made.size, made.records, made.sha256) == (6, 2, hashlib.sha256(CSV).hexdigest())
    assert seen == [(2, 1)]
    target = io.BytesIO()
    service.export_to(target, ROWS, "json", include_metadata=False)
    assert json.loads(target.getvalue()) == {"rows": [{"a": 1}]}
    (tmp_path / "keep.csv").write_text("old")
    with pytest.raises(ZeroDivisionError):
        service.export_to(tmp_path / "keep.csv", Document(records=(1 / 0 for _ in "x")))
    assert (tmp_path / "keep.csv").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["keep.csv", "x.csv"]
    with pytest.raises(ConfigurationError, match="name a format"):
        service.export_to(io.BytesIO(), ROWS)
    with pytest.raises(ConfigurationError, match="no filename"):
        service.export_to(io.BytesIO(), ROWS, "csv", filename="x")
    with pytest.raises(StorageError):
        service.export_to(tmp_path / "no" / "x.csv", ROWS)

    async def stream():
        yield {"a": 1}

    with pytest.raises(ExportError, match="use export"):
        service.export_to(io.BytesIO(), Document(records=stream()), "csv")


async def test_progress_is_seen(service: ExportService) -> None:
    gate = Gate()
    document = Document(records=gate, total=4)
    job = await service.export(document, "csv")
    await gate.wait()
    async with asyncio.timeout(10):
        while (await service.get_job(job.id)).progress < 25:
            await asyncio.sleep(0.001)
    assert (await service.get_job(job.id)).status == "processing"
    gate.release.set()
    assert (await service.wait(job.id, 10)).progress == 100


async def test_correlation_ids_travel(service: ExportService) -> None:
    seen = []

    @service.source("t")
    def load(id: str) -> dict:
        seen.append(correlation_id())
        return {"rows": []}

    with correlated("c-1"):
        job = await service.export(ExportSource("t", "1"), "csv")
    done = await service.wait(job.id, 10)
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
