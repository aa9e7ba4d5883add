"""The command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from exporter.cli import main

SRT = "1\n00:00:01,000 --> 00:00:02,500\nHello\n\n2\n00:00:03,000 --> 00:00:02,000\nBack\n"


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    path = tmp_path / "talk.srt"
    path.write_text(SRT)
    return path


@pytest.mark.parametrize(
    "format", ["txt", "json", "jsonl", "csv", "vtt", "html", "md", "docx", "pdf"]
)
def test_convert(talk: Path, format: str, capsys: pytest.CaptureFixture[str]) -> None:
    if format in {"docx", "pdf"}:
        pytest.importorskip({"docx": "docx", "pdf": "reportlab"}[format])
    target = talk.with_suffix(f".{format}")
    assert main(["convert", str(talk), str(target), "--title", "My talk"]) == 0
    assert target.stat().st_size > 0
    out = capsys.readouterr()
    assert f"talk.{format}: 2 records" in out.out
    if format == "vtt":
        assert "note: reversed or empty times" in out.err


def test_convert_to_stdout(talk: Path) -> None:
    run = subprocess.run(
        [
            sys.executable,
            "-m",
            "exporter",
            "convert",
            str(talk),
            "-",
            "--to",
            "json",
            "--no-metadata",
        ],
        capture_output=True,
        check=True,
    )
    assert [each["text"] for each in json.loads(run.stdout)["segments"]] == ["Hello", "Back"]


def test_formats(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["formats"]) == 0
    names = capsys.readouterr().out.split()
    assert names == [
        "csv", "docx", "html", "json", "jsonl", "md", "parquet", "pdf", "srt", "tsv", "txt", "vtt",
        "xlsx",
    ]  # fmt: skip


def test_settings_file(talk: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("yaml")
    (tmp_path / "m.txt.j2").write_text("T:{{ title }}")
    config = tmp_path / "c.yaml"
    config.write_text(
        f"export:\n  formats:\n    txt:\n      template_dir: {tmp_path}\n"
        "    pdf: {enabled: false}\n"
    )
    target = tmp_path / "o.txt"
    assert (
        main(
            [
                "convert",
                str(talk),
                str(target),
                "--config",
                str(config),
                "--template",
                "m",
                "--quiet",
            ]
        )
        == 0
    )
    assert target.read_text() == "T:talk"
    assert main(["formats", "--config", str(config)]) == 0
    assert "pdf" not in capsys.readouterr().out.split()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["convert", "{talk}", "{dir}/x.nope"], "unknown format 'nope'"),
        (["convert", "{dir}/nope.srt", "{dir}/x.txt"], "cannot read"),
        (["convert", "{talk}", "{dir}/x"], "name a format"),
        (["convert", "{talk}", "-"], "--to"),
        (["convert", "{talk}", "{dir}/no/x.txt"], "cannot write"),
        (["convert", "{talk}", "{dir}/x.txt", "--from", "json"], "not JSON"),
        (["convert", "{talk}", "{dir}/x.pdf", "--template", "x"], "no templates for"),
        (
            ["convert", "{talk}", "{dir}/x.txt", "--config", "{dir}/nope.yaml"],
            "cannot read settings",
        ),
        (["schema", "sql"], "--url"),
        (["schema", "sql", "--url", "redis://x"], "unknown history 'redis'"),
    ],
)
def test_mistakes(
    arguments: list[str], words: str, talk: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if "--config" in arguments:
        pytest.importorskip("yaml")
    filled = [each.format(talk=talk, dir=talk.parent) for each in arguments]
    assert main(filled) == 2
    err = capsys.readouterr().err
    assert err.startswith("exporter: ")
    assert words in err
    assert "Traceback" not in err
    assert sorted(path.name for path in talk.parent.iterdir()) == ["talk.srt"]


def test_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("sqlalchemy")
    url = f"sqlite:///{tmp_path}/h.db"
    assert main(["schema", "upgrade", "--url", url]) == 0
    assert (tmp_path / "h.db").exists()
    assert main(["schema", "sql", "--url", url]) == 0
    assert "CREATE TABLE IF NOT EXISTS exporter_jobs" in capsys.readouterr().out
    assert main(["schema", "sql", "--url", "memory://"]) == 0


def test_progress_on_a_terminal(talk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert main(["convert", str(talk), str(talk.with_suffix(".txt"))]) == 0
