"""The YAML of the users' specification loads, and each key has its effect."""

import asyncio
import io
import json
import threading
from pathlib import Path
from typing import Any

import pytest

from exporter import (
    ConfigurationError,
    ExportError,
    ExportOptions,
    ExportService,
    ExportSource,
    ExportStatus,
    Settings,
    TemplateError,
    UnknownFormat,
    UnsupportedOperationError,
)
from exporter.adapters.histories.memory import MemoryHistory
from exporter.running import threads
from exporter.testing import FakeClock

YAML = """
export:
  # Storage
  storage:
    type: local # or s3, gcs
    path: "./exports"
    public_url: "https://example.com/exports"

  # Formats
  formats:
    txt:
      enabled: true
      template_dir: "./templates/txt"
    json:
      enabled: true
      pretty: true
    srt:
      enabled: true
    docx:
      enabled: true
      template_dir: "./templates/docx"
    pdf:
      enabled: true
      template_dir: "./templates/pdf"

  # Job processing
  jobs:
    timeout: 300 # seconds
    max_size: 1073741824 # 1GB

  # Download links
  downloads:
    ttl: 86400 # 24 hours
    token_required: false
"""
SOURCE = ExportSource("custom", "1", {"rows": [{"a": 1, "b": "=x"}]})
TALK = ExportSource("transcript", "1", {"segments": [{"start": 0, "end": 9, "text": "word " * 30}]})
KEYS = {"k1": "s" * 32}


async def exported(
    mapping: dict[str, Any], source: ExportSource = SOURCE, format: str = "txt", **options: Any
) -> tuple[Any, bytes]:
    settings = Settings.from_mapping({"storage": {"url": "memory://"}, **mapping})
    async with ExportService(settings) as service:
        job = await service.export(source, format, ExportOptions(**options))
        done = await service.wait(job.id, 60)
        data = await service.download(job.id) if done.status is ExportStatus.COMPLETED else b""
        return done, data


async def test_the_block_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("yaml")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.yaml").write_text(YAML)
    settings = Settings.from_yaml("x.yaml")
    async with ExportService(settings) as service:
        job = await service.wait((await service.export(SOURCE, "json")).id, 60)
        assert job.file_path is not None
        assert Path(job.file_path).is_relative_to(tmp_path / "exports")
        assert job.download_url is not None
        assert job.download_url.startswith("https://example.com/exports/")
        assert job.expires_at is not None
        assert job.completed_at is not None
        assert (job.expires_at - job.completed_at).total_seconds() == 86_400
        found = await service.open_link(
            job.download_url.removeprefix("https://example.com/exports/")
        )
        assert found.id == job.id


async def test_storage_type_and_path(tmp_path: Path) -> None:
    job, _ = await exported({"storage": {"type": "memory"}})
    assert job.file_path is None
    job, _ = await exported({"storage": {"type": "local", "path": f"{tmp_path}/a b%20c"}})
    assert job.file_path.startswith(f"{tmp_path}/a b%20c/")
    job, _ = await exported({"storage": {"url": f"file://{tmp_path}/u"}})
    assert job.file_path.startswith(f"{tmp_path}/u/")
    for wrong in ({"type": "memory", "path": "x"}, {"url": "memory://", "type": "local"}):
        with pytest.raises(ConfigurationError):
            Settings.from_mapping({"storage": wrong}).storage.resolved_url()
    with pytest.raises(ConfigurationError, match="unknown storage 'ftp'"):
        await exported({"storage": {"type": "ftp"}})


@pytest.mark.parametrize(
    ("kind", "url"), [("s3", "s3://b/a%20b"), ("gcs", "gs://b/a%20b"), ("azure", "az://b/a%20b")]
)
def test_storage_in_buckets(kind: str, url: str) -> None:
    storage = Settings.from_mapping({"storage": {"type": kind, "path": "b/a b"}}).storage
    assert storage.resolved_url() == url
    for without in ({"type": kind}, {"type": kind, "path": "/"}):
        with pytest.raises(ConfigurationError, match="needs path: bucket/prefix"):
            Settings.from_mapping({"storage": without}).storage.resolved_url()


