"""The command line."""

import json
import os
from importlib.metadata import version
from pathlib import Path

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
    assert read["page.HTML"].metadata == {"folder": ".", "type": "html", "title": "On tides"}


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
        (["index", "no-such-folder", "--url", "memory://"], "there is no"),
        (["eval", ".", "--url", "memory://"], "is no collection"),
        (["search", "x", "--url", "memory://", "--filter", '{"a": {"$x": 1}}'], "unknown operator"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_bad_json(tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.jsonl").write_text('{"id": 1}')
    assert main(["index", str(tmp_path / "bad.jsonl"), "--url", url]) == 2
    assert "line 1" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["search", "x", "--filter", "{"])


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
