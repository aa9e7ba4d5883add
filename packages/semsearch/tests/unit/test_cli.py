"""The command line."""

import contextlib
import json
import os
import pty
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from semsearch.cli import main
from semsearch.cli.files import documents_of


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/index.db"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "notes"
    (made / "sea").mkdir(parents=True)
    (made / "sea" / "tides.txt").write_text("The tides follow the moon.")
    (made / "money.md").write_text("The budget \033[31m is red.")
    (made / "picture.png").write_bytes(b"\x89PNG")
    return made


def test_index_search_similar_stats(
    url: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["index", str(folder), "--url", url]) == 0
    assert "2 indexed, 0 updated, 0 unchanged" in capsys.readouterr().out
    assert main(["index", str(folder), "--url", url]) == 0
    assert "2 unchanged" in capsys.readouterr().out
    assert main(["search", "tide", "--url", url, "--expand"]) == 0
    out = capsys.readouterr().out
    assert "sea/tides.txt" in out
    assert "[tides]" in out
    assert main(["search", "budget", "--url", url, "--filter", '{"folder": "."}']) == 0
    assert "\033" not in capsys.readouterr().out
    assert main(["search", "budget", "--url", url, "--filter", '{"folder": "x"}']) == 1
    assert main(["search", "x", "--url", url, "--filter", '{"a": {"$x": 1}}']) == 2
    assert "unknown operator" in capsys.readouterr().err
    assert main(["similar", "money.md", "--url", url]) == 0
    assert main(["similar", "nothing", "--url", url]) == 1
    assert main(["stats", "--url", url]) == 0
    assert "documents 2" in capsys.readouterr().out


