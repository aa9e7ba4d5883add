"""What every vector store does."""

import asyncio

import numpy as np
import pytest

from ..errors import ConfigurationError, UnsupportedOperationError
from ..filters import Filter
from ..ports import Stored, VectorStore
from .fakes import DIMENSION, MODEL, document
from .trees import hostile_filters, hostile_metadata, plain_facet


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

    async def test_vectors_come_without_texts(self, store: VectorStore) -> None:
        """They are those of the documents that are there."""
        made = await self.filled(store)
        found = await store.vectors(["d03", "none", "d07"])
        assert set(found) == {"d03", "d07"}
        for name, vector in found.items():
            assert np.allclose(vector, made[int(name[1:])].vector, atol=1e-6)

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

    async def test_a_filter_means_one_thing(self, store: VectorStore) -> None:
        """What passes is what ``Filter.matches`` says, whatever names and values there are.

        A filter that the store cannot decide is ``UnsupportedOperationError``, never a guess; of
        those by operators of its ``capabilities`` it decides most.
        """
        made = await self._hostile(store)
        known, refused = store.capabilities.filters, 0
        asked = list(hostile_filters([d.metadata for d in made], known, 80))
        for place, wanted in enumerate(asked):
            expected = [d.id for d in made if wanted.matches(d.metadata)]
            try:
                assert list(await store.select(wanted)) == expected, wanted
            except UnsupportedOperationError:
                refused += 1
                continue
            if place % 4 == 0:
                assert await store.count(wanted) == len(expected), wanted
                found = await store.search(made[0].vector, len(made), wanted)
                assert sorted(name for name, _ in found) == expected, wanted
        assert refused < len(asked) / 2

    async def test_facets_count_any_value(self, store: VectorStore) -> None:
        """Values of different types stay apart, those of a list count once for their document."""
        made = await self._hostile(store)
        for wanted in (None, Filter.parse({"$not": {"k": {"$exists": False}}})):
            there = [d.metadata for d in made if wanted is None or wanted.matches(d.metadata)]
            names = sorted({name for each in there for name in each})
            try:
                facets = await store.facets(names, wanted)
            except UnsupportedOperationError:
                continue
            for name in names:
                found = [(type(value), value, count) for value, count in facets[name].values]
                expected = plain_facet(there, name)
                assert found == [(type(value), value, count) for value, count in expected], name

    @staticmethod
    async def _hostile(store: VectorStore) -> list[Stored]:
        await store.open(MODEL, DIMENSION, create=True)
        made = [document(f"h{n:02}", "", each) for n, each in enumerate(hostile_metadata(48))]
        await store.upsert(made)
        await store.refresh()
        return made

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
