"""Which documents have a word, and which words a document has; changed in place.

What a file said stays in its arrays. A word's list is taken out of them when it is first asked for
or changed, so that a process that starts does no work for words that nobody looks for.
"""

from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .saved_words import SavedWords, Terms


class Posting:
    """Where a term occurs: slots of documents and how often. Dead slots stay until compaction."""

    __slots__ = ("counts", "live", "slots")

    def __init__(self) -> None:
        """Occur nowhere."""
        self.slots, self.counts, self.live = array("i"), array("i"), 0


class _Lying:
    """Words as they lie in a file: by document there, and by word in an order made here."""

    def __init__(self, words: SavedWords) -> None:
        self.words = words
        self.numbers = {term: number for number, term in enumerate(words.terms)}
        self.ends = np.concatenate(([0], np.cumsum(words.lengths, dtype=np.int64)))
        # the number of a word above the place in the file: sorting plain numbers is what is fast
        keys = np.left_shift(words.places, 32, dtype=np.uint64)
        keys |= np.arange(len(keys), dtype=np.uint64)
        keys.sort()
        order = (keys & np.uint64(0xFFFFFFFF)).astype(np.intp)
        slots = np.repeat(np.arange(len(words.names), dtype=np.int32), words.lengths)
        self._slots, self._counts = slots[order], words.counts.astype(np.int32)[order]
        of_each = np.bincount(words.places, minlength=len(words.terms))
        self._starts = np.concatenate(([0], np.cumsum(of_each)))

    def terms_of(self, slot: int) -> Terms:
        start, end = self.ends[slot], self.ends[slot + 1]
        names = map(self.words.terms.__getitem__, self.words.places[start:end].tolist())
        return tuple(zip(names, self.words.counts[start:end].tolist(), strict=True))

    def posting(self, term: str) -> Posting | None:
        number = self.numbers.get(term)
        if number is None:
            return None
        start, end = self._starts[number], self._starts[number + 1]
        made = Posting()
        made.slots.frombytes(self._slots[start:end].tobytes())
        made.counts.frombytes(self._counts[start:end].tobytes())
        made.live = len(made.slots)
        return made

    def only(self, slots: Sequence[int]) -> SavedWords:
        """Return the words of these documents alone."""
        words = self.words
        chosen = np.zeros(len(words.names), bool)
        chosen[list(slots)] = True
        inside = np.repeat(chosen, words.lengths)
        places = words.places[inside]
        used = np.zeros(len(words.terms), bool)
        used[places] = True
        numbers = np.cumsum(used, dtype=np.uint32) - np.uint32(1)
        return SavedWords(
            [],
            [],
            [term for term, kept in zip(words.terms, used.tolist(), strict=True) if kept],
            words.lengths[chosen],
            numbers[places],
            words.counts[inside],
        )

    def totals(self) -> Any:
        sums = np.concatenate(([0], np.cumsum(self.words.counts, dtype=np.int64)))
        return np.diff(sums[self.ends])


class Postings:
    """The lists of both directions. Documents have slots, numbered as they come."""

    def __init__(self) -> None:
        """Know no document."""
        self._lists: dict[str, Posting] = {}
        self._terms: list[Terms | None] = []  # None: as it lies in the file
        self._lying: _Lying | None = None

    def adopt(self, words: SavedWords) -> list[int]:
        """Take over the documents of a file at once, as the first; return the words of each."""
        self._lying = _Lying(words)
        self._terms = [None] * len(words.names)
        lengths: list[int] = self._lying.totals().tolist()
        return lengths

    def add(self, terms: Terms) -> int:
        """Add a document; return its slot."""
        slot = len(self._terms)
        self._terms.append(terms)
        for term, count in terms:
            posting = self.of(term)
            if posting is None:
                posting = self._lists[term] = Posting()
            posting.slots.append(slot)
            posting.counts.append(count)
            posting.live += 1
        return slot

    def remove(self, slot: int) -> None:
        """Let a document have no words."""
        for term, _ in self.terms_of(slot):
            posting = self.of(term)
            if posting is None:
                continue
            posting.live -= 1
            if posting.live == 0:
                del self._lists[term]
                if self._lying is not None:
                    self._lying.numbers.pop(term, None)
        self._terms[slot] = ()

    def of(self, term: str) -> Posting | None:
        """Return where a term occurs, None for nowhere."""
        found = self._lists.get(term)
        if found is None and self._lying is not None:
            found = self._lying.posting(term)
            if found is not None:
                self._lists[term] = found
        return found

    def terms_of(self, slot: int) -> Terms:
        """Return the words of a document."""
        terms = self._terms[slot]
        if terms is None:
            return () if self._lying is None else self._lying.terms_of(slot)
        return terms

    def size_of(self, slot: int) -> int:
        """Return how many different words a document has."""
        terms = self._terms[slot]
        if terms is None:
            return 0 if self._lying is None else int(self._lying.words.lengths[slot])
        return len(terms)

    def packed(self, versions: Mapping[str, str], slots: Sequence[int]) -> SavedWords:
        """Return the words of documents as a file has them.

        Args:
            versions: By id.
            slots: Of each of them, in the order of the slots.
        """
        lying = [slot for slot in slots if self._terms[slot] is None]
        old = None if self._lying is None else self._lying.only(lying)
        numbers = {} if old is None else {term: number for number, term in enumerate(old.terms)}
        own = [self.terms_of(slot) for slot in slots[len(lying) :]]
        places = [numbers.setdefault(term, len(numbers)) for each in own for term, _ in each]
        counts = [count for each in own for _, count in each]
        lengths = [len(each) for each in own]
        arrays = [np.array(each, "<u4") for each in (lengths, places, counts)]
        if old is not None:
            before = (old.lengths, old.places, old.counts)
            arrays = [np.concatenate(pair) for pair in zip(before, arrays, strict=True)]
        return SavedWords(list(versions), list(versions.values()), list(numbers), *arrays)

    def compact(self, kept: Sequence[int]) -> None:
        """Number the documents anew, those of ``kept`` in their order."""
        terms = [self.terms_of(slot) for slot in kept]
        self._lists, self._terms, self._lying = {}, [], None
        for each in terms:
            self.add(each)
