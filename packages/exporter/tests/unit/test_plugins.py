"""Formats, storages, histories and template engines of other distributions, by entry point."""

import io
import json
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from _common import third_party
from exporter import (
    ConfigurationError,
    Document,
    ExportService,
    Segment,
    Settings,
    TemplateError,
    UnknownFormat,
)
from exporter.children import write_frame
from exporter.registry import history_from_url, storage_from_url
from exporter.templates import takes_templates
from exporter.templates.child import read, rendered
from exporter.templates.process import Job
from exporter.testing import FakeClock

TALK = Document("A talk", "transcript", [Segment("one", 0.0, 1.0)])
MODULE = """
import os, socket, subprocess, sys

from exporter import Renderer, TemplateEngine, TemplateError
from exporter.adapters.histories.memory import MemoryHistory
from exporter.adapters.storages.memory import MemoryStorage


class Shout(Renderer):
    format = "shout"
    content_type = "text/plain"

    def begin(self, document):
        self.put(document.title.upper())

    def write(self, record):
        self.put(" " + record.text.upper())

    def end(self):
        self.put("!")


class Srt(Shout):
    format = "srt"


class Attic(MemoryStorage):
    pass


class Diary(MemoryHistory):
    pass


class Plain(TemplateEngine):
    formats = ("shout", "pdf")

    def render(self, template, data):
        what = template.read_text()
        if what == "network":
            with socket.socket() as probe:
                probe.connect(("127.0.0.1", int(data["metadata"]["port"])))
        if what == "resolve":
            socket.getaddrinfo("localhost", 80)
        if what == "program":
            subprocess.run(["true"])
        if what == "large":
            with open(data["metadata"]["path"], "wb") as file:
                file.write(bytes(1 << 27))
        if what == "environment":
            return repr(sorted(os.environ)).encode()
        if what == "text":
            return "text"
        if what == "wrong":
            raise TemplateError("a comma is missing")
        if what == "die":
            os._exit(3)
        if what == "deaf":
            os.close(1), os.closerange(3, 100)
            while True:
                pass
        print("what engines print is not in the file")
        names = [record["text"] for record in data["segments"]]
        return f"{what}: {data['title']} {names}".encode()


class NoEngine:
    formats = ("shout",)
"""
POINTS = {
    "exporter.formats/shout": "Shout",
    "exporter.formats/srt": "Srt",
    "exporter.storages/attic": "Attic",
    "exporter.histories/diary": "Diary",
    "exporter.engines/plain": "Plain",
}


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A distribution as pip would leave it."""
    with third_party.installed(tmp_path / "site", monkeypatch, MODULE, POINTS):
        yield tmp_path


def service(folder: Path, **more: Any) -> ExportService:
    formats = {"pdf": {"template_dir": str(folder)}}
    return ExportService(Settings.from_mapping({"formats": formats, **more}), clock=FakeClock())


def filled(folder: Path, what: str, **facts: Any) -> bytes:
    (folder / "t.plain").write_text(what)
    document = Document("A talk", "transcript", [Segment("one <b>", 0.0, 1.0)], metadata=facts)
    service(folder, templates={"timeout": 5}).export_to(
        folder / "out", document, "pdf", template="t"
    )
    return (folder / "out").read_bytes()


def test_formats(installed: Path) -> None:
    exports = service(installed)
    assert "shout" in exports.list_formats()
    exports.export_to(installed / "x", TALK, "shout")
    assert (installed / "x").read_text() == "A TALK ONE!"
    # one that is built in cannot be replaced by installing something
    exports.export_to(installed / "x", TALK, "srt")
    assert (installed / "x").read_text().startswith("1\n00:00:00,000")


def test_storages_and_histories(installed: Path, clock: FakeClock) -> None:
    assert type(storage_from_url("attic://")).__name__ == "Attic"
    assert type(history_from_url("diary://", clock=clock)).__name__ == "Diary"


async def test_in_worker_processes(installed: Path) -> None:
    mapping = {
        "storage": {"url": "attic://"},
        "history": {"url": "diary://"},
        "jobs": {"executor": "processes"},
    }
    async with ExportService(Settings.from_mapping(mapping)) as exports:
        job = await exports.wait((await exports.export(TALK, "shout")).id, 60)
        assert await exports.download(job.id) == b"A TALK ONE!"


def test_engines(installed: Path) -> None:
    assert takes_templates("shout")
    assert filled(installed, "hello") == b"hello: A talk ['one <b>']"


@pytest.mark.parametrize(
    ("what", "match"),
    [
        ("network", "may not use socket.connect"),
        ("resolve", "may not use socket.getaddrinfo"),
        ("program", "may not use"),
        ("large", "File too large"),
        ("text", "the engine returned str, not bytes"),
        ("wrong", "template 't': a comma is missing"),
        ("die", "ended its process with code 3"),
        ("deaf", "template 't' used more than"),
    ],
)
def test_engines_are_confined(installed: Path, what: str, match: str) -> None:
    with pytest.raises(TemplateError, match=match):
        filled(installed, what, port=9, path=str(installed / "large"))
    assert not (installed / "out").exists()


def test_what_the_process_does(installed: Path) -> None:
    (installed / "t.plain").write_text("here")
    source = io.BytesIO()
    lines = [
        {"title": "T", "metadata": {}},
        {"kind": "segment", "text": "one"},
        {"kind": "section", "text": "two"},
    ]
    for line in lines:
        write_frame(source, b"R", json.dumps(line).encode() + b"\n")
    write_frame(source, b"Z", b"")
    source.seek(0)
    data = read(source)
    assert [len(data[name]) for name in ("records", "segments", "sections", "rows")] == [2, 1, 1, 0]
    job = Job("plain", "t", str(installed / "t.plain"), 0.0)
    assert rendered(job, data) == b"here: T ['one']"


def test_engines_see_no_secrets(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EXPORTER_SECRET", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    names = filled(installed, "environment").decode()
    assert "SECRET" not in names
    assert "SOURCE_DATE_EPOCH" in names


def test_the_network_is_gone_also_below_python(installed: Path) -> None:
    """Where the system allows it, the process has no network at all: not even a loopback."""
    code = """
        import ctypes, socket
        from exporter.templates.child import _leave_network
        _leave_network()
        names = [name for _, name in socket.if_nameindex()]
        probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            probe.connect(("127.0.0.1", 9))
        except OSError as exc:
            print("unreachable", names)
        else:
            print("reachable", names)
        """
    can = subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False)
    if can.returncode:
        pytest.skip("this system gives no network namespaces")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("unreachable ['lo']")


def test_an_entry_that_is_no_engine(installed: Path) -> None:
    points = installed / "site" / "third_party-1.0.dist-info" / "entry_points.txt"
    points.write_text("[exporter.engines]\nbad = third_party:NoEngine\n")
    with pytest.raises(ConfigurationError, match="the template engine 'bad' is no TemplateEngine"):
        takes_templates("pdf")


def test_without_the_distribution(tmp_path: Path) -> None:
    with pytest.raises(UnknownFormat, match="unknown format 'shout'"):
        service(tmp_path).export_to(tmp_path / "x", TALK, "shout")
    with pytest.raises(ConfigurationError, match="unknown storage 'attic'"):
        storage_from_url("attic://")


@pytest.mark.parametrize(
    "given", [{"storage": "memory://"}, {"history": "sqlite:///h.db"}, {"executor": "threads"}]
)
def test_a_part_that_is_none(given: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="takes a ready") as refused:
        ExportService(**given)
    assert next(iter(given)) in str(refused.value)
    assert "secret" not in str(refused.value)
