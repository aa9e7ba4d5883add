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
from ..text.tokens import language_of, query_stems, stems
from .best import best
from .columns import Columns
from .exclusive import Exclusive
from .postings import Posting, Postings
from .saved_words import SavedWords, load, save

_QUICK, _SORTED = 20_000, 2000
"""Documents up to which a search is short, and one that sorts their metadata first."""
_QUICK_TEXT = 20_000
_WORTH, _DUE, _FEW = 50_000, 2000, 100
"""Words of an index that is worth a file, changes after which it is written anew, and at the end,
one in how many documents."""

_REMEMBERED = 2_000_000
"""Occurrences of words that were asked for; what each adds to a score is kept: 16 MB."""


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
        self._unsaved, self._stale = 0, False
        self._looked: tuple[SavedWords | None, dict[str, str]] | None = None
        self._clear()

    def _clear(self) -> None:
        self._postings = Postings()
        self._slots: dict[str, int] = {}
        self._ids: list[str | None] = []
        self._metadata: list[Mapping[str, Any]] = []
        self._digests: dict[str, str] = {}
        self._columns: Columns | None = None  # until a filter is asked for
        self._lengths = array("i")
        self._total = self._dead = 0
        self._norm: Any = None  # until something changes
        self._forget()
        self._languages.clear()

    def keep_in(self, path: str) -> None:
        self._file = Path(path)

    async def aclose(self) -> None:
        # what was deleted does not stay there, however little it is
        if self._stale or self._unsaved * _FEW > len(self._slots):
            await self._exclusive.run(self._save, long=True)

    async def apply(self, changes: Changes) -> None:
        if not (changes.reset or changes.upserted or changes.deleted):
            return
        size = sum(len(each.content) + 100 for each in changes.upserted)
        size += sum(map(self._size, changes.deleted))
        await self._exclusive.run(lambda: self._apply(changes), long=size > _QUICK_TEXT)
        if self._unsaved > max(_DUE, len(self._slots) // 4):
            await self._exclusive.run(self._save, long=True)

    async def lacking(self, documents: Sequence[Stored]) -> Sequence[str]:
        def work() -> list[str]:
            self._looked = self._look(documents)
            known, versions = self._looked
            if known is None:
                return [each.id for each in documents]
            there = dict(zip(known.names, known.versions, strict=True))
            return [each.id for each in documents if there.get(each.id) != versions[each.id]]

        return await self._exclusive.run(work, long=True)

    def _look(self, documents: Sequence[Stored]) -> tuple[SavedWords | None, dict[str, str]]:
        """Return what the file has, and the versions that documents are in."""
        words = None if self._file is None else load(self._file, self._language)
        return words, {} if words is None else {each.id: version(each) for each in documents}

    def _apply(self, changes: Changes) -> None:
        self._norm = None
        self._forget()
        fresh = changes.upserted
        if changes.reset:
            self._clear()
            fresh = self._resumed(changes.upserted)
        for document_id in changes.deleted:
            self._remove(document_id)
        for each in fresh:
            self._remove(each.id)
            self._add(each)
        self._unsaved += len(changes.deleted) + len(fresh)
        if self._dead > 1000 and self._dead > len(self._slots):
            self._compact()

    def _resumed(self, documents: Sequence[Stored]) -> Sequence[Stored]:
        """Take over the documents that the file has in their versions; return the others."""
        (words, versions), self._looked = self._looked or self._look(documents), None
        self._unsaved, self._stale = 0, False
        if words is None:
            return documents
        lengths = self._postings.adopt(words)
        there, gone = {each.id: each for each in documents}, []
        for slot, (name, seen) in enumerate(zip(words.names, words.versions, strict=True)):
            same = name in there and versions.get(name) == seen
            metadata = there[name].metadata if same else {}
            self._ids.append(name if same else None)
            self._metadata.append(metadata)
            if same:
                self._slots[name], self._digests[name] = slot, seen
                self._languages[language_of(metadata, self._language)] += 1
            else:
                gone.append(slot)
        for slot in gone:
            self._postings.remove(slot)
            lengths[slot] = 0
        self._lengths, self._total = array("i", lengths), sum(lengths)
        self._dead = self._unsaved = len(gone)
        self._stale = bool(gone)
        return [each for each in documents if each.id not in self._slots]

    def _save(self) -> None:
        if self._file is not None and self._total >= _WORTH:
            versions = {name: self._digests[name] for name in self._slots}
            words = self._postings.packed(versions, list(self._slots.values()))
            save(self._file, self._language, words)
        self._unsaved, self._stale = 0, False

    def _add(self, document: Stored) -> None:
        metadata = document.metadata
        language = language_of(metadata, self._language)
        terms = tuple(Counter(stems(document.content, language)).items())
        slot = self._slots[document.id] = self._postings.add(terms)
        length = sum(count for _, count in terms)
        self._ids.append(document.id)
        self._digests[document.id] = version(document)
        self._metadata.append(metadata)
        if self._columns is not None:
            self._columns.add(slot, metadata)
        self._lengths.append(length)
        self._total += length
        self._languages[language] += 1

    def _size(self, document_id: str) -> int:
        """Return how long removing a document takes, in characters of one that is added."""
        slot = self._slots.get(document_id)
        return 10 if slot is None else 10 + 5 * self._postings.size_of(slot)

    def _remove(self, document_id: str) -> None:
        slot = self._slots.pop(document_id, None)
        if slot is None:
            return
        self._digests.pop(document_id, None)
        self._languages[language_of(self._metadata[slot], self._language)] -= 1
        self._stale = True
        self._postings.remove(slot)
        self._total -= self._lengths[slot]
        if self._columns is not None:
            self._columns.remove(slot, self._metadata[slot])
        self._ids[slot], self._metadata[slot] = None, {}
        self._lengths[slot] = 0
        self._dead += 1

    def _compact(self) -> None:
        kept = list(self._slots.values())
        self._postings.compact(kept)
        self._ids = [self._ids[slot] for slot in kept]
        self._metadata = [self._metadata[slot] for slot in kept]
        self._lengths = array("i", [self._lengths[slot] for slot in kept])
        self._slots = {name: slot for slot, name in enumerate(self._slots)}
        self._dead = 0
        self._columns = None

    def _sorted(self) -> Columns:
        """Return which documents have which metadata."""
        if self._columns is None:
            self._columns = Columns()
            for slot in self._slots.values():
                self._columns.add(slot, self._metadata[slot])
        return self._columns

    def terms(self, text: str) -> Mapping[str, float]:
        # a copy: a thread may be adding documents
        return query_stems(text, self._language, self._languages.copy())

    async def search(
        self,
        terms: Mapping[str, float],
        limit: int,
        filter: Filter | None,
    ) -> Sequence[Scored]:
        return await self._exclusive.run(
            lambda: self._search(terms, limit, filter),
            long=len(self._ids)
            > (_QUICK if filter is None or self._columns is not None else _SORTED),
        )

    def _search(
        self, terms: Mapping[str, float], limit: int, wanted: Filter | None
    ) -> list[Scored]:
        if not self._slots or limit < 1:
            return []
        scores = np.zeros(len(self._ids), np.float64)
        for term, weight in terms.items():
            if (posting := self._postings.of(term)) is not None:
                slots, gains = self._gains(term, posting)
                scores[slots] += gains if weight == 1 else weight * gains
        if wanted is not None:
            rows = self._sorted().rows(wanted)
            hits = rows[scores[rows] > 0]
        else:
            hits = np.nonzero(scores > 0)[0]
            if self._dead:  # postings keep slots of what is gone until compaction
                hits = hits[np.frombuffer(self._lengths, np.int32)[hits] > 0]
        return best(scores[hits], hits, self._ids, limit)

    def _gains(self, term: str, posting: Posting) -> tuple[Any, Any]:
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
            for term, count in self._postings.terms_of(slot):
                posting = self._postings.of(term)
                idf = self._idf(0 if posting is None else posting.live)
                share = count / self._lengths[slot] * idf
                weights[term] = weights.get(term, 0.0) + share
        best = sorted(weights.items(), key=lambda pair: (-pair[1], pair[0]))[:limit]
        total = sum(weight for _, weight in best)
        return {term: weight / total for term, weight in best} if total else {}

    def detach(self) -> None:
        if self._exclusive.detach():
            self._clear()
            self.position = None