def test_folders_as_people_have_them(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other encodings are read, pages are text, and what is no document is said in a line."""
    made = tmp_path / "mess"
    (made / ".git").mkdir(parents=True)
    (made / ".git" / "config.txt").write_text("hidden tides")
    (made / ".secret.txt").write_text("hidden tides")
    (made / "empty.txt").write_text("")
    (made / "mark.txt").write_text("\ufeffmarked tides")
    (made / "wide.txt").write_bytes("wide tides".encode("utf-16"))
    (made / "old.txt").write_bytes("alte Gr\u00fc\u00dfe".encode("cp1252"))
    (made / "page.HTML").write_text(
        "<title>On  tides</title><style>p{}</style><h1>High &amp; low</h1><p>sea<script>alert(1)"
        "</script> water<template><p>unseen</template></p>"
    )
    for n in range(5):
        (made / f"noise{n}.txt").write_bytes(bytes(range(256)) * 4)
    (made / "link.txt").symlink_to(made / "mark.txt")
    (made / "around").symlink_to(made)
    (made / "large.txt").write_text("x" * 10_000_001)
    os.mkfifo(made / "pipe.txt")
    (made / os.fsdecode(b"bad\xff.txt")).write_text("tides")
    assert main(["index", str(made), "--url", url]) == 0
    said = capsys.readouterr()
    assert "5 indexed, 0 updated, 0 unchanged" in said.out
    assert "5 left out, not text: 'noise0.txt', 'noise1.txt', 'noise2.txt', …\n" in said.err
    assert "1 left out, over 10 MB: 'large.txt'\n" in said.err
    assert "1 left out, their names are no ids: 'bad\\udcff.txt'\n" in said.err
    read = {each.id: each for each in documents_of(made).documents}
    assert read["mark.txt"].content == "marked tides"
    assert read["wide.txt"].content == "wide tides"
    assert read["old.txt"].content == "alte Gr\u00fc\u00dfe"
    assert read["page.HTML"].content == "High & low\nsea water"
    metadata = dict(read["page.HTML"].metadata or {})
    assert str(metadata.pop("_source")).startswith("mess@")
    assert metadata == {"folder": ".", "type": "html", "title": "On tides"}


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# On tides\n\nThe sea.", "On tides"),
        ("\n\n#  On tides #\r\nThe sea.", "On tides"),
        ("# C and F#", "C and F#"),
        ("# " + "x" * 299, None),
        ("#", None),
        ("# \nThe sea.", None),
        ("#tide is a tag", None),
        ("## A part\n# On tides", None),
        ("The sea.\n# On tides", None),
    ],
)
def test_the_first_heading_of_markdown_is_its_title(
    tmp_path: Path, text: str, title: str | None
) -> None:
    (tmp_path / "a.md").write_text(text, newline="")
    (tmp_path / "b.txt").write_text(text, newline="")
    marked, plain = documents_of(tmp_path).documents
    assert marked.content == text
    assert marked.metadata.get("title") == title
    assert "title" not in plain.metadata


def test_what_may_not_be_read_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text("tides")
    (tmp_path / "b.txt").write_text("boats")
    read = Path.read_bytes

    def refused(path: Path) -> bytes:
        if path.name == "b.txt":
            raise PermissionError(13, "Permission denied")
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refused)
    found = documents_of(tmp_path)
    assert [each.id for each in found.documents] == ["a.txt"]
    assert found.report() == ["1 left out, not readable (Permission denied): 'b.txt'"]


def test_jsonl_and_eval(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [{"id": 1, "content": "tides"}, {"id": "2", "content": "budget", "metadata": {"a": 1}}]
    (tmp_path / "d.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert main(["index", str(tmp_path / "d.jsonl"), "--url", url, "--embedder", "hashing"]) == 0
    (tmp_path / "queries.jsonl").write_text('{"id": 1, "text": "tide"}')
    (tmp_path / "qrels.tsv").write_text("query_id\tdoc_id\trelevance\n1\t1\t2\n")
    assert main(["eval", str(tmp_path), "--url", url]) == 0
    assert "hybrid             nDCG@10 1.000" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["stats"], "no index is named"),
        (["stats", "--url", "nope://x"], "unknown vector store"),
        (["index", "no-such-folder", "--url", "sqlite:///none.db"], "there is no"),
        (["eval", ".", "--url", "sqlite:///none.db"], "is no collection"),
        (["index", ".", "--url", "memory://"], "memory:// ends with this command"),
        (["serve", "--url", "qdrant://"], "qdrant:// ends with this command"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def run(*arguments: str, **options: Any) -> "subprocess.CompletedProcess[bytes]":
    command = [sys.executable, "-m", "semsearch", *arguments]
    return subprocess.run(command, capture_output=True, check=False, **options)


def terminal(*arguments: str, **variables: str) -> str:
    """Return what the command shows on a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "semsearch", *arguments]
    variables = {**os.environ, "TERM": "xterm", **variables}
    child = subprocess.Popen(command, stdout=theirs, stderr=subprocess.DEVNULL, env=variables)
    os.close(theirs)
    shown = b""
    with contextlib.suppress(OSError):  # Linux says EIO where the other end is closed
        while some := os.read(ours, 65536):
            shown += some
    os.close(ours)
    child.wait()
    return shown.decode()


def test_on_a_terminal(url: str, folder: Path) -> None:
    """Matches are coloured, and nothing of a document is a command of the terminal's."""
    words = "plain words " * 50
    (folder / "evil.txt").write_text(f"tides \033]0;owned\a \033[31mred \x9b31m tides {words}")
    assert main(["index", str(folder), "--url", url]) == 0
    shown = terminal("search", "tides", "--url", url)
    assert shown.count("\033[1;33mtides\033[0m") == 3
    left = shown.replace("\033[1;33m", "").replace("\033[0m", "")
    assert "]0;owned [31mred 31m tides" in left
    assert not {"\033", "\a", "\x9b"} & set(left)
    for quiet in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        assert "[tides]" in terminal("search", "tides", "--url", url, **quiet)


def test_whoever_reads_may_stop_reading(url: str, folder: Path) -> None:
    assert main(["index", str(folder), "--url", url]) == 0
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "semsearch", "search", "tides", "--url", url]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert done.returncode == 141
    assert b"hits in" in done.stderr or not done.stderr
    assert b"Broken" not in done.stderr
    assert b"Exception" not in done.stderr


