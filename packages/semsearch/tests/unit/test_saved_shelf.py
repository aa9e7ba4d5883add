"""A process starts from the file beside a SQLite index, and that is never believed by itself."""

import os
import random
import re
import shutil
import sqlite3
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from damages import DAMAGES
from semsearch import Filter, SearchDocument, SearchService
from semsearch.adapters import bm25, in_place, sqlite_beside, sqlite_follower
from semsearch.adapters.kept import KeptIndex
from semsearch.adapters.rank_bm25 import RankBM25Index
from semsearch.adapters.sqlite import SQLiteStore
from semsearch.ports import Changes, Matrix, Stored
from semsearch.testing import FakeEmbedder

WORDS = ("tide", "moon", "boats", "harbour", "taxes", "naïve", "潮")


@pytest.fixture(autouse=True)
def worth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every index is worth its files, after any change."""
    monkeypatch.setattr(bm25, "_WORTH", 1)
    monkeypatch.setattr(sqlite_follower, "_WORTH", 1)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the ids of the documents whose rows are read from then on."""
    seen: list[str] = []
    made = sqlite_follower.sqlite_rows.document_of

    def watched(row: Any, dimension: int) -> Stored | None:
        seen.append(row[0].decode())
        return made(row, dimension)

    monkeypatch.setattr(sqlite_follower.sqlite_rows, "document_of", watched)
    monkeypatch.setattr(sqlite_beside, "document_of", watched)
    return seen


def text(number: int, count: int = 30) -> str:
    return f"number{number} " + " ".join(random.Random(number).choices(WORDS, k=count))


def made(number: int, seed: int = 0, count: int = 30) -> SearchDocument:
    metadata = {"kind": "even" if number % 2 == 0 else "odd", "n": number}
    return SearchDocument(f"d{number}", text(number + 1000 * seed, count), metadata)


DOCS = [made(n) for n in range(40)]


def service(path: Path, **parts: Any) -> SearchService:
    return SearchService.from_url(f"sqlite:///{path}/i.db", embedder=FakeEmbedder(), **parts)


async def indexed(path: Path, documents: Sequence[SearchDocument] = DOCS) -> None:
    async with service(path) as search:
        await search.index_batch(documents)


async def answers(search: SearchService) -> Any:
    """What a search says of everything: equal where two hold the same."""
    said: list[Any] = [await search.count(), await search.count({"kind": "even"})]
    for word in (*WORDS, "number7", "tide moon taxes"):
        for more in ({}, {"filters": {"kind": "even"}}, {"query_expansion": True}):
            found = await search.search(word, limit=50, facets=["kind"], **more)
            hits = [(h.id, h.content, h.metadata, h.highlights, h.score, h.scores) for h in found]
            said += [hits, found.facets, found.total, found.degraded]
    similar = await search.find_similar("d3") if await search.count({"n": 3}) else []
    return said, [(hit.id, hit.score, hit.content) for hit in similar]


async def anew(documents: Sequence[SearchDocument]) -> Any:
    async with SearchService(embedder=FakeEmbedder()) as search:
        await search.index_batch(documents)
        return await answers(search)


async def test_what_did_not_change_is_not_read(tmp_path: Path, read: list[str]) -> None:
    await indexed(tmp_path)
    assert (tmp_path / "i.db-vectors").exists()
    read.clear()
    async with service(tmp_path) as search:
        assert await search.count() == 40
        assert read == []
        [hit] = await search.search("number7", limit=1, threshold=1.0)
        assert (hit.content, read) == (DOCS[7].content, ["d7"])
        await search.search("number7", limit=1, threshold=0.9)
        assert read == ["d7"], "a text that was read stays"
        assert await answers(search) == await anew(DOCS)


