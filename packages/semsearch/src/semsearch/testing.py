"""What adapter authors and applications test with (extra ``testing``).

Subclass a suite, give its fixture an adapter, and skip nothing.
"""

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from ._common.clock import FakeClock, settle
from .errors import ConfigurationError
from .filters import Filter
from .ports import Changes, Embedder, KeywordIndex, Matrix, Stored, VectorStore

__all__ = [
    "EmbedderSuite",
    "FakeClock",
    "FakeEmbedder",
    "KeywordIndexSuite",
    "VectorStoreSuite",
    "document",
    "settle",
]

MODEL, DIMENSION = "fake", 8


class FakeEmbedder(Embedder):
    """Vectors of letter counts: deterministic, tiny, and counting its calls."""

    def __init__(self) -> None:
        """Nothing was embedded yet."""
        self.texts: list[str] = []
        self.fail: Exception | None = None

    @property
    def model_id(self) -> str:
        """The name of the model."""
        return MODEL

    @property
    def dimension(self) -> int:
        """The length of the vectors."""
        return DIMENSION

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        """Return letter counts, or raise ``fail``."""
        if self.fail is not None:
            raise self.fail
        self.texts += texts
        made = np.zeros((len(texts), DIMENSION), np.float32)
        for row, text in zip(made, texts, strict=True):
            for char in text.lower():
                row[ord(char) % DIMENSION] += 1
        return made


def document(
    name: str, content: str = "", metadata: Mapping[str, Any] | None = None, *, seed: int = 0
) -> Stored:
    """Return a document with a pseudo-random unit vector made from ``seed`` and its name."""
    code = sum(ord(char) * (index + 1) for index, char in enumerate(name)) + seed
    vector = np.random.default_rng(code).normal(size=DIMENSION).astype(np.float32)
    unit = (vector / np.linalg.norm(vector)).astype(np.float32)
    return Stored(name, content or name, metadata or {}, unit, f"digest-{name}-{seed}")


