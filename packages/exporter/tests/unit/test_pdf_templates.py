"""Templates for PDF: Typst and HTML. Nothing is read but the template's folder; text is text."""

import io
import json
import os
import unicodedata
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pypdf")

from pypdf import PdfReader

from exporter import (
    Document,
    ExportCancelled,
    ExportError,
    ExportResult,
    ExportService,
    ExportTooLarge,
    MissingExtraError,
    Section,
    Segment,
    Settings,
    TemplateError,
)
from exporter.adapters.engines.html import HtmlEngine
from exporter.ports import RenderContext
from exporter.settings import TemplateSettings
from exporter.templates.documents import facts_for, plain_record
from exporter.templates.process import Job, TemplateProcess
from exporter.testing import HOSTILE, FakeClock
from exporter.texts import clean

TALK = Document("A <talk> #x *b*", "transcript", [Segment("one <b>", 61.5, 62.0, "Ann")])
FONT = "<style>@font-face {font-family: x; src: url(/etc/passwd)}</style><p style='font: 9px x'>x"
PICTURE = "<svg xmlns='http://www.w3.org/2000/svg'><image href='/etc/passwd' width='9' height='9'/>"
TYPST = "#let data = json(bytes(sys.inputs.data))\n#set page(width: 40cm, height: auto)\n"


def export(
    folder: Path, name: str, text: str, document: Document = TALK, **settings: Any
) -> ExportResult:
    (folder / name).write_text(text)
    mapping = {"formats": {"pdf": {"template_dir": str(folder)}}, **settings}
    service = ExportService(Settings.from_mapping(mapping), clock=FakeClock())
    return service.export_to(folder / "out.pdf", document, "pdf", template=name.partition(".")[0])


def text_of(folder: Path) -> str:
    pages = PdfReader(io.BytesIO((folder / "out.pdf").read_bytes())).pages
    return "\n".join(page.extract_text() for page in pages)


def squeezed(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).split()).replace("-", "")


@pytest.fixture
def typst() -> None:
    pytest.importorskip("typst")


@pytest.fixture
def weasyprint() -> None:
    try:
        pytest.importorskip("weasyprint")
    except OSError:
        if os.environ.get("REQUIRE_SERVICES"):
            raise
        pytest.skip("WeasyPrint finds no Pango")


@pytest.mark.usefixtures("typst")
class TestTypst:
    def refused(self, folder: Path, text: str, match: str, **settings: Any) -> None:
        with pytest.raises(TemplateError, match=match):
            export(folder, "t.typ", text, **settings)
        assert not (folder / "out.pdf").exists()

    def test_filled(self, tmp_path: Path) -> None:
        lines = "= #data.title\n#for r in data.segments [#r.time #r.speaker: #r.text \\ ]"
        made = export(tmp_path, "t.typ", TYPST + lines)
        assert squeezed(text_of(tmp_path)) == squeezed("A<talk>#x*b*00:01:01Ann:one<b>")
        assert export(tmp_path, "t.typ", TYPST + lines).sha256 == made.sha256

    def test_hostile_text_stays_text(self, tmp_path: Path) -> None:
        hostile = [
            '#read("/etc/passwd")', "#{ 7*7 }", "= head", "*b*", "$ x $", '"]; #panic("x")', "`r`",
            '#import "x.typ"', "\\u{41}", "// gone", "/* gone */", "<label> @ref", *HOSTILE[:6],
        ]  # fmt: skip
        document = Document("T", "transcript", [Segment(text) for text in hostile])
        export(tmp_path, "t.typ", TYPST + "#for r in data.records [| #r.text |\\ ]", document)
        found = squeezed(text_of(tmp_path))
        for text in hostile:
            assert squeezed(f"| {clean(text)} |") in found

    def test_files_of_the_folder_only(self, tmp_path: Path) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "secret.txt").write_text("secret")
        (tmp_path / "in" / "own.txt").write_text("belongs here")
        export(tmp_path / "in", "t.typ", TYPST + '#read("own.txt")')
        assert squeezed(text_of(tmp_path / "in")) == "belongshere"
        (tmp_path / "in" / "out.pdf").unlink()
        for path in ("/etc/passwd", "../secret.txt", "../../../../../etc/passwd"):
            self.refused(tmp_path / "in", f'#read("{path}")', "not found|outside|denied|root")
        (tmp_path / "in" / "link.txt").symlink_to(tmp_path / "secret.txt")
        self.refused(tmp_path / "in", '#read("link.txt")', "'link.txt' leads out of the folder")

    def test_no_packages(self, tmp_path: Path) -> None:
        self.refused(tmp_path, '#import "@preview/example:0.1.0": add', "package")

    def test_mistakes(self, tmp_path: Path) -> None:
        self.refused(tmp_path, "#nope", "unknown variable")
        self.refused(tmp_path, "#let x = (", "unclosed|expected")

    def test_endless_and_greedy_templates_are_ended(self, tmp_path: Path) -> None:
        limits = {"templates": {"timeout": 3}}
        loop = "#{ let f(n) = { let s = 0; for i in range(n) { s = s + i }; s }\n"
        nested = "for i in range(100000) { for j in range(100000) { let x = f(100000) } } }"
        self.refused(tmp_path, loop + nested, "longer than 3|more than 3", **limits)
        greedy = '#{ let s = "0123456789" * 100000; let a = (); for i in range(100000) { '
        self.refused(tmp_path, f"{greedy} a.push(s + str(i)) }} }}", "memory")


