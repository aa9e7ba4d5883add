"""The library rank-bm25 as a keyword index (extra ``rank-bm25``), for comparison with its results.

Ranking: Y. Lv, C. Zhai, "Lower-bounding term frequency normalization", CIKM 2011 (BM25+): with
Okapi's own formula, as the library has it, words in over half of the documents count below zero.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from .._common.extras import require
from .._common.urls import query_of
from ..filters import Filter
from ..ports import Changes, KeywordIndex, Scored
from .exclusive import Exclusive
from .ledger import Ledger, best, gone

_FEW = 200


class RankBM25Index(KeywordIndex):
    """Words in memory; the first search after a change builds everything anew.

    A query looks at every document for every word: for up to some thousands of documents.
    """

    def __init__(self, url: str = "rank-bm25://", *, language: str = "en") -> None:
        """Start empty; ``url`` is ``rank-bm25://``.

        Raises:
            ConfigurationError: The URL has options.
        """
        query_of(url, allowed=frozenset())
        self._exclusive = Exclusive()
        self._ledger = Ledger(language)
        self._clear()

    def _clear(self) -> None:
        self._ledger.clear()
        self._stems: dict[str, list[str]] = {}
        self._ids: list[str] = []
        self._built: Any = None

    async def apply(self, changes: Changes) -> None:
        if changes.reset or changes.upserted or changes.deleted:
            require("rank_bm25", dist="semsearch", extra="rank-bm25")
            await self._exclusive.run(lambda: self._apply(changes), long=True)

    def _apply(self, changes: Changes) -> None:
        if changes.reset:
            self._clear()
        for document_id in gone(changes):
            if self._ledger.remove(document_id):
                del self._stems[document_id]
        for each in changes.upserted:
            self._ledger.remove(each.id)
            self._stems[each.id] = self._ledger.add(each)
        self._built = None

    def _model(self) -> Any:
        """Return the library's index of what is there; it takes no documents without words."""
        if self._built is None:
            library: Any = require("rank_bm25", dist="semsearch", extra="rank-bm25")
            self._ids = [name for name, words in self._stems.items() if words]
            if self._ids:
                self._built = library.BM25Plus([self._stems[name] for name in self._ids])
        return self._built

    async def search(
        self, terms: Mapping[str, float], limit: int, filter: Filter | None
    ) -> Sequence[Scored]:
        return await self._exclusive.run(
            lambda: self._search(terms, limit, filter), long=len(self._ledger) > _FEW
        )

    def _search(
        self, terms: Mapping[str, float], limit: int, wanted: Filter | None
    ) -> list[Scored]:
        model, passing = self._model(), self._ledger.passing(wanted)
        if model is None:
            return []
        scores: dict[str, float] = {}
        for term, weight in terms.items():
            if term not in model.idf:
                continue
            found = model.get_scores([term])
            # BM25+ gives something to documents without the word, too
            for row, counts in enumerate(model.doc_freqs):
                if term in counts and self._ids[row] in passing:
                    name = self._ids[row]
                    scores[name] = scores.get(name, 0.0) + weight * float(found[row])
        hits = [(name, score) for name, score in scores.items() if score > 0]
        return sorted(hits, key=lambda hit: (-hit[1], hit[0]))[: max(limit, 0)]

    def terms(self, text: str) -> Mapping[str, float]:
        return self._ledger.terms(text)

    async def documents(self) -> Mapping[str, str]:
        return await self._exclusive.run(lambda: dict(self._ledger.digests), long=False)

    async def salient(self, ids: Sequence[str], limit: int) -> Mapping[str, float]:
        return await self._exclusive.run(
            lambda: self._salient(ids, limit), long=len(self._ledger) > _FEW
        )

    def _salient(self, ids: Sequence[str], limit: int) -> dict[str, float]:
        model = self._model()
        weights: dict[str, float] = {}
        for document_id in ids:
            words = self._stems.get(document_id, [])
            for term in words:
                weights[term] = weights.get(term, 0.0) + float(model.idf[term]) / len(words)
        return best(weights, limit)

    def detach(self) -> None:
        if self._exclusive.detach():
            self._clear()
            self.position = None
