"""Word templates: filled, escaped, refused where they could do harm."""

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("docxtpl")

import docx
from docx.oxml import OxmlElement
from docx.oxml.ns import qn

from exporter import (
    Document,
    ExportResult,
    ExportService,
    ExportTooLarge,
    Segment,
    Settings,
    TemplateError,
)
from exporter.adapters.engines.word_package import check_package
from exporter.testing import HOSTILE, FakeClock
from exporter.texts import clean

WORD = b"http://schemas.openxmlformats.org/wordprocessingml/2006/main"
TALK = Document("A <talk>", "transcript", [Segment("one <b>", 61.5, 62.0, "Ann"), Segment("two")])


def template(*paragraphs: str, edit: Callable[[Any], None] | None = None) -> bytes:
    made, out = docx.Document(), io.BytesIO()
    for text in paragraphs:
        made.add_paragraph(text)
    if edit is not None:
        edit(made)
    made.save(out)
    return out.getvalue()


def changed(package: bytes, name: str, edit: Callable[[bytes], bytes]) -> bytes:
    """Return the package with one part edited; one that is not there is made of nothing."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(package)) as old, zipfile.ZipFile(out, "w", 8) as new:
        for entry in old.namelist():
            new.writestr(entry, edit(old.read(entry)) if entry == name else old.read(entry))
        if name not in old.namelist():
            new.writestr(name, edit(b""))
    return out.getvalue()


def export(
    folder: Path, package: bytes, document: Document = TALK, **settings: Any
) -> ExportResult:
    (folder / "minutes.docx").write_bytes(package)
    mapping = {"formats": {"docx": {"template_dir": str(folder)}}, **settings}
    service = ExportService(Settings.from_mapping(mapping), clock=FakeClock())
    return service.export_to(folder / "out.docx", document, "docx", template="minutes")


def texts(folder: Path) -> list[str]:
    return [each.text for each in docx.Document(str(folder / "out.docx")).paragraphs]


def refused(folder: Path, package: bytes, match: str, **settings: Any) -> None:
    before = {"minutes.docx"}
    with pytest.raises(TemplateError, match=match):
        export(folder, package, **settings)
    assert {each.name for each in folder.iterdir()} == before


def harmful(package: bytes, match: str) -> None:
    with pytest.raises(TemplateError, match=match):
        check_package(package)


def test_filled_with_records(tmp_path: Path) -> None:
    loop = "{%p for r in segments %}", "{{ r.time }} {{ r.speaker }}: {{ r.text }}", "{%p endfor %}"
    made = export(tmp_path, template("{{ title }}", *loop, "{{ document.language }}"))
    assert texts(tmp_path) == ["A <talk>", "00:01:01 Ann: one <b>", " None: two", "None"]
    assert (made.records, made.size) == (2, (tmp_path / "out.docx").stat().st_size)


def test_the_same_data_gives_the_same_bytes(tmp_path: Path) -> None:
    package = template("{{ title }}")
    assert export(tmp_path, package).sha256 == export(tmp_path, package).sha256


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    document = Document("T", "transcript", [Segment(text) for text in HOSTILE])
    export(
        tmp_path, template("{%p for r in records %}", "[{{ r.text }}]", "{%p endfor %}"), document
    )
    found = texts(tmp_path)
    assert found == [f"[{clean(text)}]".replace("\x0c", "\n") for text in HOSTILE]
    with zipfile.ZipFile(tmp_path / "out.docx") as package:
        assert b"<b>" not in package.read("word/document.xml")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("{{ ''.__class__ }}", "SecurityError"),
        ("{{ cycler.__init__.__globals__.os }}", "SecurityError"),
        ('{% include "/etc/passwd" %}', "TemplateNotFound"),
        ("{% include '../x' %}", "TemplateNotFound"),
        ("{% for i in range(10**9) %}{% endfor %}", "Range too big"),
        ("{{ 'a' * 50000000 }}", "too large a value"),
        ("{{ title|safe }}", "No filter named 'safe'"),
        ("{%autoescape  false%}{{ title }}{% endautoescape %}", "cannot be switched off"),
        ("{{ nope }}", "'nope' is undefined"),
        ("{% if %}", "at line 2: TemplateSyntaxError"),
    ],
)
def test_attacks_and_mistakes(tmp_path: Path, text: str, match: str) -> None:
    refused(tmp_path, template(text), match)


def test_endless_templates_are_ended(tmp_path: Path) -> None:
    loop = "{% for i in range(99999) %}"
    ends = "{% endfor %}"
    limits = {"templates": {"timeout": 4}}
    refused(tmp_path, template(loop * 3 + ends * 3), "longer than 4 seconds|more than 4", **limits)


def test_memory_is_limited(tmp_path: Path) -> None:
    bomb = "{% set n = namespace(x='a'*999999) %}{% for i in range(20) %}{% set n.x = n.x ~ n.x %}"
    refused(tmp_path, template(bomb + "{% endfor %}"), "memory")


def test_the_data_and_the_file_are_limited(tmp_path: Path) -> None:
    many = Document("T", "transcript", (Segment("x" * 1000) for _ in range(1000)))
    with pytest.raises(TemplateError, match=r"over 10000 bytes \(templates.max_data\)"):
        export(tmp_path, template("x"), many, templates={"max_data": 10_000})
    with pytest.raises(ExportTooLarge):
        export(tmp_path, template("x"), jobs={"max_size": 1000})


def external(kind: str, target: str) -> Callable[[Any], None]:
    def edit(made: Any) -> None:
        space = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
        made.part.relate_to(target, space + kind, is_external=True)

    return edit


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        ("attachedTemplate", "http://example.com/evil.dotm"),
        ("image", "file:///etc/passwd"),
        ("image", "\\\\host\\share\\x.png"),
        ("subDocument", "http://example.com/x"),
        ("hyperlink", "file:///etc/passwd"),
        ("oleObject", "http://example.com/x"),
    ],
)
def test_what_would_load_is_refused(kind: str, target: str) -> None:
    harmful(template("x", edit=external(kind, target)), "would load|program")


def test_links_that_people_click_are_kept() -> None:
    check_package(template("x", edit=external("hyperlink", "https://example.com/")))


def field(*codes: str, marks: bool = True) -> Callable[[Any], None]:
    def edit(made: Any) -> None:
        run = made.add_paragraph().add_run()
        names = ["begin", None, "end"] if marks else [None]
        for kind in names:
            if kind is not None:
                mark = OxmlElement("w:fldChar")
                mark.set(qn("w:fldCharType"), kind)
                run._r.append(mark)
                continue
            for code in codes:
                part = OxmlElement("w:instrText")
                part.text = code
                run._r.append(part)

    return edit


@pytest.mark.parametrize(
    "codes",
    [
        ('INCLUDEPICTURE "http://example.com/x.png"',),
        ("INCLUDE", "TEXT c:\\x"),
        ("dde excel x",),
        ("DDEAUTO c:\\\\windows\\\\system32\\\\cmd.exe",),
        ("QUOTE 68 68 69",),
        ("LINK Excel.Sheet x",),
        ("DATABASE \\d x",),
    ],
)
def test_fields_that_load_are_refused(codes: tuple[str, ...]) -> None:
    harmful(template("x", edit=field(*codes)), "could load something")
    harmful(template("x", edit=field(*codes, marks=False)), "could load something")


def test_fields_of_the_document_are_kept() -> None:
    check_package(template("x", edit=field(" PAGE \\* MERGEFORMAT ")))
    check_package(template("x", edit=field("=", " 1 + 1")))


def test_text_cannot_become_a_field() -> None:
    # a template cannot even have values in the code of a field, but in that of HYPERLINK and so on
    harmful(template("x", edit=field("{{ title }}")), "could load something")


def body(xml: bytes) -> Callable[[bytes], bytes]:
    return lambda old: old.replace(b"<w:body>", b"<w:body>" + xml)


def test_bombs_are_refused() -> None:
    package = template("x")
    deep = b"<w:p>" * 500 + b"</w:p>" * 500
    harmful(changed(package, "word/document.xml", body(deep)), "nested too deeply")
    entities = (
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
        b'<!ENTITY c SYSTEM "file:///etc/passwd">]>'
    )
    for encoding in ("utf-8", "utf-16"):
        text = entities.decode() + "<x>&b;&c;</x>"
        for name in ("word/settings.xml", "word/other.bin"):
            part = changed(package, name, lambda _, t=text, e=encoding: t.encode(e))
            harmful(part, "declares a document type")
    huge = changed(package, "word/media/x.png", lambda _: bytes(300 << 20))
    harmful(huge, f"'word/media/x.png' unpacks to {300 << 20} bytes")
    dense = changed(package, "word/media/x.png", lambda _: bytes(20 << 20))
    harmful(dense, f"'word/media/x.png' unpacks to {20 << 20} bytes")
    stored = io.BytesIO(package)
    with zipfile.ZipFile(stored, "a", zipfile.ZIP_STORED) as file:
        for number in range(17):
            file.writestr(f"word/media/{number}.png", bytes(1 << 23))
    harmful(stored.getvalue(), f"unpacks to over {1 << 27} bytes")
    many = io.BytesIO()
    with zipfile.ZipFile(many, "w") as file:
        for number in range(2001):
            file.writestr(f"{number}", b"")
    harmful(many.getvalue(), "over 2000 parts")
    harmful(b"PK\3\4 no", "no Word document")
    harmful(b"", "no Word document")


def test_harm_is_found_where_it_matters(tmp_path: Path) -> None:
    refused(tmp_path, bytes((1 << 25) + 1), "is over")
    refused(tmp_path, template("x", edit=field("DDE x")), "the field 'DDE x' could load")


def test_harm_is_found_in_what_comes_out(tmp_path: Path) -> None:
    def hidden(made: Any) -> None:
        paragraph = made.add_paragraph()
        for kind, text in (
            ("begin", ""), ("", "{%r if 0 %}"), ("code", "PAGE "), ("", "{%r endif %}"),
            ("code", "DDE x"), ("end", ""),
        ):  # fmt: skip
            run = paragraph.add_run(text if not kind else "")
            if kind == "code":
                part = OxmlElement("w:instrText")
                part.text = text
                run._r.append(part)
            elif kind:
                mark = OxmlElement("w:fldChar")
                mark.set(qn("w:fldCharType"), kind)
                run._r.append(mark)

    package = template("x", edit=hidden)
    check_package(package)
    refused(tmp_path, package, "the field 'DDE x' could load")


def test_a_directory_that_lies_is_refused() -> None:
    package = bytearray(changed(template("x"), "word/media/x.png", lambda _: bytes(300 << 20)))
    real = (300 << 20).to_bytes(4, "little")
    lied = bytes(package).replace(real, (1000).to_bytes(4, "little"))
    assert lied != bytes(package)
    with pytest.raises(TemplateError, match="no Word document"):
        check_package(lied)


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("word/vbaProject.bin", b"x", "program"),
        ("word/activeX/activeX1.xml", b"<x/>", "program"),
        ("word/embeddings/oleObject1.bin", b"x", "program"),
        ("word/afchunk.mht", b"x", "program"),
        ("../evil", b"x", "leads out"),
        ("/evil", b"x", "leads out"),
        ("word/settings2.xml", b"<w:mailMerge xmlns:w='" + WORD + b"'/>", "mail merge"),
        ("word/x.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><image href='http://x/y'/></svg>",
         "would load"),
        ("word/x.xml", b"<v:imagedata xmlns:v='urn:schemas-microsoft-com:vml' src='\\\\h\\x'/>",
         "would load"),
    ],
)  # fmt: skip
def test_odd_parts_are_refused(name: str, content: bytes, match: str) -> None:
    harmful(changed(template("x"), name, lambda _: content), match)


def test_macros_by_their_type_are_refused() -> None:
    def macro(old: bytes) -> bytes:
        return re.sub(rb"wordprocessingml\.document\.main", b"macroEnabled.document.main", old)

    package = changed(template("x"), "[Content_Types].xml", macro)
    harmful(package, "macros")


def test_a_template_that_is_a_link_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "t.docx").write_bytes(template("x"))
    (tmp_path / "in" / "t.docx").symlink_to(tmp_path / "t.docx")
    settings = Settings.from_mapping({"formats": {"docx": {"template_dir": str(tmp_path / "in")}}})
    with pytest.raises(TemplateError, match="no template"):
        ExportService(settings).export_to(tmp_path / "out.docx", TALK, "docx", template="t")