@pytest.mark.usefixtures("weasyprint")
class TestHtml:
    def refused(self, folder: Path, text: str, match: str, **settings: Any) -> None:
        with pytest.raises(TemplateError, match=match):
            export(folder, "t.html", text, **settings)
        assert not (folder / "out.pdf").exists()

    def test_filled(self, tmp_path: Path) -> None:
        lines = (
            "<h1>{{ title }}</h1>{% for r in segments %}<p>{{ r.time }} {{ r.text }}{% endfor %}"
        )
        made = export(tmp_path, "t.html", lines)
        assert squeezed(text_of(tmp_path)) == squeezed("A<talk>#x*b*00:01:01one<b>")
        assert export(tmp_path, "t.html", lines).sha256 == made.sha256

    def test_hostile_text_stays_text(self, tmp_path: Path) -> None:
        hostile = [
            *HOSTILE[:6],
            '<link rel="attachment" href="file:///etc/passwd">',
            '"><img src="http://example.com/x.png">',
            "<style>@import url(http://example.com/x.css)</style>",
        ]
        document = Document("T", "transcript", [Segment(text) for text in hostile])
        loop = "{% for r in records %}<p>| {{ r.text }} |{% endfor %}"
        page = f"<style>@page {{size: 40cm 60cm}}</style>{loop}"
        export(tmp_path, "t.html", page, document)
        found = squeezed(text_of(tmp_path))
        for text in hostile:
            assert squeezed(f"| {clean(text)} |") in found
        assert not PdfReader(tmp_path / "out.pdf").attachments

    @pytest.mark.parametrize(
        ("text", "match"),
        [
            ("{{ ''.__class__ }}", "'__class__' of 'str' object is unsafe"),
            ('{% include "/etc/passwd" %}', "/etc/passwd"),
            ("{{ title|safe }}", "No filter named 'safe'"),
            ("{% autoescape false %}{{ title }}{% endautoescape %}", "cannot be switched off"),
            ("{% for i in range(10**9) %}{% endfor %}", "Range too big"),
            ('<img src="file:///etc/passwd">', "no file in the folder"),
            ('<img src="http://127.0.0.1:9/x.png">', "is not a file in the folder"),
            ('<img src="//example.com/x.png">', "is not a file in the folder"),
            ('<link rel="stylesheet" href="../secret.css">', "no file in the folder"),
            ('<link rel="stylesheet" href="link.css">', "no file in the folder"),
            ('<link rel="attachment" href="file:///etc/passwd">', "no file in the folder"),
            ("<style>@import url(https://example.com/a.css)</style>", "is not a file"),
            ("<style>p {background: url(ftp://example.com/a)}</style><p>x", "is not a file"),
            (FONT, "no file in the folder"),
            (PICTURE, "no file in the folder"),
        ],
    )
    def test_attacks(self, tmp_path: Path, text: str, match: str) -> None:
        (tmp_path / "in").mkdir()
        (tmp_path / "secret.css").write_text("p {color: red}")
        (tmp_path / "in" / "link.css").symlink_to(tmp_path / "secret.css")
        page = tmp_path / "in" / "t.html"
        page.write_text(text)
        # not in a process of its own: importing the library is what takes the time
        with pytest.raises(Exception, match=match) as caught:
            HtmlEngine().render(page, {"title": "T"})
        # errors of Jinja2 are told to the parent as they are
        assert isinstance(caught.value, TemplateError) is not text.startswith(("{{", "{%"))

    def test_a_url_that_leads_out_fails_the_export(self, tmp_path: Path) -> None:
        self.refused(tmp_path, '<img src="file:///etc/passwd">', "no file in the folder")
        self.refused(tmp_path, "{{ ''.__class__ }}", "SecurityError")

    def test_files_of_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "own.css").write_text("p::before {content: 'own '}")
        (tmp_path / "part.html").write_text("part {{ title }}")
        page = '<link rel="stylesheet" href="own.css"><p>{% include "part.html" %}</p>'
        export(tmp_path, "t.html", page)
        assert squeezed(text_of(tmp_path)) == squeezed("own part A <talk> #x *b*")

    def test_limits(self, tmp_path: Path) -> None:
        loop = "{% for i in range(99999) %}"
        slow = {"templates": {"timeout": 3}}
        self.refused(tmp_path, loop * 3 + "{% endfor %}" * 3, "longer than 3|more than 3", **slow)
        bomb = "{% set n = namespace(x='a'*999999) %}{% for i in range(20) %}"
        self.refused(tmp_path, bomb + "{% set n.x = n.x ~ n.x %}{% endfor %}", "memory")
        with pytest.raises(ExportTooLarge):
            export(tmp_path, "t.html", "<p>x", jobs={"max_size": 500})


