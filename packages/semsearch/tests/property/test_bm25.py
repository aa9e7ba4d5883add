"""After any changes the index ranks exactly as one built anew."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semsearch.adapters.bm25 import BM25Index
from semsearch.filters import Filter
from semsearch.ports import Changes, Scored, Stored

WORDS = ["tide", "tides", "moon", "boat", "the", "rising", "Flut", "Boote", ""]
VECTOR = np.zeros(2, np.float32)
contents = st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join)
documents = st.builds(
    lambda name, content, language: Stored(
        name, content, {"language": language, "long": len(content) > 15}, VECTOR, ""
    ),
    st.sampled_from([f"d{n}" for n in range(8)]),
    contents,
    st.sampled_from(["en", "de"]),
)
changes = st.lists(
    st.builds(
        Changes,
        reset=st.sampled_from([False] * 9 + [True]),
        upserted=st.lists(documents, max_size=4, unique_by=lambda each: each.id),
        deleted=st.lists(st.sampled_from([f"d{n}" for n in range(8)]), max_size=3),
    ),
    max_size=12,
)


async def ranking(index: BM25Index, query: str, wanted: Filter | None) -> Sequence[Scored]:
    return await index.search(index.terms(query), 100, wanted)


async def compare(made: Sequence[Changes], query: str, *, compact: bool) -> None:
    index, model = BM25Index(), dict[str, Stored]()
    for each in made:
        await index.apply(each)
        if compact:
            index._compact()
        await ranking(index, query, None)  # what it remembers of it must not outlive a change
        if each.reset:
            model.clear()
        for name in each.deleted:
            model.pop(name, None)
        model |= {document.id: document for document in each.upserted}
    fresh = BM25Index()
    await fresh.apply(Changes(upserted=list(model.values())))
    for wanted in (None, Filter.parse({"long": True})):
        found = await ranking(index, query, wanted)
        expected = await ranking(fresh, query, wanted)
        assert [name for name, _ in found] == [name for name, _ in expected]
        assert [score for _, score in found] == pytest.approx([score for _, score in expected])
    ids = sorted(model)[:3]
    assert await index.salient(ids, 5) == pytest.approx(await fresh.salient(ids, 5))


@settings(max_examples=150)
@given(changes, contents, st.booleans())
def test_ranks_as_a_fresh_index(made: list[Changes], query: str, compact: bool) -> None:
    asyncio.run(compare(made, query, compact=compact))


async def test_compaction_by_itself() -> None:
    made = [
        Changes(
            upserted=[Stored(f"d{n}", f"tide moon w{n} v{r}", {}, VECTOR, "") for n in range(700)]
        )
        for r in range(4)
    ]
    made.append(Changes(deleted=[f"d{n}" for n in range(0, 700, 2)]))
    index = BM25Index()
    for each in made:
        await index.apply(each)
    assert len(index._ids) < 2000, "dead slots were never swept"
    await compare(made, "tide w3 v3 v1", compact=False)