async def test_history_of_an_unknown_kind() -> None:
    with pytest.raises(ConfigurationError, match="known: mariadb, memory, mysql, postgresql"):
        await exported({"history": {"url": "redis://h/db"}})


async def test_history_url(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("sqlalchemy")
    url = f"sqlite:///{tmp_path}/h.db"
    job, _ = await exported({"history": {"url": url}})
    assert not [each for each in caplog.records if each.levelname == "WARNING"]
    async with ExportService.from_url("memory://", history=url) as service:
        assert [each.id for each in await service.list_exports()] == [job.id]


async def test_one_warning_without_a_history(caplog: pytest.LogCaptureFixture) -> None:
    await exported({})
    assert len([each for each in caplog.records if "in memory" in each.message]) == 1


@pytest.mark.parametrize(
    "format",
    [
        "txt",
        "json",
        "jsonl",
        "csv",
        "tsv",
        "xlsx",
        "parquet",
        "srt",
        "vtt",
        "docx",
        "pdf",
        "html",
        "md",
    ],
)
async def test_enabled(format: str) -> None:
    with pytest.raises(UnknownFormat, match="disabled"):
        await exported({"formats": {format: {"enabled": False}}}, format=format)
    assert ExportService(
        Settings.from_mapping({"formats": {format: {"enabled": False}}})
    ).list_formats()


@pytest.mark.parametrize(
    "format", ["txt", "json", "jsonl", "csv", "tsv", "srt", "vtt", "html", "md"]
)
async def test_template_dir(format: str, tmp_path: Path) -> None:
    (tmp_path / f"mine.{format}.j2").write_text("{% for r in records %}<{{ r.text }}>{% endfor %}")
    source = ExportSource("transcript", "1", {"segments": [{"start": 0, "end": 1, "text": "a"}]})
    mapping = {"formats": {format: {"template_dir": str(tmp_path)}}}
    _, data = await exported(mapping, source, format, template="mine")
    assert data == b"<a>"
    with pytest.raises(TemplateError, match="template_dir"):
        await exported({}, source, format, template="mine")


@pytest.mark.parametrize("format", ["xlsx", "parquet"])
async def test_formats_without_templates_refuse_one(format: str, tmp_path: Path) -> None:
    mapping = {"formats": {format: {"template_dir": str(tmp_path)}}}
    with pytest.raises(UnsupportedOperationError, match="takes no templates"):
        await exported(mapping, format=format, template="x")


@pytest.mark.parametrize("format", ["docx", "pdf"])
async def test_documents_take_templates_of_engines(format: str, tmp_path: Path) -> None:
    mapping = {"formats": {format: {"template_dir": str(tmp_path)}}}
    with pytest.raises(TemplateError, match=f"no template 'x' in formats.{format}.template_dir"):
        await exported(mapping, format=format, template="x")


async def test_pretty() -> None:
    _, pretty = await exported({}, format="json")
    _, tight = await exported({"formats": {"json": {"pretty": False}}}, format="json")
    assert pretty.count(b"\n") > 5
    assert tight.count(b"\n") == 1
    assert json.loads(pretty)["rows"] == json.loads(tight)["rows"] == [{"a": 1, "b": "=x"}]


async def test_csv_keys() -> None:
    _, data = await exported({}, format="csv")
    assert data == b"a,b\r\n1,'=x\r\n"
    _, data = await exported(
        {"formats": {"csv": {"formula_guard": False, "bom": True}}}, format="csv"
    )
    assert data == b"\xef\xbb\xbfa,b\r\n1,=x\r\n"


@pytest.mark.parametrize("format", ["srt", "vtt"])
async def test_subtitle_keys(format: str) -> None:
    rules = {"max_line_length": 20, "max_lines": 3}
    _, data = await exported({"formats": {format: rules}}, TALK, format, include_metadata=False)
    blocks = [part.split("\n") for part in data.decode().split("\n\n") if "-->" in part]
    texts = [row for part in blocks for row in part if "word" in row]
    assert max(map(len, texts)) <= 20
    assert {sum("word" in row for row in part) for part in blocks} <= {3, 2, 1}
    assert len(blocks) > 1
    both = {
        "segments": [
            {"start": 0, "end": 5, "text": "one", "speaker": "Ann"},
            {"start": 3, "end": 6, "text": "two"},
        ]
    }
    talk = ExportSource("transcript", "1", both)
    _, trimmed = await exported({}, talk, format)
    _, kept = await exported(
        {"formats": {format: {"overlap": "keep", "speakers": False}}}, talk, format
    )
    assert b"--> 00:00:03" in trimmed
    assert b"--> 00:00:05" in kept
    assert b"Ann" in trimmed
    assert b"Ann" not in kept


async def test_page_size_and_fonts(tmp_path: Path) -> None:
    pytest.importorskip("reportlab")
    pypdf = pytest.importorskip("pypdf")
    job, data = await exported({"formats": {"pdf": {"page_size": "letter"}}}, format="pdf")
    (tmp_path / "x.pdf").write_bytes(data)
    page = pypdf.PdfReader(tmp_path / "x.pdf").pages[0]
    assert (float(page.mediabox.width), float(page.mediabox.height)) == (612, 792)
    job, _ = await exported({"formats": {"pdf": {"fonts": ["/no/such.ttf"]}}}, format="pdf")
    assert job.status is ExportStatus.FAILED
    assert "/no/such.ttf" in job.error


async def test_page_size_of_docx() -> None:
    docx = pytest.importorskip("docx")
    _, data = await exported({"formats": {"docx": {"page_size": "letter"}}}, format="docx")
    section = docx.Document(io.BytesIO(data)).sections[0]
    assert round(section.page_width.inches, 2) == 8.5


async def test_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "GRACE", 0.1)
    release = threading.Event()

    def slow():
        yield {"a": 1}
        release.wait(120)
        yield {"a": 2}

    job, _ = await exported({"jobs": {"timeout": 0.05}}, ExportSource("custom", "1", slow()))
    release.set()
    assert job.status is ExportStatus.FAILED
    assert "longer than 0.05 seconds" in job.error


