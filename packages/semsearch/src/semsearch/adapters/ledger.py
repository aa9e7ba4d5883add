"""What keyword indexes on other people's engines know of their documents beside the words."""

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from ..filters import Filter
from ..ports import Changes, Stored, version
from ..text.tokens import language_of, stems
from .columns import Columns


class Ledger:
    """Versions, metadata and languages of documents, by id. Not safe for threads."""

    def __init__(self, language: str) -> None:
        """Start empty; ``language`` is that of documents and queries that name none."""
        self._language = language
        self.languages: Counter[str] = Counter()
        self.clear()

    def clear(self) -> None:
        """Forget every document."""
        self.digests: dict[str, str] = {}
        self._metadata: dict[str, Mapping[str, Any]] = {}
        self._rows: dict[str, int] = {}
        self._ids: dict[int, str] = {}
        self._next = 0
        self._columns = Columns()
        self.languages.clear()

    def __len__(self) -> int:
        """Return the number of documents."""
        return len(self.digests)

    def add(self, document: Stored) -> list[str]:
        """Note a document that is not there; return its stems."""
        language = language_of(document.metadata, self._language)
        row, self._next = self._next, self._next + 1
        self._rows[document.id], self._ids[row] = row, document.id
        self._metadata[document.id] = document.metadata
        self._columns.add(row, document.metadata)
        self.languages[language] += 1
        self.digests[document.id] = version(document)
        return stems(document.content, language)

    def remove(self, document_id: str) -> bool:
        """Forget a document; return whether it was there."""
        if self.digests.pop(document_id, None) is None:
            return False
        metadata, row = self._metadata.pop(document_id), self._rows.pop(document_id)
        del self._ids[row]
        self._columns.remove(row, metadata)
        self.languages[language_of(metadata, self._language)] -= 1
        return True

    def passing(self, wanted: Filter | None) -> AbstractSet[str] | Mapping[str, str]:
        """Return the ids of the documents that pass."""
        if wanted is None:
            return self.digests
        return {self._ids[row] for row in self._columns.passing(wanted)}

    def terms(self, text: str) -> Mapping[str, float]:
        """Return the weighted stems of a query, in every language that the documents have."""
        # a copy: a thread may be adding documents
        frequent = self.languages.copy().most_common(5)
        weights: dict[str, float] = {}
        for language in dict.fromkeys([self._language, *(name for name, n in frequent if n > 0)]):
            for term, count in Counter(stems(text, language)).items():
                weights[term] = max(weights.get(term, 0.0), float(count))
        return weights


def best(weights: Mapping[str, float], limit: int) -> dict[str, float]:
    """Return the terms of the highest weights, adding up to 1, ties by term."""
    chosen = sorted(weights.items(), key=lambda pair: (-pair[1], pair[0]))[:limit]
    total = sum(weight for _, weight in chosen)
    return {term: weight / total for term, weight in chosen} if total else {}


def cost(changes: Changes) -> int:
    """Return how long ``changes`` take, in characters."""
    return sum(len(each.content) + 100 for each in changes.upserted) + 10 * len(changes.deleted)


def gone(changes: Changes) -> Sequence[str]:
    """Return the ids whose old versions have to go."""
    return [*changes.deleted, *(each.id for each in changes.upserted)]