async def test_what_changed_since_is_read(
    tmp_path: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await indexed(tmp_path)
    with monkeypatch.context() as killed:
        killed.setattr(sqlite_follower.SQLiteFollower, "keep", lambda *_: None)
        async with service(tmp_path) as search:
            await search.index_batch([made(3, 1), made(50)])
            await search.delete("d4")
    read.clear()
    async with service(tmp_path) as search:
        assert await search.count() == 40
        assert sorted(read) == ["d3", "d50"]
        left = [each for each in DOCS if each.id not in {"d3", "d4"}]
        assert await answers(search) == await anew([*left, made(3, 1), made(50)])


async def test_parts_of_long_documents(tmp_path: Path, read: list[str]) -> None:
    long = [made(n, count=900) for n in range(6)]
    await indexed(tmp_path, long)
    read.clear()
    async with service(tmp_path) as search:
        assert await search.count() == 6
        assert read == []
        assert await answers(search) == await anew(long)
        assert (await search.index_batch(long)).unchanged == [each.id for each in long]


async def test_processes_see_each_other(tmp_path: Path) -> None:
    await indexed(tmp_path)
    async with service(tmp_path) as one, service(tmp_path) as two:
        assert await one.count() == await two.count() == 40
        await one.index(made(60))
        await two.index(made(5, 2))
        await two.delete("d6")
        left = [each for each in DOCS if each.id not in {"d5", "d6"}]
        expected = await anew([*left, made(60), made(5, 2)])
        assert await answers(one) == await answers(two) == expected


async def test_what_another_process_wrote_meanwhile(tmp_path: Path) -> None:
    """It is read as it is now, and the words follow when the changes are asked for."""
    await indexed(tmp_path)
    store = SQLiteStore(f"sqlite:///{tmp_path}/i.db")
    await store.open("fake", 8, create=False)
    begun = await store.refresh()
    assert all(each.unread and not each.content for each in begun.upserted)
    odd = Filter.parse({"kind": "odd"})
    assert await store.count(odd) == 20
    changed = SearchDocument("d7", made(7, 1).content, {"kind": "even"})
    await indexed(tmp_path, [changed])
    async with service(tmp_path) as other:
        await other.delete("d8")
    found = await store.get(["d7", "d8", "d9"])
    assert {name: each.content for name, each in found.items()} == {
        "d7": changed.content,
        "d9": DOCS[9].content,
    }
    later = await store.refresh(begun.position)
    assert [(each.id, each.content) for each in later.upserted] == [("d7", changed.content)]
    assert list(later.deleted) == ["d8"]
    assert await store.count(odd) == 19
    await store.aclose()


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_file_is_made_anew(
    tmp_path: Path, damage: Any, read: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    await indexed(tmp_path)
    file = tmp_path / "i.db-vectors"
    file.write_bytes(damage(file.read_bytes()))
    read.clear()
    async with service(tmp_path) as search:
        assert await answers(search) == await anew(DOCS)
    assert len(read) == 40
    assert [each.message for each in caplog.records if "vectors" in each.message] == [
        "semsearch.vectors_corrupt"
    ]
    read.clear()
    async with service(tmp_path) as search:
        assert await search.count() == 40
    assert read == [], "the end of the process before wrote it anew"


async def test_an_older_copy_of_the_database_under_a_newer_file(tmp_path: Path) -> None:
    """Numbers of changes are given out again there: only the mark tells that they are others."""
    await indexed(tmp_path, DOCS[:20])
    shutil.copy(tmp_path / "i.db", tmp_path / "copy")
    await indexed(tmp_path, [*DOCS, made(2, 9)])
    newer = (tmp_path / "i.db-vectors").read_bytes()
    shutil.copy(tmp_path / "copy", tmp_path / "i.db")
    others = [made(n, 5) for n in range(15, 36)]
    await indexed(tmp_path, others)
    (tmp_path / "i.db-vectors").write_bytes(newer)
    async with service(tmp_path) as search:
        assert await answers(search) == await anew([*DOCS[:15], *others])


async def test_another_database_of_the_same_name(tmp_path: Path) -> None:
    await indexed(tmp_path)
    for name in ("i.db", "i.db-wal", "i.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    async with service(tmp_path) as search:
        assert await search.count() == 0
        await search.index(made(1))
        assert await answers(search) == await anew([made(1)])


async def test_a_damaged_row_behind_the_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await indexed(tmp_path)
    with sqlite3.connect(tmp_path / "i.db") as link:
        link.execute("UPDATE semsearch_documents SET content = 'number7 forged' WHERE id = 'd7'")
    link.close()
    async with service(tmp_path) as search:
        assert "d7" not in [hit.id for hit in await search.search("number7", limit=50)]
        assert [each.message for each in caplog.records] == ["semsearch.row_corrupt"]
        assert await search.count() == 39
        assert (await search.index_batch(DOCS)).indexed == ["d7"]
        assert await answers(search) == await anew(DOCS)


async def test_what_cannot_be_put_in_place_leaves_the_file_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: list[str]
) -> None:
    """As after a kill between the mark and the file."""
    await indexed(tmp_path)
    with monkeypatch.context() as broken:

        def full(*_: Any) -> None:
            raise OSError(28, "no space left on device")

        broken.setattr(sqlite_beside.saved_shelf, "put_in_place", full)
        await indexed(tmp_path, [made(61)])
    read.clear()
    async with service(tmp_path) as search:
        assert await search.count() == 41
        assert read == ["d61"]
        assert await answers(search) == await anew([*DOCS, made(61)])


async def test_many_changes_are_saved_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed leaves the next one a file."""
    monkeypatch.setattr(sqlite_follower, "_DUE", 10)
    search = service(tmp_path)
    await search.index_batch(DOCS)
    assert (tmp_path / "i.db-vectors").exists()
    await search.aclose()


async def test_few_changes_are_not_worth_writing_it(tmp_path: Path) -> None:
    await indexed(tmp_path, [made(n) for n in range(300)])
    files = tmp_path / "i.db-vectors", tmp_path / "i.db-words"
    before = [each.stat().st_mtime_ns for each in files]
    await indexed(tmp_path, [made(301)])
    assert [each.stat().st_mtime_ns for each in files] == before
    await indexed(tmp_path, [made(n) for n in range(302, 307)])
    assert all(each.stat().st_mtime_ns > old for each, old in zip(files, before, strict=True))


async def test_what_is_deleted_or_replaced_is_not_left_there(tmp_path: Path) -> None:
    documents = [
        SearchDocument(f"s{n}", f"secret{n} tide", {"k": f"hidden{n}"}) for n in range(300)
    ]
    await indexed(tmp_path, documents)
    files = tmp_path / "i.db-vectors", tmp_path / "i.db-words"
    for change, gone in ((0, b"7"), (1, b"9")):
        written = b"".join(each.read_bytes() for each in files)
        assert b"secret" + gone in written
        assert b"hidden" + gone in written
        async with service(tmp_path) as search:
            if change:
                await search.index(SearchDocument("s9", "tide"))
            else:
                await search.delete("s7")
        written = b"".join(each.read_bytes() for each in files)
        for word in (b"secret" + gone, b"hidden" + gone):
            assert not re.search(word + rb"(?![0-9])", written)
    async with service(tmp_path) as search:
        left = [each for each in documents if each.id not in {"s7", "s9"}]
        assert await answers(search) == await anew([*left, SearchDocument("s9", "tide")])


async def test_small_indexes_leave_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_follower, "_WORTH", 2000)
    await indexed(tmp_path)
    assert not (tmp_path / "i.db-vectors").exists()


async def test_texts_beyond_the_room_are_read_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_follower, "_TEXTS", 500)
    async with service(tmp_path) as search:
        await search.index_batch(DOCS)
        shelf = search._parts.sides.store.inner._follower.shelf  # type: ignore[attr-defined]
        assert 0 < shelf.texts <= 500
        assert await answers(search) == await anew(DOCS)
        await search.index(made(3, 1))
        await search.delete("d0")
        assert shelf.texts <= 500
        left = [each for each in DOCS[1:] if each.id != "d3"]
        assert await answers(search) == await anew([*left, made(3, 1)])


async def test_repair_and_another_model(tmp_path: Path) -> None:
    class Other(FakeEmbedder):
        @property
        def model_id(self) -> str:
            return "other"

    await indexed(tmp_path)
    async with service(tmp_path) as search:
        assert (await search.repair()).differences == 0
        keywords = search._parts.sides.keywords
        await keywords.apply(Changes(deleted=["d7"]))
        assert list((await search.repair()).missing) == ["d7"]
        assert await answers(search) == await anew(DOCS)
        assert await search.reindex(Other()) == 40
        assert await answers(search) == await anew(DOCS)
    other = SearchService.from_url(f"sqlite:///{tmp_path}/i.db", embedder=Other())
    async with other as search:
        assert await answers(search) == await anew(DOCS)


class Reversed(FakeEmbedder):
    """Another model, with vectors as long."""

    @property
    def model_id(self) -> str:
        return "reversed"

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        return super().embed_documents(texts)[:, ::-1]


async def test_a_file_of_the_model_before_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await indexed(tmp_path)
    with monkeypatch.context() as killed:
        killed.setattr(sqlite_follower.SQLiteFollower, "keep", lambda *_: None)
        async with service(tmp_path) as search:
            await search.delete("d5")  # the new table has no trace of it
            await search.reindex(Reversed())
    async with SearchService(embedder=Reversed()) as fresh:
        await fresh.index_batch([each for each in DOCS if each.id != "d5"])
        expected = await answers(fresh)
    url = f"sqlite:///{tmp_path}/i.db"
    async with SearchService.from_url(url, embedder=Reversed()) as search:
        assert await answers(search) == expected


class Recorded(RankBM25Index):
    """An index that keeps nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: dict[str, str] = {}

    async def apply(self, changes: Changes) -> None:
        self.texts |= {each.id: each.content for each in changes.upserted}


async def test_other_keyword_indexes_are_given_the_texts(tmp_path: Path) -> None:
    await indexed(tmp_path)
    keywords = Recorded()
    async with service(tmp_path, keywords=keywords) as search:
        await search.count()
    assert keywords.texts == {each.id: each.content for each in DOCS}


class Server(KeptIndex):
    """An index whose words stay with a server."""

    def __init__(self, kept: dict[str, tuple[str, str]]) -> None:
        super().__init__("en")
        self.kept, self.written = kept, list[str]()

    async def _open(self) -> None:
        pass

    async def _write(self, documents: Sequence[Stored], gone: Sequence[str]) -> None:
        for each in documents:
            self.kept[each.id] = bm25.version(each), each.content
            self.written.append(each.id)
        for name in gone:
            del self.kept[name]

    async def documents(self) -> Mapping[str, str]:
        return {name: seen for name, (seen, _) in self.kept.items()}

    async def search(self, terms: Any, limit: int, filter: Any) -> Any:
        return []

    async def salient(self, ids: Sequence[str], limit: int) -> Mapping[str, float]:
        return {}


async def test_an_index_that_is_kept_is_given_what_it_lacks(
    tmp_path: Path, read: list[str]
) -> None:
    kept: dict[str, tuple[str, str]] = {}
    async with service(tmp_path, keywords=Server(kept)) as search:
        await search.index_batch(DOCS)
    kept["d1"] = "of yesterday", "tides"
    del kept["d2"]
    read.clear()
    again = Server(kept)
    async with service(tmp_path, keywords=again) as search:
        await search.count()
    assert sorted(again.written) == sorted(set(read)) == ["d1", "d2"]
    assert {name: content for name, (_, content) in kept.items()} == {
        each.id: each.content for each in DOCS
    }


async def test_who_may_read_the_index_may_read_what_is_beside(tmp_path: Path) -> None:
    await indexed(tmp_path, DOCS[:5])
    (tmp_path / "i.db").chmod(0o640)
    await indexed(tmp_path)
    for name in ("i.db-vectors", "i.db-words"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o640, name


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    old, young = tmp_path / "i.db-words.17.part", tmp_path / "i.db-words.18.part"
    for each, age in ((old, 7200), (young, 60)):
        each.write_bytes(b"half")
        at = each.stat().st_mtime - age
        os.utime(each, (at, at))
    in_place.put_in_place(tmp_path / "i.db-words", [b"whole"])
    assert sorted(each.name for each in tmp_path.iterdir()) == ["i.db-words", young.name]


@pytest.mark.parametrize("seed", range(6))
async def test_any_history_of_starts(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writes of two processes, ends of both kinds: what is found is what an index made anew has."""
    rng = random.Random(seed)
    monkeypatch.setattr(sqlite_follower, "_TEXTS", rng.choice([0, 800, 50_000_000]))
    monkeypatch.setattr(sqlite_follower, "_FEW", few := rng.choice([0, 5, 100]))
    monkeypatch.setattr(bm25, "_FEW", few)
    there: dict[str, SearchDocument] = {}
    running = [service(tmp_path), service(tmp_path)]
    abandoned: list[SearchService] = []
    for _ in range(60):
        which = rng.randrange(2)
        match rng.choice("uuuuddsk"):
            case "u":
                some = [made(rng.randrange(30), rng.randrange(3)) for _ in range(rng.randrange(6))]
                await running[which].index_batch(some)
                there |= {each.id: each for each in some}
            case "d":
                name = f"d{rng.randrange(30)}"
                assert await running[which].delete(name) == (there.pop(name, None) is not None)
            case "s":
                await running[which].aclose()
                running[which] = service(tmp_path)
            case _:  # it never comes to its end
                abandoned.append(running[which])
                running[which] = service(tmp_path)
    expected = await anew(list(there.values()))
    for each in running:
        assert await answers(each) == expected
        await each.aclose()
    async with service(tmp_path) as last:
        assert await answers(last) == expected
    monkeypatch.setattr(sqlite_follower, "_WORTH", 1 << 30)
    for each in abandoned:
        await each.aclose()