def test_without_the_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*names: object, **where: str) -> None:
        raise OSError("cannot load library 'libpango-1.0-0'")

    monkeypatch.setattr("exporter.adapters.engines.html.require", absent)
    with pytest.raises(TemplateError, match=r"apt install libpango-1.0-0.*cannot load library"):
        HtmlEngine().render(tmp_path / "t.html", {})
    (tmp_path / "typst.py").write_text("raise ModuleNotFoundError('no', name='typst')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(MissingExtraError, match=r"pip install 'exporter\[typst\]'"):
        export(tmp_path, "t.typ", "x")


def test_a_template_of_another_format(tmp_path: Path) -> None:
    (tmp_path / "t.j2").write_text("x")
    settings = Settings.from_mapping({"formats": {"pdf": {"template_dir": str(tmp_path)}}})
    service = ExportService(settings)
    with pytest.raises(TemplateError, match=r"pdf is made by templates that end in \.html, \.typ"):
        service.export_to(tmp_path / "out.pdf", TALK, "pdf", template="t.j2")
    with pytest.raises(ExportError, match="'xlsx' takes no templates"):
        service.export_to(tmp_path / "out.xlsx", TALK, "xlsx", template="t")


@pytest.mark.usefixtures("typst")
async def test_a_cancelled_job_ends_the_process(tmp_path: Path, clock: FakeClock) -> None:
    inner = "for j in range(100000) { for k in range(100000) { let x = k } }"
    loop = f"#for i in range(100000) {{ {inner} }}"
    (tmp_path / "t.typ").write_text(loop)
    mapping = {
        "formats": {"pdf": {"template_dir": str(tmp_path)}},
        "storage": {"url": "memory://"},
        "history": {"url": "memory://"},
    }
    async with ExportService(Settings.from_mapping(mapping), clock=clock) as service:
        job = await service.export(TALK, "pdf", template="t")
        async for seen in service.watch(job.id):
            if seen.status == "processing":
                assert await service.cancel(job.id)
        assert (await service.wait(job.id)).status == "cancelled"
    assert not children()


def children() -> list[str]:
    """Return the command lines of this process's children that render templates."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            stat = (entry / "stat").read_text().rpartition(")")[2].split()
            command = (entry / "cmdline").read_bytes().decode("utf-8", "replace")
        except OSError:
            continue
        if int(stat[1]) == os.getpid() and "exporter.templates.child" in command:
            found.append(command)
    return found


def test_data_that_templates_see(tmp_path: Path) -> None:
    made = Document(
        "T\0", "custom", author="\ud800", metadata={"a b": {1, 2}, "n": float("nan"), "x": TALK},
        data={"deep": [{"a": 2**70}]}, created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    head = facts_for(made, RenderContext())
    json.dumps(head, allow_nan=False).encode()
    assert (head["title"], head["document"]["author"]) == ("T", "\ufffd")
    assert head["document"]["created_at"] == "2026-01-01T00:00:00+00:00"
    assert head["metadata"]["n"] is None
    assert head["data"] == {"deep": [{"a": str(2**70)}]}
    section = plain_record(Section("a", "b\x07", ("c",), 2))
    assert section == {
        "kind": "section", "title": "a", "text": "b", "bullets": ["c"], "level": 2, "role": None,
    }  # fmt: skip


def test_cancelled_while_it_waits(tmp_path: Path) -> None:
    """What ends the export is raised wherever the parent waits, and the process is gone."""
    pytest.importorskip("typst")
    (tmp_path / "t.typ").write_text("x")
    looks = 0

    def check() -> None:
        nonlocal looks
        looks += 1
        if looks > 3:
            raise ExportCancelled("stop")

    job = Job("typ", "t", str(tmp_path / "t.typ"), 0.0)
    with (
        pytest.raises(ExportCancelled),
        TemplateProcess(job, TemplateSettings(), check) as process,
    ):
        while True:
            process.send({"kind": "row", "cells": ["y" * 1000]})
    assert process.child.code() == -9
