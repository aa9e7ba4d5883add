"""Documents of files that are gone, on the command line."""

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from semsearch import ConfigurationError, SearchDocument, SearchService
from semsearch.adapters.embedders import HashingEmbedder
from semsearch.cli import main
from semsearch.testing import FakeEmbedder

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/index.db"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "notes"
    (made / "sea").mkdir(parents=True)
    for n in range(6):
        (made / "sea" / f"{n}.txt").write_text(f"tide {n}")
        (made / f"{n}.md").write_text(f"moon {n}")
    return made


@pytest.fixture
def run(url: str, capsys: pytest.CaptureFixture[str]) -> Run:
    def made(*arguments: Any) -> tuple[int, str, str]:
        code = main([*map(str, arguments), "--url", url, "--embedder", "hashing"])
        return code, *capsys.readouterr()

    return made


def ids(url: str) -> set[str]:
    async def found() -> set[str]:
        async with SearchService.from_url(url, embedder=HashingEmbedder()) as search:
            store = search._parts.sides.store
            await search.count()
            return set(await store.select(None))

    return asyncio.run(found())


def test_what_is_gone_is_deleted_where_it_is_asked_for(folder: Path, url: str, run: Run) -> None:
    run("index", folder)
    whole = ids(url)
    (folder / "sea" / "1.txt").unlink()
    (folder / "2.md").rename(folder / "20.md")
    code, out, err = run("index", folder)
    assert (code, out) == (0, "1 indexed, 0 updated, 10 unchanged\n")
    assert "2 documents of files that are gone: --prune deletes them" in err
    assert ids(url) == whole | {"20.md"}
    code, out, err = run("index", folder, "--prune")
    assert (code, out, err) == (0, "0 indexed, 0 updated, 11 unchanged\n2 pruned\n", "")
    assert ids(url) == (whole | {"20.md"}) - {"sea/1.txt", "2.md"}
    assert run("index", folder, "--prune")[1].endswith("0 pruned\n")
    assert run("search", "tide 1", "--limit", 50)[1].count("sea/1.txt") == 0


def test_of_others_nothing_is_deleted(folder: Path, url: str, run: Run, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "notes"  # the same name
    other.mkdir(parents=True)
    (other / "other.txt").write_text("harbour")
    (other / "0.md").write_text("of the other folder by now")
    lines = tmp_path / "docs.jsonl"
    lines.write_text('{"id": "line", "content": "taxes", "metadata": {"folder": "."}}\n')
    run("index", folder)
    run("index", other)
    run("index", lines)

    async def written() -> None:
        async with SearchService.from_url(url, embedder=HashingEmbedder()) as search:
            await search.index(SearchDocument("api", "boats", {"folder": "sea"}))
            # taken over: it is not what the folder brought any more
            await search.index(SearchDocument("sea/0.txt", "boats", {"folder": "sea"}))

    asyncio.run(written())
    for name in ("0.md", "1.md", "sea/0.txt", "sea/1.txt"):
        (folder / name).unlink()
    assert run("index", folder, "--prune")[1].endswith("\n2 pruned\n")
    there = ids(url)
    assert {"other.txt", "0.md", "line", "api", "sea/0.txt"} <= there
    assert not {"1.md", "sea/1.txt"} & there


@pytest.mark.parametrize("left", [0, 1, 5])
def test_a_folder_that_is_not_mounted(folder: Path, url: str, run: Run, left: int) -> None:
    run("index", folder)
    for each in sorted(folder.rglob("*.*"))[left:]:
        each.unlink()
    code, out, err = run("index", folder, "--prune")
    assert code == 2
    assert f"{left} unchanged" in out
    assert f"nothing was pruned: {12 - left} of the 12 documents" in err
    assert "--yes" in err
    assert len(ids(url)) == 12
    assert run("index", folder, "--prune", "--yes")[1].endswith(f"{12 - left} pruned\n")
    assert len(ids(url)) == left
    shutil.rmtree(folder)
    code, _, err = run("index", folder, "--prune", "--yes")
    assert (code, "there is no" in err) == (2, True)


def test_what_cannot_be_read_is_not_gone(
    folder: Path, url: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("index", folder)
    (folder / "0.md").write_bytes(bytes(range(9)))
    (folder / "1.md").unlink()
    code, out, err = run("index", folder, "--prune")
    assert out.endswith("\n1 pruned\n")
    assert "1 left out, not text: '0.md'" in err
    assert "0.md" in ids(url)
    (folder / "2.md").unlink()
    scandir = os.scandir

    def closed(path: Any) -> Any:  # whoever tests may be root, who can read all
        if os.fspath(path).endswith("sea"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    code, out, err = run("index", folder, "--prune", "--yes")
    assert code == 2
    assert "nothing was pruned: 'sea' could not be read" in err
    assert "1 left out, not readable (Permission denied): 'sea'" in err
    monkeypatch.undo()
    assert "2.md" in ids(url)


def test_after_a_run_that_was_killed(
    folder: Path, url: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which documents are of the folder stands in each of them, not in a list beside them."""
    run("index", folder)
    (folder / "1.md").unlink()
    (folder / "new.txt").write_text("harbour")

    async def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(SearchService, "delete_by_filter", killed)
        assert run("index", folder, "--prune")[0] == 130
    assert {"1.md", "new.txt"} <= ids(url)
    assert run("index", folder, "--prune")[1].endswith("\n1 pruned\n")


def test_a_file_says_nothing_of_others(folder: Path, run: Run) -> None:
    code, _, err = run("index", folder / "1.md", "--prune")
    assert (code, "--prune takes a folder" in err) == (2, True)


def test_the_folder_is_named_and_its_path_is_not_told(folder: Path, url: str, run: Run) -> None:
    run("index", folder)
    hits = run("search", "moon 1", "--json")[1]
    assert '"_source": "notes@' in hits or '"_source":"notes@' in hits
    assert str(folder.parent) not in hits


async def test_some_stay_whatever_the_filter_says() -> None:
    async with SearchService(embedder=FakeEmbedder()) as search:
        await search.index_batch([SearchDocument(f"d{n}", "tide", {"k": 1}) for n in range(4)])
        assert await search.delete_by_filter({"k": 1}, keep=["d1", "other"]) == 3
        assert await search.count() == 1
        with pytest.raises(ConfigurationError, match="keep"):
            await search.delete_by_filter({"k": 1}, keep="d1")
        assert (await search.get("d1")).id == "d1"