def test_what_an_encoding_cannot_say(url: str, folder: Path) -> None:
    (folder / "東京.md").write_text("# 首都\n\ntides 東京", encoding="utf-8")
    assert main(["index", str(folder), "--url", url]) == 0
    done = run(
        "search", "東京", "--url", url, "--limit", "1",
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].endswith(b"\\u6771\\u4eac.md  \\u9996\\u90fd")


def test_json(url: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "boat.md").write_text("# Boats\n\nBoats wait for <tides>.")
    assert main(["index", str(folder), "--url", url]) == 0
    capsys.readouterr()
    assert main(["search", "boats", "--url", url, "--json"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert said.err == ""
    assert (found["total"], found["degraded"]) == (len(found["hits"]), None)
    first = found["hits"][0]
    assert first.keys() == {"id", "score", "scores", "metadata", "highlights"}
    assert first["id"] == "boat.md"
    assert first["metadata"]["title"] == "Boats"
    assert first["highlights"][-1] == "<mark>Boats</mark> wait for &lt;tides&gt;."
    assert main(["similar", "boat.md", "--url", url, "--json"]) == 0
    assert {hit["id"] for hit in json.loads(capsys.readouterr().out)["hits"]} == {
        "money.md",
        "sea/tides.txt",
    }
    assert main(["stats", "--url", url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"documents": 3}
    assert main(["search", "zzz", "--url", url, "--json", "--filter", '{"type": "no"}']) == 1
    assert json.loads(capsys.readouterr().out)["hits"] == []


def test_a_slip_of_the_pen_makes_no_index(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"sqlite:///{tmp_path}/folder/sarch.db"
    for arguments in (["search", "x"], ["similar", "x"], ["stats"], ["serve"]):
        assert main([*arguments, "--url", url]) == 2
        said = capsys.readouterr().err
        assert said == f"semsearch: there is no index {url}: semsearch index DIR makes one\n"
    assert not list(tmp_path.iterdir())


def test_the_bar_is_no_part_of_the_output(url: str, folder: Path) -> None:
    pytest.importorskip("rich")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "semsearch", "index", str(folder), "--url", url]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, check=False)
    os.close(theirs)
    assert done.stdout == b"2 indexed, 0 updated, 0 unchanged\n"
    assert b"100%" in os.read(ours, 1 << 16)
    os.close(ours)


def test_files_of_other_kinds_are_counted(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "papers"
    made.mkdir()
    for name in ("a.pdf", "b.PDF", "c.docx", "README"):
        (made / name).write_bytes(b"x")
    assert main(["index", str(made), "--url", url, "--embedder", "hashing"]) == 0
    said = capsys.readouterr()
    assert said.out == "0 indexed, 0 updated, 0 unchanged\n"
    assert said.err == "4 not looked at, by their endings: .pdf, none, .docx\n"


def test_judgements_need_no_heading(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first line counts where its grade is a number; empty lines and marks are passed over."""
    (tmp_path / "d.jsonl").write_text('\ufeff{"id": 1, "content": "tides"}\n\n')
    assert main(["index", str(tmp_path / "d.jsonl"), "--url", url]) == 0
    (tmp_path / "queries.jsonl").write_text('{"id": 1, "text": "tide"}\n\n')
    (tmp_path / "qrels.tsv").write_text("1\t1\t2\n")
    capsys.readouterr()
    assert main(["eval", str(tmp_path), "--url", url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["hybrid"] == {
        "ndcg": 1.0,
        "recall": 1.0,
        "mrr": 1.0,
        "queries": 1,
    }


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ({"id": 1}, 'it must be {"id": …, "content": "…"}'),
        ([{"id": "a", "content": "b"}], 'it must be {"id": …, "content": "…"}'),
        ("text", 'it must be {"id": …, "content": "…"}'),
        ({"id": None, "content": "b"}, 'its "id" must be a text or a number, not null'),
        ({"id": True, "content": "b"}, 'its "id" must be a text or a number, not true'),
        ({"id": "", "content": "b"}, "an id must be 1 to 512 characters"),
        ({"id": "a", "content": 7}, 'its "content" must be a text, not 7'),
        ({"id": "a", "content": "b", "metadata": "c"}, 'its "metadata" must be an object, not "c"'),
    ],
)
def test_a_row_that_is_no_document(
    tmp_path: Path, url: str, line: Any, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said where it is, and what it should be; nothing is indexed."""
    file = tmp_path / "bad.jsonl"
    file.write_text(f'{{"id": "good", "content": "b"}}\n{json.dumps(line)}\n')
    assert main(["index", str(file), "--url", url]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"semsearch: line 2 of {str(file)!r} is no document: {said}")
    assert error.count("\n") == 1
    with pytest.raises(SystemExit):
        main(["search", "x", "--filter", "{"])


def test_rows_as_people_have_them(
    tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Capitals in the name and UTF-16 are no hindrance; of rows with one id the last counts."""
    rows = '{"id": 1, "content": "tides"}\n{"id": "1", "content": "moon"}\n'
    (tmp_path / "ROWS.JSONL").write_text(rows, "utf-16")
    assert main(["index", str(tmp_path / "ROWS.JSONL"), "--url", url]) == 0
    said = capsys.readouterr()
    assert said.out == "1 indexed, 0 updated, 0 unchanged\n"
    assert "1 left out, their ids come again further down: '1'" in said.err
    assert main(["search", "moon", "--url", url]) == 0
    assert "[moon]" in capsys.readouterr().out


def test_a_folder_may_end_as_rows_do(
    tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "all.jsonl").mkdir()
    (tmp_path / "all.jsonl" / "a.txt").write_text("tides")
    assert main(["index", str(tmp_path / "all.jsonl"), "--url", url]) == 0
    assert capsys.readouterr().out == "1 indexed, 0 updated, 0 unchanged\n"


def test_rows_within_a_folder_are_no_file_of_it(
    tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "rows.jsonl").write_text('{"id": 1, "content": "tides"}')
    assert main(["index", str(tmp_path / "notes"), "--url", url]) == 0
    assert "is indexed by itself: name the file" in capsys.readouterr().err


def test_where_nothing_is_that_is_said(
    tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.jsonl").touch()
    for name in ("empty", "empty.jsonl"):
        assert main(["index", str(tmp_path / name), "--url", url]) == 0
        assert "nothing to index is there: files that end in .csv .htm" in capsys.readouterr().err


def test_what_hashing_cannot_is_said_unless_it_was_named(
    url: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["index", str(folder), "--url", url]) == 0
    assert "--embedder light knows meanings" in capsys.readouterr().err
    assert main(["index", str(folder), "--url", url, "--embedder", "hashing"]) == 0
    assert "--embedder" not in capsys.readouterr().err


def test_who_forgot_the_model_is_told_how_to_name_it(
    url: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("wordllama")
    assert main(["index", str(folder), "--url", url]) == 0
    assert main(["search", "tides", "--url", url, "--embedder", "light"]) == 2
    assert capsys.readouterr().err.endswith("; --embedder names the model\n")


@pytest.mark.parametrize("port", ["65536", "-1", "http"])
def test_a_port_that_is_none(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main(["serve", "--url", "sqlite:///none.db", "--port", port])
    assert exit.value.code == 2
    assert f"not a port, 0 to 65535: {port!r}" in capsys.readouterr().err


def test_the_keyword_index_is_chosen(
    url: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("tantivy")
    assert main(["index", str(folder), "--url", url, "--keyword", "tantivy"]) == 0
    assert main(["search", "tides", "--url", url, "--keyword", "tantivy"]) == 0
    assert "sea/tides.txt" in capsys.readouterr().out
    assert main(["search", "tides", "--url", url, "--keyword", "magic"]) == 2
    assert "unknown keyword index 'magic'" in capsys.readouterr().err


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        main(["--version"])
    assert exit.value.code == 0
    assert capsys.readouterr().out.split() == ["semsearch", version("semsearch")]
