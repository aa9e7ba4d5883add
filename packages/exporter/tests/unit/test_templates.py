"""Templates: found by name, run in a sandbox, streamed."""

from pathlib import Path
from typing import Any

import pytest

from exporter import (
    Document,
    ExportError,
    ExportService,
    ExportTooLarge,
    Section,
    Segment,
    Settings,
    TemplateError,
)

TALK = Document("A <talk>", "transcript", [Segment("one <b>", 61.5, 62.0, "Ann"), Section("two")])


def rendered(folder: Path, source: str, format: str = "txt", **jobs: Any) -> str:
    (folder / "t.j2").write_text(source)
    settings = {"formats": {format: {"template_dir": str(folder)}}, "jobs": jobs}
    service = ExportService(Settings.from_mapping(settings))
    service.export_to(folder / "out", TALK, format, template="t.j2")
    return (folder / "out").read_text()


def test_what_templates_see(tmp_path: Path) -> None:
    source = (
        "{{ title }} {{ document.language }} {{ facts[0][0] }}\n"
        "{% for r in segments if r is segment %}{{ r.start|timestamp }} {{ r.start|srt_time }} "
        "{{ r.end|vtt_time }} {{ r.speaker }}: {{ r.text }}{% endfor %}"
    )
    assert rendered(tmp_path, source) == (
        "A <talk> None Exported\n00:01:01 00:01:01,500 00:01:02.000 Ann: one <b>"
    )


def test_html_is_escaped(tmp_path: Path) -> None:
    assert rendered(tmp_path, "{{ title }}", "html") == "A &lt;talk&gt;"


def test_names_come_with_or_without_extension(tmp_path: Path) -> None:
    (tmp_path / "minutes.txt.j2").write_text("m")
    settings = Settings.from_mapping({"formats": {"txt": {"template_dir": str(tmp_path)}}})
    ExportService(settings).export_to(tmp_path / "out", TALK, "txt", template="minutes")
    assert (tmp_path / "out").read_text() == "m"


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__ }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ title.format.__globals__ }}",
        "{{ self.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os }}",
        "{{ 'a' * 50000000 }}",
        "{{ 9**(9**9) }}",
        "{{ [1] * 99999999 }}",
        "{% for i in range(10**9) %}{% endfor %}",
        "{{ nope }}",
        "{{ document.nope.x }}",
        "{% include '../x' %}",
        "{% include '/etc/passwd' %}",
        "{% if %}",
        "{{",
        "{{ metadata.update({'a': 1}) }}",
        "{% import 'os' as os %}",
    ],
)
def test_attacks_and_mistakes(tmp_path: Path, source: str) -> None:
    with pytest.raises(ExportError) as caught:
        rendered(tmp_path, source)
    assert isinstance(caught.value, TemplateError)
    assert not (tmp_path / "out").exists()


def test_output_is_limited(tmp_path: Path) -> None:
    with pytest.raises(ExportTooLarge):
        rendered(tmp_path, "{% for i in range(99999) %}xxxxxxxxxx{% endfor %}", max_size=10_000)


def test_loops_that_write_nothing_stop_too(tmp_path: Path) -> None:
    loop = "{% for i in range(99999) %}"
    with pytest.raises(ExportError, match=r"longer than 0\.2 seconds"):
        rendered(tmp_path, loop * 3 + "{% endfor %}" * 3, timeout=0.2)
    assert rendered(
        tmp_path, "{{ range(2, 8, 3)|list }} {{ range(5)[1] }} {{ range(9)|length }}"
    ) == ("[2, 5] 1 9")


@pytest.mark.parametrize(
    "name",
    ["../t.j2", "/etc/passwd", "t\0", "", "a/b", ".hidden", "nope", "link.j2", "x" * 101, None, 5],
)
def test_names_cannot_lead_out(tmp_path: Path, name: Any) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "t.j2").write_text("x")
    (tmp_path / "in" / "link.j2").symlink_to(tmp_path / "t.j2")
    settings = Settings.from_mapping({"formats": {"txt": {"template_dir": str(tmp_path / "in")}}})
    if name is None:
        return
    with pytest.raises((TemplateError, TypeError)):
        ExportService(settings).export_to(tmp_path / "out", TALK, "txt", template=name)


def test_records_errors_pass_through(tmp_path: Path) -> None:
    (tmp_path / "t.j2").write_text("{% for r in records %}x{% endfor %}")
    settings = Settings.from_mapping({"formats": {"txt": {"template_dir": str(tmp_path)}}})
    broken = Document("T", "transcript", (1 / 0 for _ in "x"))
    with pytest.raises(ZeroDivisionError):
        ExportService(settings).export_to(tmp_path / "out", broken, "txt", template="t")
