"""The library tantivy as a keyword index (extra ``tantivy``): BM25 in Rust, in memory.

Documents and queries are cut into stems here, as for the embedded index; queries are made of terms
with weights, tantivy's parser never sees them.
"""

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from .._common.extras import require
from .._common.urls import query_of
from ..filters import Filter
from ..ports import Changes, KeywordIndex, Scored
from .exclusive import Exclusive
from .ledger import Ledger, best, cost, gone

_ID, _WORDS = "id", "words"
_HEAP = 50_000_000
_QUICK_TEXT = 20_000
_FEW = 2000
_ANALYZER = "stems"
_inherited: list[Any] = []
"""What a fork brought along: never dropped, for a writer then waits for threads it lost."""


class TantivyIndex(KeywordIndex):
    """Words in an index of tantivy, ranked by its BM25.

    What is deleted counts in how rare a word is until tantivy merges it away, and lengths are
    rounded to a byte: after changes it ranks nearly, not exactly, as an index built anew.
    """

    exact = False

    def __init__(self, url: str = "tantivy://", *, language: str = "en") -> None:
        """Start empty; ``url`` is ``tantivy://``.

        Raises:
            ConfigurationError: The URL has options.
        """
        query_of(url, allowed=frozenset())
        self._exclusive = Exclusive()
        self._ledger = Ledger(language)
        self._pid = os.getpid()
        self._schema: Any = None
        self._index: Any = None
        self._writer: Any = None

    def _clear(self) -> None:
        library: Any = require("tantivy", dist="semsearch", extra="tantivy")
        self._ledger.clear()
        builder = library.SchemaBuilder()
        builder.add_text_field(_ID, stored=True, tokenizer_name="raw", index_option="basic")
        builder.add_text_field(_WORDS, stored=True, tokenizer_name=_ANALYZER, index_option="freq")
        self._schema = builder.build()
        self._index = library.Index(self._schema)
        analyzer = library.TextAnalyzerBuilder(library.Tokenizer.whitespace()).build()
        self._index.register_tokenizer(_ANALYZER, analyzer)
        self._writer = self._index.writer(_HEAP, 1)

    async def apply(self, changes: Changes) -> None:
        if changes.reset or changes.upserted or changes.deleted:
            long = self._index is None or cost(changes) > _QUICK_TEXT
            await self._exclusive.run(lambda: self._apply(changes), long=long)

    def _apply(self, changes: Changes) -> None:
        library: Any = require("tantivy", dist="semsearch", extra="tantivy")
        if changes.reset or self._index is None:
            self._clear()
        for document_id in gone(changes):
            if self._ledger.remove(document_id):
                self._writer.delete_documents_by_term(_ID, document_id)
        last = {each.id: each for each in changes.upserted}
        for each in last.values():
            words = " ".join(self._ledger.add(each))
            self._writer.add_document(library.Document(**{_ID: each.id, _WORDS: words}))
        self._writer.commit()
        made: Any = self._index
        made.reload()

    async def search(
        self, terms: Mapping[str, float], limit: int, filter: Filter | None
    ) -> Sequence[Scored]:
        return await self._exclusive.run(
            lambda: self._search(terms, limit, filter), long=len(self._ledger) > _FEW
        )

    def _search(
        self, terms: Mapping[str, float], limit: int, wanted: Filter | None
    ) -> list[Scored]:
        if self._index is None or not terms or limit < 1:
            return []
        passing, searcher = self._ledger.passing(wanted), self._index.searcher()
        query, asked = self._query(terms), limit + 1
        while True:
            found = searcher.search(query, asked, count=False).hits
            hits = [(self._id(searcher, address), score) for score, address in found]
            kept = [(name, float(score)) for name, score in hits if name in passing and score > 0]
            # more, until enough of them pass and what ties with the last one is there
            whole = len(kept) > limit and hits[-1][1] < kept[limit - 1][1]
            if whole or len(hits) < asked:
                return sorted(kept, key=lambda hit: (-hit[1], hit[0]))[:limit]
            asked *= 4

    def _query(self, terms: Mapping[str, float]) -> Any:
        library: Any = require("tantivy", dist="semsearch", extra="tantivy")
        return library.Query.boolean_query(
            [
                (
                    library.Occur.Should,
                    library.Query.boost_query(
                        library.Query.term_query(self._schema, _WORDS, term, "freq"), weight
                    ),
                )
                for term, weight in terms.items()
            ]
        )

    @staticmethod
    def _id(searcher: Any, address: Any) -> str:
        return str(searcher.doc(address).get_first(_ID))

    def terms(self, text: str) -> Mapping[str, float]:
        return self._ledger.terms(text)

    async def documents(self) -> Mapping[str, str]:
        return await self._exclusive.run(lambda: dict(self._ledger.digests), long=False)

    async def salient(self, ids: Sequence[str], limit: int) -> Mapping[str, float]:
        return await self._exclusive.run(lambda: self._salient(ids, limit), long=False)

    def _salient(self, ids: Sequence[str], limit: int) -> dict[str, float]:
        library: Any = require("tantivy", dist="semsearch", extra="tantivy")
        weights: dict[str, float] = {}
        if self._index is None:
            return weights
        searcher = self._index.searcher()
        for document_id in ids:
            query = library.Query.term_query(self._schema, _ID, document_id, "basic")
            for _, address in searcher.search(query, 1, count=False).hits:
                words = str(searcher.doc(address).get_first(_WORDS) or "").split()
                for term, count in Counter(words).items():
                    df = min(searcher.doc_freq(_WORDS, term), len(self._ledger))
                    idf = math.log(1 + (len(self._ledger) - df + 0.5) / (df + 0.5))
                    weights[term] = weights.get(term, 0.0) + count / len(words) * idf
        return best(weights, limit)

    def detach(self) -> None:
        forked, self._pid = self._pid != os.getpid(), os.getpid()
        self._exclusive.detach()
        if forked:  # the writer's threads are not in this process
            _inherited.append((self._index, self._writer))
            self._ledger.clear()
            self._index = self._writer = self._schema = None
            self.position = None