async def test_max_size() -> None:
    job, _ = await exported({"jobs": {"max_size": 50}}, TALK)
    assert job.status is ExportStatus.FAILED
    assert job.error.startswith("ExportTooLarge")


async def test_workers_and_queue_size() -> None:
    release, running = threading.Event(), []

    def slow():
        running.append(1)
        release.wait(120)
        yield {"a": 1}

    settings = {"storage": {"url": "memory://"}, "jobs": {"workers": 1, "queue_size": 1}}
    async with ExportService(Settings.from_mapping(settings)) as service:
        first = await service.export(ExportSource("custom", "1", slow()), "csv")
        async with asyncio.timeout(60):
            while not running:
                await asyncio.sleep(0.001)
        second = await service.export(ExportSource("custom", "2", slow()), "csv")
        with pytest.raises(ExportError, match="wait already") as caught:
            await service.export(SOURCE, "csv")
        assert caught.value.reason == "busy"
        assert len(running) == 1
        release.set()
        await service.wait(first.id, 60)
        await service.wait(second.id, 60)


async def test_shutdown_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "GRACE", 0.1)
    release = threading.Event()

    def slow():
        yield {"a": 1}
        release.wait(120)

    settings = {
        "storage": {"url": "memory://"},
        "jobs": {"shutdown_timeout": 0.05, "workers": 1},
    }
    history = MemoryHistory()
    service = ExportService(Settings.from_mapping(settings), history=history)
    runs = await service.export(ExportSource("custom", "1", slow()), "csv")
    waits = await service.export(SOURCE, "csv")
    await service.aclose()
    release.set()
    for job in (runs, waits):
        found = await history.get(job.id)
        assert found is not None
        assert (found.status, found.error) == (
            "failed",
            "ExportError: interrupted: the service was closed",
        )


