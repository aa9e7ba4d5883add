"""Keyword indexes that are kept outside this process: how they follow the store.

What a store tells first is all of its documents. An index that is kept has most of them already, so
it is compared by versions, and the difference alone is written: nothing is built anew because a
process starts, and what another process left undone when it was killed is done then.
"""

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence

from ..ports import Changes, KeywordIndex, Stored, version
from ..text.tokens import language_of, query_stems, stems

_BATCH = 500


class KeptIndex(KeywordIndex):
    """The words of documents in some server."""

    def __init__(self, language: str) -> None:
        """Take ``language`` for documents and queries that name none."""
        self._language = language
        self._languages: Counter[str] = Counter()

    @abstractmethod
    async def _open(self) -> None:
        """Make what is missing; idempotent."""

    @abstractmethod
    async def _write(self, documents: Sequence[Stored], gone: Sequence[str]) -> None:
        """Replace and delete documents; searches find the outcome when this returns."""

    async def apply(self, changes: Changes) -> None:
        await self._open()
        last = {each.id: each for each in changes.upserted}
        gone = [name for name in dict.fromkeys(changes.deleted) if name not in last]
        for each in last.values():
            self._languages[language_of(each.metadata, self._language)] += 1
        if changes.reset:
            known = await self.documents()
            gone = [name for name in known if name not in last]
            last = {name: each for name, each in last.items() if known.get(name) != version(each)}
        for start in range(0, len(gone), _BATCH):
            await self._write([], gone[start : start + _BATCH])
        fresh = list(last.values())
        for start in range(0, len(fresh), _BATCH):
            await self._write(fresh[start : start + _BATCH], [])

    async def lacking(self, documents: Sequence[Stored]) -> Sequence[str]:
        await self._open()
        known = await self.documents()
        return [each.id for each in documents if known.get(each.id) != version(each)]

    def stems_of(self, document: Stored) -> list[str]:
        """Return the stems of a document, in order."""
        return stems(document.content, language_of(document.metadata, self._language))

    def terms(self, text: str) -> Mapping[str, float]:
        return query_stems(text, self._language, self._languages.copy())
