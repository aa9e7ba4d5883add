"""An inverted index in memory with BM25, changed in place.

Ranking: S. Robertson, S. Walker et al., "Okapi at TREC-3", 1994, in Lucene's variant: idf =
ln(1 + (N - df + 0.5) / (df + 0.5)) and no factor (k1 + 1). Counts and lengths are those of the
documents that are there: an index after any changes ranks as one built anew.
"""

import math
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..filters import Filter
from ..ports import Changes, KeywordIndex, Scored, Stored, version
from ..text.tokens import language_of, stems
from .best import best
from .columns import Columns
from .exclusive import Exclusive
from .saved_words import SavedWords, Terms, load, save

_QUICK = 20_000
_QUICK_TEXT = 20_000
_WORTH, _DUE = 50_000, 2000
"""Words of an index that is worth a file, and changes after which it is written anew."""


_REMEMBERED = 2_000_000
"""Occurrences of words that were asked for; what each adds to a score is kept: 16 MB."""


class _Postings:
    """Where a term occurs: slots of documents and how often. Dead slots stay until compaction."""

    __slots__ = ("counts", "live", "slots")

    def __init__(self) -> None:
        self.slots, self.counts, self.live = array("i"), array("i"), 0


class BM25Index(KeywordIndex):
    """The embedded keyword index, in step with the store by its changes."""

    def __init__(self, *, language: str = "en", k1: float = 1.2, b: float = 0.75) -> None:
        """Start empty.

        Args:
            language: Of documents and queries that name none.
            k1: How much a repeated term counts, at least 0.
            b: How much long documents are held back, 0 to 1.
        """
        self._language, self._k1, self._b = language, k1, b
        self._exclusive = Exclusive()
        self._languages: Counter[str] = Counter()
        self._file: Path | None = None
        self._unsaved = 0
        self._clear()

    def _clear(self) -> None:
        self._postings: dict[str, _Postings] = {}
        self._slots: dict[str, int] = {}
        self._ids: list[str | None] = []
        self._metadata: list[Mapping[str, Any]] = []
        self._digests: dict[str, str] = {}
        self._columns = Columns()
        self._terms: list[tuple[tuple[str, int], ...]] = []
        self._lengths = array("i")
        self._total = self._dead = 0
        self._norm: Any = None  # until something changes
        self._forget()
        self._languages.clear()

    def keep_in(self, path: str) -> None:
        self._file = Path(path)

    async def aclose(self) -> None:
        if self._unsaved:
            await self._exclusive.run(self._save, long=True)

    async def apply(self, changes: Changes) -> None:
        if not (changes.reset or changes.upserted or changes.deleted):
            return
        size = sum(len(each.content) + 100 for each in changes.upserted)
        size += sum(map(self._size, changes.deleted))
        await self._exclusive.run(lambda: self._apply(changes), long=size > _QUICK_TEXT)
        if self._unsaved > max(_DUE, len(self._slots) // 4):
            await self._exclusive.run(self._save, long=True)

    def _apply(self, changes: Changes) -> None:
        self._norm = None
        self._forget()
        known: Mapping[str, Terms] = {}
        if changes.reset:
            self._clear()
            known = self._saved(changes.upserted)
        for document_id in changes.deleted:
            self._remove(document_id)
        for each in changes.upserted:
            self._remove(each.id)
            self._add(each, known.get(each.id))
        self._unsaved += len(changes.deleted) + len(changes.upserted) - len(known)
        if self._dead > 1000 and self._dead > len(self._slots):
            self._compact()

    def _saved(self, documents: Sequence[Stored]) -> Mapping[str, Terms]:
        """Return the words of documents that the file has in the version that they are in."""
        words = None if self._file is None else load(self._file, self._language)
        self._unsaved = 0
        if words is None:
            return {}
        now = {each.id: version(each) for each in documents}
        known = {name: terms for name, seen, terms in words.documents() if now.get(name) == seen}
        self._unsaved = len(words.names) - len(known)
        return known

    def _save(self) -> None:
        if self._file is not None and self._total >= _WORTH:
            slots = list(self._slots.values())
            names, terms = list(self._slots), [self._terms[slot] for slot in slots]
            versions = [self._digests[name] for name in names]
            save(self._file, self._language, SavedWords(names, versions, terms))
        self._unsaved = 0

    def _add(self, document: Stored, known: Terms | None) -> None:
        metadata = document.metadata
        language = language_of(metadata, self._language)
        terms = known
        if terms is None:
            terms = tuple(Counter(stems(document.content, language)).items())
        slot = self._slots[document.id] = len(self._ids)
        length = sum(count for _, count in terms)
        self._ids.append(document.id)
        self._digests[document.id] = version(document)
        self._metadata.append(metadata)
        self._columns.add(slot, metadata)
        self._terms.append(terms)
        self._lengths.append(length)
        self._total += length
        self._languages[language] += 1
        for term, count in terms:
            posting = self._postings.get(term)
            if posting is None:
                posting = self._postings[term] = _Postings()
            posting.slots.append(slot)
            posting.counts.append(count)
            posting.live += 1

    def _size(self, document_id: str) -> int:
        """Return how long removing a document takes, in characters of one that is added."""
        slot = self._slots.get(document_id)
        return 10 if slot is None else 10 + 5 * len(self._terms[slot])

    def _remove(self, document_id: str) -> None:
        slot = self._slots.pop(document_id, None)
        if slot is None:
            return
        self._digests.pop(document_id, None)
        self._languages[language_of(self._metadata[slot], self._language)] -= 1
        for term, _ in self._terms[slot]:
            posting = self._postings[term]
            posting.live -= 1
            if posting.live == 0:
                del self._postings[term]
        self._total -= self._lengths[slot]
        self._columns.remove(slot, self._metadata[slot])
        self._ids[slot], self._metadata[slot], self._terms[slot] = None, {}, ()
        self._lengths[slot] = 0
        self._dead += 1

    def _compact(self) -> None:
        kept = [slot for slot, name in enumerate(self._ids) if name is not None]
        fresh = {old: new for new, old in enumerate(kept)}
        for posting in self._postings.values():
            pairs = [
                (fresh[slot], count)
                for slot, count in zip(posting.slots, posting.counts, strict=True)
                if slot in fresh
            ]
            posting.slots = array("i", [slot for slot, _ in pairs])
            posting.counts = array("i", [count for _, count in pairs])
        self._ids = [self._ids[slot] for slot in kept]
        self._metadata = [self._metadata[slot] for slot in kept]
        self._terms = [self._terms[slot] for slot in kept]
        self._lengths = array("i", [self._lengths[slot] for slot in kept])
        self._slots = {name: slot for slot, name in enumerate(self._ids) if name is not None}
        self._dead = 0
        self._columns = Columns()
        for slot, metadata in enumerate(self._metadata):
            self._columns.add(slot, metadata)

    def terms(self, text: str) -> Mapping[str, float]:
        # a query is asked in every language that the documents have, the default one first
        # a copy: a thread may be adding documents
        frequent = self._languages.copy().most_common(5)
        languages = [self._language, *(name for name, n in frequent if n > 0)]
        weights: dict[str, float] = {}
        for language in dict.fromkeys(languages):
            for term, count in Counter(stems(text, language)).items():
                weights[term] = max(weights.get(term, 0.0), float(count))
        return weights

    async def search(
        self,
        terms: Mapping[str, float],
        limit: int,
        filter: Filter | None,
    ) -> Sequence[Scored]:
        return await self._exclusive.run(
            lambda: self._search(terms, limit, filter), long=len(self._ids) > _QUICK
        )

    def _search(
        self, terms: Mapping[str, float], limit: int, wanted: Filter | None
    ) -> list[Scored]:
        if not self._slots or limit < 1:
            return []
        scores = np.zeros(len(self._ids), np.float64)
        for term, weight in terms.items():
            if (posting := self._postings.get(term)) is not None:
                slots, gains = self._gains(term, posting)
                scores[slots] += gains if weight == 1 else weight * gains
        if wanted is not None:
            rows = self._columns.rows(wanted)
            hits = rows[scores[rows] > 0]
        else:
            hits = np.nonzero(scores > 0)[0]
            if self._dead:  # postings keep slots of what is gone until compaction
                hits = hits[np.frombuffer(self._lengths, np.int32)[hits] > 0]
        return best(scores[hits], hits, self._ids, limit)

    def _gains(self, term: str, posting: _Postings) -> tuple[Any, Any]:
        """Return where a term occurs and what it adds there, remembered until something changes."""
        found = self._asked.get(term)
        if found is None:
            slots = np.frombuffer(posting.slots, np.int32)
            counts = np.frombuffer(posting.counts, np.int32)
            gains = counts / (counts + self._norms()[slots])
            gains *= self._idf(posting.live)
            found = slots, gains
            self._room -= len(gains)
            if self._room < 0:
                self._forget()
            self._asked[term] = found
        return found

    def _forget(self) -> None:
        # an array that numpy looks into cannot grow: nothing of it may stay
        self._asked: dict[str, tuple[Any, Any]] = {}
        self._room = _REMEMBERED

    def _norms(self) -> Any:
        """Return how much the length of each document holds it back."""
        if self._norm is None:
            # a copy: an array that numpy looks into cannot grow
            lengths = np.array(self._lengths, np.int32)
            mean = max(self._total, 1) / len(self._slots)
            self._norm = self._k1 * (1 - self._b + self._b * lengths / mean)
        return self._norm

    def _idf(self, df: int) -> float:
        return math.log(1 + (len(self._slots) - df + 0.5) / (df + 0.5))

    async def documents(self) -> Mapping[str, str]:
        return await self._exclusive.run(lambda: dict(self._digests), long=len(self._ids) > _QUICK)

    async def salient(self, ids: Sequence[str], limit: int) -> Mapping[str, float]:
        return await self._exclusive.run(lambda: self._salient(ids, limit), long=False)

    def _salient(self, ids: Sequence[str], limit: int) -> dict[str, float]:
        weights: dict[str, float] = {}
        for document_id in ids:
            slot = self._slots.get(document_id)
            if slot is None or not self._lengths[slot]:
                continue
            for term, count in self._terms[slot]:
                idf = self._idf(self._postings[term].live)
                share = count / self._lengths[slot] * idf
                weights[term] = weights.get(term, 0.0) + share
        best = sorted(weights.items(), key=lambda pair: (-pair[1], pair[0]))[:limit]
        total = sum(weight for _, weight in best)
        return {term: weight / total for term, weight in best} if total else {}

    def detach(self) -> None:
        if self._exclusive.detach():
            self._clear()
            self.position = None
