"""The words of an embedded index are found again, and never believed without the store."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from damages import DAMAGES
from semsearch import SearchDocument, SearchService
from semsearch.adapters import bm25, saved_words
from semsearch.adapters.bm25 import BM25Index
from semsearch.adapters.postings import Postings
from semsearch.adapters.saved_words import SavedWords, load, save
from semsearch.ports import Changes, Stored
from semsearch.testing import FakeEmbedder, document

WORDS = ("tide", "moon", "boats", "harbour", "taxes", "naïve", "潮")


def texts(count: int) -> list[Stored]:
    rng = random.Random(1)
    return [document(f"d{n}", " ".join(rng.choices(WORDS, k=30))) for n in range(count)]


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every index is worth a file; returns the texts that are cut into words from then on."""
    monkeypatch.setattr(bm25, "_WORTH", 1)
    stems, seen = bm25.stems, list[str]()

    def watched(text: str, language: str) -> list[str]:
        seen.append(text)
        return stems(text, language)

    monkeypatch.setattr(bm25, "stems", watched)
    return seen


def packed(documents: dict[str, str], terms: Sequence[Any]) -> SavedWords:
    postings = Postings()
    return postings.packed(documents, [postings.add(each) for each in terms])


def plain(words: SavedWords | None) -> Any:
    assert words is not None
    arrays = words.lengths.tolist(), words.places.tolist(), words.counts.tolist()
    return words.names, words.versions, words.terms, arrays


async def index(path: Path, documents: Sequence[Stored], language: str = "en") -> BM25Index:
    made = BM25Index(language=language)
    made.keep_in(str(path))
    await made.apply(Changes(reset=True, upserted=documents))
    return made


async def ranks(made: BM25Index) -> Any:
    found = [await made.search(made.terms(word), 50, None) for word in (*WORDS, "tide moon taxes")]
    return found, await made.documents(), await made.salient(["d1", "d2"], 5)


async def test_what_did_not_change_is_not_cut_again(tmp_path: Path, cut: list[str]) -> None:
    documents = texts(40)
    await (await index(tmp_path / "words", documents)).aclose()
    cut.clear()
    changed = [
        *documents[:30],
        document("d30", "another text", seed=1),
        document("d31", documents[31].content, {"language": "de"}, seed=0),
        document("new", "a new one about taxes"),
    ]
    again = await index(tmp_path / "words", changed)
    assert sorted(cut) == sorted(each.content for each in changed[30:])
    fresh = BM25Index()
    await fresh.apply(Changes(reset=True, upserted=changed))
    assert await ranks(again) == await ranks(fresh)
    await again.apply(Changes(deleted=["d3"], upserted=[document("d4", "moon", seed=1)]))
    await again.aclose()
    cut.clear()
    last = [each for each in changed if each.id not in {"d3", "d4"}]
    await index(tmp_path / "words", [*last, document("d4", "moon", seed=1)])
    assert cut == []


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_file_is_made_anew(
    tmp_path: Path, cut: list[str], damage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    documents = texts(20)
    made = await index(tmp_path / "words", documents)
    await made.aclose()
    file = tmp_path / "words"
    good = file.read_bytes()
    file.write_bytes(damage(good))
    cut.clear()
    again = await index(file, documents)
    assert len(cut) == 20
    assert [record.message for record in caplog.records] == ["semsearch.words_corrupt"]
    assert await ranks(again) == await ranks(made)
    await again.aclose()
    assert file.read_bytes() == good


def test_wrong_numbers_behind_a_right_checksum(tmp_path: Path) -> None:
    """Whoever can write the file can make the sum, too: no index beyond the lists is followed."""
    file = tmp_path / "words"
    words = packed({"a": "1", "b": "2"}, [(("tide", 2),), (("moon", 1), ("tide", 1))])
    save(file, "en", words)
    assert plain(load(file, "en")) == plain(words)
    raw = file.read_bytes()
    start = len(saved_words._MAGIC) + saved_words._SUM
    for place, value in ((-16, 9), (-12, 0), (-32, 7), (-4, 0)):
        body = bytearray(raw[start:])
        body[place] = value
        forged = saved_words._MAGIC + saved_words._digest(bytes(body)) + bytes(body)
        file.write_bytes(forged)
        assert load(file, "en") is None
    for wrong in (
        replace(words, names=["a", "a"]),
        replace(words, versions=["1"]),
        replace(words, terms=["tide", "tide"]),
        replace(words, terms=["tide"]),
    ):
        save(file, "en", wrong)
        assert load(file, "en") is None
    assert load(tmp_path / "nothing", "en") is None


async def test_another_language_or_stemmer_is_another_file(
    tmp_path: Path, cut: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = texts(10)
    for language, release in (("en", "1"), ("de", "1"), ("de", "2")):
        monkeypatch.setattr(saved_words, "_stemmers", lambda release=release: release)
        cut.clear()
        await (await index(tmp_path / "words", documents, language)).aclose()
        assert len(cut) == 10


async def test_a_folder_that_cannot_be_written_to(tmp_path: Path, cut: list[str]) -> None:
    made = await index(tmp_path / "no" / "folder" / "words", texts(5))
    await made.aclose()
    assert len(await made.documents()) == 5


def test_what_cannot_be_put_in_place_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "words").mkdir()
    save(tmp_path / "words", "en", packed({"a": "1"}, [(("tide", 2),)]))
    assert [each.name for each in tmp_path.iterdir()] == ["words"]


async def test_small_indexes_leave_no_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/index.db"
    async with SearchService.from_url(url, embedder=FakeEmbedder()) as service:
        await service.index(SearchDocument("a", "tides"))
    assert not (tmp_path / "index.db-words").exists()


async def test_many_changes_are_saved_before_the_end(
    tmp_path: Path, cut: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed has not to look for all of the words again."""
    monkeypatch.setattr(bm25, "_DUE", 10)
    made = await index(tmp_path / "words", texts(4))
    assert not (tmp_path / "words").exists()
    await made.apply(Changes(upserted=texts(30)))
    assert (tmp_path / "words").exists()


async def test_a_service_starts_from_it(tmp_path: Path, cut: list[str]) -> None:
    url = f"sqlite:///{tmp_path}/index.db"
    docs = [SearchDocument(f"d{n}", f"tide number {n}") for n in range(30)]
    async with SearchService.from_url(url, embedder=FakeEmbedder()) as service:
        await service.index_batch(docs)
        first = [(hit.id, hit.scores) for hit in await service.search("tide 7")]
    cut.clear()
    async with SearchService.from_url(url, embedder=FakeEmbedder()) as service:
        assert [(hit.id, hit.scores) for hit in await service.search("tide 7")] == first
        assert [text for text in cut if text.startswith("tide number")] == []
        await service.delete("d7")
        assert "d7" not in {hit.id for hit in await service.search("tide 7", limit=100)}
    async with SearchService.from_url(url, embedder=FakeEmbedder()) as service:
        assert "d7" not in {hit.id for hit in await service.search("tide 7", limit=100)}