class VectorStoreSuite:
    """The behaviour of a vector store. Each docstring says what to mend when the test fails."""

    @pytest.fixture
    def store(self) -> VectorStore:
        """Return an empty store; subclasses override this."""
        raise NotImplementedError("override the fixture 'store'")

    @staticmethod
    async def filled(store: VectorStore, count: int = 20) -> list[Stored]:
        """Open ``store`` and put ``count`` documents into it."""
        await store.open(MODEL, DIMENSION, create=True)
        kinds = ["even", "odd"]
        made = [
            document(f"d{n:02}", f"text {n}", {"n": n, "kind": kinds[n % 2]}) for n in range(count)
        ]
        await store.upsert(made)
        await store.refresh()
        return made

    async def test_documents_come_back(self, store: VectorStore) -> None:
        """Content, metadata, vector and digest are returned unchanged; absent ids are absent."""
        [first, *_] = await self.filled(store)
        found = (await store.get(["d00", "none"])).copy()  # type: ignore[attr-defined]  # a dict
        assert set(found) == {"d00"}
        stored = found["d00"]
        assert (stored.content, dict(stored.metadata)) == (first.content, first.metadata)
        assert stored.digest == first.digest
        assert np.allclose(stored.vector, first.vector, atol=1e-6)

    async def test_nearest_is_exact(self, store: VectorStore) -> None:
        """The order and the cosines are those of a plain computation."""
        made = await self.filled(store)
        query = document("query").vector
        expected = sorted(
            ((float(d.vector @ query), d.id) for d in made), key=lambda p: (-p[0], p[1])
        )
        found = await store.search(query, 5, None)
        assert [name for name, _ in found] == [name for _, name in expected[:5]]
        assert [score for _, score in found] == pytest.approx(
            [s for s, _ in expected[:5]], abs=1e-5
        )

    async def test_filter_comes_before_ranking(self, store: VectorStore) -> None:
        """As many hits as asked for pass the filter, even if the nearest documents do not."""
        await self.filled(store)
        wanted = Filter.parse({"kind": "odd", "n": {"$gte": 10}})
        found = await store.search(document("query").vector, 5, wanted)
        assert len(found) == 5
        assert all(int(name[1:]) % 2 and int(name[1:]) >= 10 for name, _ in found)

    async def test_ties_are_broken_by_id(self, store: VectorStore) -> None:
        """Equal vectors are ordered by id, also across the limit."""
        await store.open(MODEL, DIMENSION, create=True)
        same = document("x").vector
        await store.upsert([Stored(name, name, {}, same, "") for name in "cadbe"])
        await store.refresh()
        assert [name for name, _ in await store.search(same, 3, None)] == ["a", "b", "c"]

    async def test_upsert_replaces(self, store: VectorStore) -> None:
        """The last document of an id counts; there is one of it."""
        await self.filled(store)
        await store.upsert([document("d00", "new", {"n": 100}, seed=1)])
        await store.refresh()
        assert (await store.get(["d00"]))["d00"].content == "new"
        assert await store.count(None) == 20
        assert await store.count(Filter.parse({"n": 100})) == 1

    async def test_delete(self, store: VectorStore) -> None:
        """Deleted documents are found by no way; unknown ids are no fault."""
        await self.filled(store)
        assert list(await store.delete(["d03", "none", "d05"])) == ["d03", "d05"]
        await store.refresh()
        assert not await store.get(["d03", "d05"])
        names = {name for name, _ in await store.search(document("query").vector, 50, None)}
        assert len(names) == 18
        assert not names & {"d03", "d05"}
        await store.upsert([document("d03", "again")])
        await store.refresh()
        assert await store.count(None) == 19

    async def test_select_and_facets(self, store: VectorStore) -> None:
        """Ids come in their order; values are counted over what passes, most frequent first."""
        await self.filled(store, 5)
        assert list(await store.select(Filter.parse({"kind": "even"}))) == ["d00", "d02", "d04"]
        facets = await store.facets(["kind", "none"], Filter.parse({"n": {"$gte": 1}}))
        assert list(facets["kind"].values) == [("even", 2), ("odd", 2)]
        assert list(facets["none"].values) == []

    async def test_changes_are_told_once(self, store: VectorStore) -> None:
        """``refresh`` names what was written and deleted since a position, the final state."""
        await store.open(MODEL, DIMENSION, create=True)
        await store.upsert([document("a"), document("b")])
        await store.upsert([document("a", "newer")])
        await store.delete(["b"])
        first = await store.refresh()
        assert [(d.id, d.content) for d in first.upserted] == [("a", "newer")]
        again = await store.refresh(first.position)
        assert again.position == first.position
        assert not again.reset
        assert not again.upserted
        assert not again.deleted

    async def test_readers_follow_from_their_own_positions(self, store: VectorStore) -> None:
        """Changes since a position come as often as asked; what one reader took, others get too."""
        await store.open(MODEL, DIMENSION, create=True)
        await store.upsert([document("a"), document("b")])
        start = (await store.refresh()).position
        await store.upsert([document("c")])
        await store.delete(["a"])
        for _ in range(2):
            changes = await store.refresh(start)
            assert not changes.reset
            assert [d.id for d in changes.upserted] == ["c"]
            assert list(changes.deleted) == ["a"]
        everything = await store.refresh(None)
        assert everything.reset
        assert {d.id for d in everything.upserted} == {"b", "c"}

    async def test_another_model_is_refused(self, store: VectorStore) -> None:
        """An index keeps to the model that it was made with."""
        await self.filled(store)
        with pytest.raises(ConfigurationError, match="model"):
            await store.open("other", DIMENSION + 1, create=True)

    async def test_a_missing_index_may_not_be_made(self, store: VectorStore) -> None:
        """Without ``create`` a missing index is an error."""
        with pytest.raises(ConfigurationError, match="missing"):
            await store.open(MODEL, DIMENSION, create=False)

    async def test_concurrent_use(self, store: VectorStore) -> None:
        """Writes and searches at once leave everything in place."""
        await self.filled(store)
        writes = [store.upsert([document(f"w{n}")]) for n in range(20)]
        reads = [store.search(document("q").vector, 3, None) for _ in range(20)]
        await asyncio.gather(*writes, *reads)
        await store.refresh()
        assert await store.count(None) == 40

    async def test_closing_twice_is_fine(self, store: VectorStore) -> None:
        """``aclose`` is idempotent."""
        await self.filled(store)
        await store.aclose()
        await store.aclose()


