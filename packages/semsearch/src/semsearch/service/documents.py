"""Documents that are there: read, counted, replaced, deleted."""

from collections.abc import Collection, Sequence

from .._common.home import at_home
from ..errors import ConfigurationError, InvalidDocument, InvalidFilter
from ..filters import Filter
from ..indexing import check_document, check_id
from ..models import SearchDocument, plain_copy
from ..reports import IndexReport
from .base import Parts, Tree
from .writing import Writing


class Documents(Writing):
    """The part of the service that knows documents by their ids and filters."""

    @at_home
    async def get(self, document_id: str) -> SearchDocument:
        """Return a document as it is indexed.

        Raises:
            DocumentNotFound: It is not there.
        """
        async with self._ready(reading=True) as parts:
            stored = await self._visible(parts.sides, document_id)
        return SearchDocument(
            stored.id, stored.content, plain_copy(stored.metadata), stored.vector.tolist()
        )

    @at_home
    async def count(self, filters: Tree | None = None) -> int:
        """Return how many documents pass ``filters``.

        Raises:
            InvalidFilter: The filter is wrong.
        """
        wanted = self._bound(Filter.parse(filters))
        async with self._ready(reading=True) as parts:
            return await parts.sides.store.count(wanted)

    async def update(self, document_id: str, document: SearchDocument) -> IndexReport:
        """Replace a document that is there; changed metadata alone cost no embedding.

        Raises:
            DocumentNotFound: It is not there.
            InvalidDocument: ``document.id`` is another one.
        """
        check_document(document, self.settings.indexing.max_content)
        if document.id != document_id:
            raise InvalidDocument(f"update({document_id!r}) was given document {document.id!r}")
        await self.get(document_id)
        return await self.index(document)

    @at_home
    async def delete(self, document_id: str) -> bool:
        """Delete a document; return whether it was there. No search returns it afterwards."""
        name = check_id(document_id)
        async with self._parts.writes, self._ready() as parts:
            return await self._delete(parts, [name]) == 1

    @at_home
    async def delete_by_filter(self, filters: Tree, *, keep: Collection[str] = ()) -> int:
        """Delete the documents that pass ``filters``; return how many.

        Args:
            filters: Which ones.
            keep: Ids of documents that stay all the same.

        Raises:
            InvalidFilter: The filter is wrong, or empty.
            ConfigurationError: ``keep`` is a single text.
        """
        if isinstance(keep, str):
            raise ConfigurationError(f"keep takes ids, not one text: {keep[:60]!r}")
        wanted = Filter.parse(filters)
        if wanted is None:
            raise InvalidFilter("delete_by_filter needs a condition: an empty filter is everything")
        async with self._parts.writes, self._ready() as parts:
            found, kept = await parts.sides.store.select(self._bound(wanted)), set(keep)
            return await self._delete(parts, [each for each in found if each not in kept])

    async def _delete(self, parts: Parts, ids: Sequence[str]) -> int:
        visible = ids
        if self._tenant is not None:
            known = await parts.sides.store.get(ids)
            visible = [each.id for each in known.values() if self._sees(each)]
        gone = await parts.sides.store.delete(visible) if visible else []
        await parts.catch_up()
        return len(gone)
