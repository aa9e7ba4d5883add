"""What every keyword index does."""

import math
from dataclasses import replace

import pytest

from ..errors import UnsupportedOperationError
from ..filters import Filter
from ..ports import Changes, KeywordIndex
from .fakes import document
from .trees import hostile_filters, hostile_metadata


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

    async def test_an_unread_document_that_is_lacking(self, index: KeywordIndex) -> None:
        """The text of what is new to the index is asked for, and then its words are found."""
        known, new = document("known", "river water"), document("new", "river delta")
        await index.apply(Changes(upserted=[known]))
        told = [replace(each, content="", unread=True) for each in (known, new)]
        needed = set(await index.lacking(told))
        assert "new" in needed
        read = [each for each in (known, new) if each.id in needed]
        rest = [each for each in told if each.id not in needed]
        await index.apply(Changes(reset=True, upserted=[*read, *rest]))
        assert await self.names(index, "water") == ["known"]
        assert await self.names(index, "delta") == ["new"]

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

    async def test_a_filter_means_one_thing(self, index: KeywordIndex) -> None:
        """Found is what passes ``Filter.matches``, whatever names and values there are.

        A filter that the index cannot decide is ``UnsupportedOperationError``, never a guess; of
        those by operators of its ``capabilities`` it decides most.
        """
        given = hostile_metadata(48)
        made = [document(f"h{n:02}", "same words", each) for n, each in enumerate(given)]
        await index.apply(Changes(upserted=made))
        asked, refused = list(hostile_filters(given, index.capabilities.filters, 60)), 0
        for wanted in asked:
            try:
                hits = await index.search(index.terms("words"), len(made), wanted)
            except UnsupportedOperationError:
                refused += 1
                continue
            expected = [d.id for d in made if wanted.matches(d.metadata)]
            assert sorted(name for name, _ in hits) == expected, wanted
        assert refused < len(asked) / 2

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