class KeywordIndexSuite:
    """The behaviour of a keyword index."""

    @pytest.fixture
    def index(self) -> KeywordIndex:
        """Return an empty index; subclasses override this."""
        raise NotImplementedError("override the fixture 'index'")

    @staticmethod
    async def names(index: KeywordIndex, text: str, wanted: Filter | None = None) -> list[str]:
        """Return the ids of the hits of ``text``."""
        return [name for name, _ in await index.search(index.terms(text), 10, wanted)]

    async def test_words_are_found_by_their_stems(self, index: KeywordIndex) -> None:
        """Other forms of a word match; stop words do not."""
        await index.apply(
            Changes(upserted=[document("a", "The boats were running"), document("b", "the")])
        )
        assert await self.names(index, "boat run") == ["a"]
        assert await self.names(index, "the") == []
        assert await self.names(index, "") == []

    async def test_rare_words_count_more(self, index: KeywordIndex) -> None:
        """A document with the rarer word comes first."""
        common = [document(f"c{n}", "river water") for n in range(10)]
        await index.apply(Changes(upserted=[*common, document("rare", "river delta")]))
        assert (await self.names(index, "water delta"))[0] == "rare"

    async def test_filters_and_limit(self, index: KeywordIndex) -> None:
        """Only what passes is ranked, at most ``limit`` of it, ties by id."""
        made = [document(f"d{n}", "same words", {"n": n}) for n in range(9)]
        await index.apply(Changes(upserted=made))
        wanted = Filter.parse({"n": {"$gte": 4}})
        hits = await index.search(index.terms("words"), 3, wanted)
        assert [name for name, _ in hits] == ["d4", "d5", "d6"]
        assert all(score > 0 and math.isfinite(score) for _, score in hits)

    async def test_changes_rank_as_a_new_index(self, index: KeywordIndex) -> None:
        """After updates and deletes scores are those of an index built anew, if it is ``exact``."""
        made = [document(f"d{n}", f"alpha {'beta ' * (n % 3)} word{n}") for n in range(12)]
        await index.apply(Changes(upserted=made))
        await index.apply(Changes(upserted=[document("d1", "beta gamma")], deleted=["d2", "none"]))
        found = await index.search(index.terms("alpha beta"), 20, None)
        rest = [d for d in made if d.id not in {"d1", "d2"}]
        await index.apply(Changes(reset=True, upserted=[*rest, document("d1", "beta gamma")]))
        anew = await index.search(index.terms("alpha beta"), 20, None)
        assert {name for name, _ in found} == {name for name, _ in anew}
        if not index.exact:
            return
        assert [name for name, _ in found] == [name for name, _ in anew]
        assert [s for _, s in found] == pytest.approx([s for _, s in anew])

    async def test_salient_terms(self, index: KeywordIndex) -> None:
        """The words that tell documents apart, weights adding up to 1."""
        made = [document(f"d{n}", "common text") for n in range(5)]
        await index.apply(Changes(upserted=[*made, document("s", "common volcano")]))
        terms = await index.salient(["s", "none"], 1)
        assert list(terms.values()) == pytest.approx([1.0])
        assert "volcano".startswith(next(iter(terms))[:5])


class EmbedderSuite:
    """The behaviour of an embedder."""

    @pytest.fixture
    def embedder(self) -> Embedder:
        """Return the embedder; subclasses override this."""
        raise NotImplementedError("override the fixture 'embedder'")

    def test_shape_and_order(self, embedder: Embedder) -> None:
        """One finite vector per text, in order, of the dimension that is named."""
        texts = ["the tide is high", "a meeting about money", "the tide is high"]
        made = np.asarray(embedder.embed_documents(texts))
        assert made.shape == (3, embedder.dimension)
        assert np.isfinite(made).all()
        assert np.allclose(made[0], made[2], atol=1e-5)
        assert not np.allclose(made[0], made[1], atol=1e-3)

    def test_batches_change_nothing(self, embedder: Embedder) -> None:
        """A text has the same vector alone and among others."""
        alone = np.asarray(embedder.embed_documents(["the tide is high"]))[0]
        among = np.asarray(embedder.embed_documents(["x y z", "the tide is high"]))[1]
        assert np.allclose(alone, among, atol=1e-4)

    def test_related_texts_are_nearer(self, embedder: Embedder) -> None:
        """Texts that share words are nearer than texts that share none."""
        query = np.asarray(embedder.embed_query("ocean tides"))
        near, far = np.asarray(
            embedder.embed_documents(["the tides of the ocean", "invoice for shoes"])
        )
        cosines = [float(v @ query / np.linalg.norm(v)) for v in (near, far)]
        assert cosines[0] > cosines[1]

    def test_the_model_is_named(self, embedder: Embedder) -> None:
        """``model_id`` is a non-empty str that stays."""
        assert embedder.model_id
        assert embedder.model_id == embedder.model_id
