"""Keyword indexes: made of texts, they search, and some take one more text without a rebuild."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from semsearch.adapters.bm25 import BM25Index
from semsearch.adapters.tantivy import TantivyIndex
from semsearch.ports import Changes, KeywordIndex, Stored

_NO_VECTOR = np.zeros(1, np.float32)


class Keywords(ABC):
    """An index of texts, which are numbered from 0."""

    name = ""

    @abstractmethod
    def build(self, texts: Sequence[str]) -> None:
        """Index all texts."""

    @abstractmethod
    def search(self, query: str, limit: int) -> list[int]:
        """Return the best texts."""

    @abstractmethod
    def add(self, text: str) -> None:
        """Index one more: so that a search finds it."""


class Ours(Keywords):
    """An adapter of this package, called as the service calls it."""

    def __init__(self, name: str, make: type[BM25Index | TantivyIndex]) -> None:
        """Measure ``make()``."""
        self.name, self._make, self._count = name, make, 0

    def build(self, texts: Sequence[str]) -> None:
        """Index all texts."""
        self._index: KeywordIndex = self._make()
        self._loop = asyncio.new_event_loop()
        made = [self._document(text) for text in texts]
        self._loop.run_until_complete(self._index.apply(Changes(upserted=made)))

    def _document(self, text: str) -> Stored:
        self._count += 1
        return Stored(str(self._count - 1), text, {}, _NO_VECTOR, "")

    def search(self, query: str, limit: int) -> list[int]:
        """Return the best texts."""
        work = self._index.search(self._index.terms(query), limit, None)
        return [int(name) for name, _ in self._loop.run_until_complete(work)]

    def add(self, text: str) -> None:
        """Index one more."""
        work = self._index.apply(Changes(upserted=[self._document(text)]))
        self._loop.run_until_complete(work)


class RankBM25(Keywords):
    """rank-bm25 as its README shows it: words are what stands between spaces."""

    name = "rank_bm25"

    def build(self, texts: Sequence[str]) -> None:
        """Index all texts."""
        from rank_bm25 import BM25Okapi

        self._texts = list(texts)
        self._index: Any = BM25Okapi([text.split(" ") for text in self._texts])

    def search(self, query: str, limit: int) -> list[int]:
        """Return the best texts."""
        scores = self._index.get_scores(query.split(" "))
        return [int(row) for row in np.argsort(scores)[::-1][:limit]]

    def add(self, text: str) -> None:
        """Build everything anew: there is no other way."""
        self.build([*self._texts, text])


class BM25S(Keywords):
    """bm25s with its own tokenizer and English stop words; Snowball where PyStemmer is there."""

    name = "bm25s"

    def build(self, texts: Sequence[str]) -> None:
        """Index all texts."""
        import bm25s

        self._library: Any = bm25s
        self._texts = list(texts)
        self._index: Any = bm25s.BM25()
        self._index.index(self._tokens(self._texts), show_progress=False)

    def _tokens(self, texts: list[str]) -> Any:
        return self._library.tokenize(texts, stopwords="en", show_progress=False)

    def search(self, query: str, limit: int) -> list[int]:
        """Return the best texts."""
        tokens = self._library.tokenize([query], stopwords="en", show_progress=False)
        found, _ = self._index.retrieve(tokens, k=limit, show_progress=False)
        return [int(row) for row in found[0]]

    def add(self, text: str) -> None:
        """Build everything anew: there is no other way."""
        self.build([*self._texts, text])


class Tantivy(Keywords):
    """tantivy as it comes, with its English stemmer and its parser of queries."""

    name = "tantivy"

    def build(self, texts: Sequence[str]) -> None:
        """Index all texts."""
        import tantivy

        self._library: Any = tantivy
        builder = tantivy.SchemaBuilder()
        builder.add_text_field("text", tokenizer_name="en_stem")
        builder.add_integer_field("row", stored=True)
        self._index: Any = tantivy.Index(builder.build())
        self._writer: Any = self._index.writer()
        self._count = 0
        for text in texts:
            self._put(text)
        self._show()

    def _put(self, text: str) -> None:
        self._writer.add_document(self._library.Document(text=text, row=self._count))
        self._count += 1

    def _show(self) -> None:
        self._writer.commit()
        self._index.reload()

    def search(self, query: str, limit: int) -> list[int]:
        """Return the best texts."""
        searcher = self._index.searcher()
        parsed, _ = self._index.parse_query_lenient(query, ["text"])
        hits = searcher.search(parsed, limit).hits
        return [int(searcher.doc(address)["row"][0]) for _, address in hits]

    def add(self, text: str) -> None:
        """Index one more."""
        self._put(text)
        self._show()


def everybody() -> list[Keywords]:
    """Return all contenders, not yet built."""
    ours = [Ours("semsearch", BM25Index), Ours("semsearch, tantivy", TantivyIndex)]
    return [*ours, RankBM25(), BM25S(), Tantivy()]
