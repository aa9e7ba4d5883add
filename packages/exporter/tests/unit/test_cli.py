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
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["format", "file", "media", "type", "ready"]
    assert {
        "csv",
        "docx",
        "html",
        "json",
        "jsonl",
        "md",
        "parquet",
        "pdf",
        "srt",
        "tsv",
        "txt",
        "vtt",
        "xlsx",
    } <= {row.split()[0] for row in rows}
    [row] = [row for row in rows if row.startswith("srt ")]
    assert row.split() == ["srt", ".srt", "application/x-subrip", "yes"]


def test_formats_that_lack_their_library(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "xlsxwriter", None)
    assert main(["formats"]) == 0
    [row] = [row for row in capsys.readouterr().out.splitlines() if row.startswith("xlsx ")]
    assert "pip install 'exporter[xlsx]'" in row


def test_formats_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rich")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["formats"]) == 0
    assert "application/x-subrip" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert (left.value.code, capsys.readouterr().out) == (0, f"exporter {version('exporter')}\n")


def test_preview(talk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preview", str(talk), "--no-metadata"]) == 0
    shown = capsys.readouterr()
    assert (shown.out.split("\n")[:2], shown.err) == (["[00:00:01] Hello", "[00:00:03] Back"], "")
    assert main(["preview", str(talk), "--to", "vtt", "--lines", "1"]) == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("WEBVTT\n", "…\n")


def test_preview_makes_no_more_than_it_shows(
    talk: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from exporter import Document, Segment
    from exporter.cli import reading

    made = 0

    def endless():
        nonlocal made
        while True:
            made += 1
            yield Segment(f"\x1b[31m{made} \x9b1m\u2028x", made, made + 1)

    monkeypatch.setattr(reading, "read_document", lambda *_: Document("t", "transcript", endless()))
    assert main(["preview", str(talk), "--lines", "3", "--no-metadata"]) == 0
    out = capsys.readouterr().out
    assert out.count("\n") == 3
    assert out.isascii()
    assert "\x1b" not in out
    assert made < 10_000


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
    assert ".pdf" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["convert", "{talk}", "{dir}/x.nope"], "unknown format 'nope'"),
        (["convert", "{dir}/nope.srt", "{dir}/x.txt"], "cannot read"),
        (["convert", "{talk}", "{dir}/x"], "name a format"),
        (["convert", "{talk}", "-"], "--to"),
        (["convert", "{talk}", "{dir}/no/x.txt"], "there is no folder"),
        (["convert", "{talk}", "{dir}/x.pfd"], "did you mean 'pdf'?"),
        (["convert", "{talk}", "{dir}", "--to", "txt"], "it is a folder"),
        (["convert", "{talk}", "{talk}/x.txt"], "cannot write"),
        (["preview", "{talk}", "--to", "pdf"], "preview shows text"),
        (["preview", "{talk}", "--lines", "0"], "1 or more"),
        (["preview", "{dir}/nope.srt"], "No such file"),
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


def test_progress_on_a_terminal(talk: Path) -> None:
    """A real terminal for standard error: a bar is drawn there and taken away again."""
    pytest.importorskip("rich")
    import os
    import pty

    talk.write_text("".join(SRT.replace("Hello", "x" * 200) for _ in range(3000)))
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "exporter", "convert", talk, talk.with_suffix(".txt")]
    env = {**os.environ, "TERM": "xterm-256color"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=env) as child:
        os.close(theirs)
        shown = b""
        with os.fdopen(ours, "rb", buffering=0) as screen:
            while True:
                try:
                    part = screen.read(65_536)
                except OSError:  # EIO: the other side is closed
                    break
                if not part:
                    break
                shown += part
        assert child.stdout is not None
        out = child.stdout.read()
    assert child.returncode == 0
    assert b"talk.txt" in shown
    assert b"records" in shown
    assert out.startswith(str(talk.with_suffix(".txt")).encode())
    assert b"\x1b" not in out


def test_no_bar_where_there_is_no_terminal(talk: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "exporter", "convert", talk, talk.with_suffix(".json")],
        capture_output=True, check=True,
    )  # fmt: skip
    assert done.stdout.endswith(b"bytes\n")
    assert b"\x1b" not in done.stdout + done.stderr


def test_a_folder_that_is_not_writable(talk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from exporter import StorageError
    from exporter.whole_file import WholeFile

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(StorageError, match="is not writable"):
        WholeFile(talk.with_suffix(".txt"))


WHISPER = {"text": " Hi there", "language": "en", "segments": [{"id": 0, "start": 0.0, "end": 1.5,
    "text": " Hi there", "tokens": [1], "avg_logprob": -0.1}]}  # fmt: skip
WHISPERX = {"segments": [{"start": 0.0, "end": 1.5, "text": " Hi there", "speaker": "SPEAKER_00",
    "words": [{"word": "Hi", "start": 0.0, "end": 0.5, "score": 0.9, "speaker": "SPEAKER_00"},
              {"word": "there"}]}], "word_segments": []}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("w.json", json.dumps(WHISPER), "Hi there"),
        ("x.json", json.dumps(WHISPERX), "SPEAKER_00: Hi there"),
        ("v.vtt", "WEBVTT\n\n00:01.000 --> 00:02.000\n<v Ann>Hi there\n", "Ann: Hi there"),
        ("c.csv", "start,end,speaker,text\n0,1,Ann,Hi there\n", "Ann: Hi there"),
        ("l.jsonl", '{"start": 0, "end": 1, "text": "Hi there"}\n', "Hi there"),
    ],
)
def test_what_is_read(
    tmp_path: Path, name: str, text: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text(text)
    assert main(["preview", str(tmp_path / name), "--no-metadata"]) == 0
    assert expected in " ".join(capsys.readouterr().out.split())