async def test_links_need_their_keys() -> None:
    settings = Settings.from_mapping(
        {"storage": {"url": "memory://", "public_url": "https://x/f/"}}
    )
    async with ExportService(settings) as service:
        job = await service.wait((await service.export(SOURCE, "csv")).id, 60)
        assert (job.download_url, job.expires_at) == (None, None)
        with pytest.raises(ConfigurationError, match=r"downloads\.signing_keys"):
            await service.link(job.id)
    job, _ = await exported(
        {
            "downloads": {"signing_keys": KEYS, "ttl": 60},
            "storage": {"url": "memory://", "public_url": "https://x/f/"},
        }
    )
    assert job.download_url.startswith("https://x/f/")
    assert (job.expires_at - job.completed_at).total_seconds() == 60
    with pytest.raises(ConfigurationError, match="under 32 bytes"):
        Settings.from_mapping({"downloads": {"signing_keys": {"k": "short"}}})
    assert "s" * 32 not in repr(Settings.from_mapping({"downloads": {"signing_keys": KEYS}}))


async def test_plain_links_expire() -> None:
    clock = FakeClock()
    settings = Settings.from_mapping(
        {"storage": {"url": "memory://"}, "downloads": {"token_required": False, "ttl": 100}}
    )
    async with ExportService(settings, clock=clock) as service:
        job = await service.wait((await service.export(SOURCE, "csv", user_id="u")).id, 60)
        path = await service.link(job.id)
        assert (await service.open_link(path)).id == job.id
        for wrong in (path[:-1], path.replace("-", "_"), "/" + path, "a/b", path + "/x"):
            with pytest.raises(ExportError):
                await service.open_link(wrong)
        for asked in ({"user_id": "u"}, {"single_use": True}, {"ttl": 5}):
            with pytest.raises(ConfigurationError):
                await service.link(job.id, **asked)
        clock.shift(101)
        with pytest.raises(ExportError, match="expired"):
            await service.open_link(path)


async def test_retention_and_cleanup(tmp_path: Path) -> None:
    clock = FakeClock()
    settings = Settings.from_mapping(
        {
            "storage": {"path": str(tmp_path)},
            "downloads": {"ttl": 10, "retention": 5},
            "cleanup": {"enabled": False},
        }
    )
    async with ExportService(settings, clock=clock) as service:
        job = await service.wait((await service.export(SOURCE, "csv")).id, 60)
        clock.shift(14)
        assert await service.cleanup() == 0
        clock.shift(2)
        assert await service.cleanup() == 1
        assert await service.get_job(job.id) is None
        assert not [path for path in tmp_path.rglob("*") if path.is_file()]


async def test_cleanup_runs_by_itself() -> None:
    clock = FakeClock()
    settings = Settings.from_mapping(
        {
            "storage": {"url": "memory://"},
            "downloads": {"ttl": 10, "retention": 5},
            "cleanup": {"interval": 60},
        }
    )
    async with ExportService(settings, clock=clock) as service:
        job = await service.wait((await service.export(SOURCE, "csv")).id, 60)
        await clock.advance(61)
        assert await service.get_job(job.id) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"storage": {"typ": "local"}},
        {"formats": {"ods": {}}},
        {"formats": {"txt": {"pretty": True}}},
        {"jobs": {"timeout": 0}},
        {"jobs": {"max_size": 0}},
        {"downloads": {"ttl": -1}},
        {"formats": {"srt": {"overlap": "x"}}},
        {"formats": {"pdf": {"page_size": "A9"}}},
        {"x": 1},
    ],
)
def test_wrong_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Settings.from_mapping(wrong)
