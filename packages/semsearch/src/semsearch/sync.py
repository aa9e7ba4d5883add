"""The search for blocking code: the same names without ``await``, on one background event loop.

It is a facade over the *same* instance. Inside a running event loop it raises ``RuntimeError``,
because it would block that loop.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Final, Self, Unpack

from . import _default, service
from ._common.portal import Portal, here
from .evaluation import Judgements
from .indexing import listed
from .models import QueryKeywords, SearchDocument, SearchQuery, SearchResult, SearchResults
from .ports import Embedder
from .reports import Analytics, Evaluation, IndexReport, RepairReport, SearchStats, Tuning
from .service import Tree
from .settings import Settings

_portal: Final = Portal("semsearch.sync")


class SearchService:
    """A blocking view of a :class:`semsearch.SearchService`. Safe for threads."""

    def __init__(self, search: service.SearchService | None = None) -> None:
        """Show ``search``; a new, unconfigured one if None."""
        self.asynchronous = search or service.SearchService()

    @classmethod
    def from_url(cls, url: str, **kwargs: Any) -> Self:
        """Return a search on ``url``; see the asynchronous one."""
        return cls(service.SearchService.from_url(url, **kwargs))

    def configure(self, settings: Settings | Mapping[str, Any] | str) -> None:
        """Set the configuration, before the first operation."""
        self.asynchronous.configure(settings)

    def index(self, document: SearchDocument) -> IndexReport:
        """Add or replace a document."""
        return _portal.run(self.asynchronous.index, document)

    def index_batch(
        self,
        documents: Iterable[SearchDocument],
        *,
        on_progress: Callable[[int], None] | None = None,
    ) -> IndexReport:
        """Add or replace documents; ``on_progress`` is called in this thread."""
        _portal.refuse_loop()
        inbox: SimpleQueue[Any] = SimpleQueue()
        report: Any = None if on_progress is None else here(inbox, on_progress)
        given = listed(documents)
        return _portal.wait(inbox, self.asynchronous.index_batch(given, on_progress=report))

    def update(self, document_id: str, document: SearchDocument) -> IndexReport:
        """Replace a document that is there."""
        return _portal.run(self.asynchronous.update, document_id, document)

    def delete(self, document_id: str) -> bool:
        """Delete a document; return whether it was there."""
        return _portal.run(self.asynchronous.delete, document_id)

    def delete_by_filter(self, filters: Tree, *, keep: Collection[str] = ()) -> int:
        """Delete the documents that pass ``filters``."""
        return _portal.run(self.asynchronous.delete_by_filter, filters, keep=keep)

    def search(self, query: SearchQuery | str, **kw: Unpack[QueryKeywords]) -> SearchResults:
        """Return the best documents for a query."""
        return _portal.run(self.asynchronous.search, query, **kw)

    def search_many(
        self, queries: Sequence[SearchQuery | str], concurrency: int = 4
    ) -> list[SearchResults]:
        """Return the results of several queries, in order."""
        return _portal.run(self.asynchronous.search_many, queries, concurrency)

    def find_similar(
        self, document_id: str, limit: int = 10, *, filters: Tree | None = None
    ) -> list[SearchResult]:
        """Return the documents nearest to one."""
        return _portal.run(self.asynchronous.find_similar, document_id, limit, filters=filters)

    def get(self, document_id: str) -> SearchDocument:
        """Return a document as it is indexed."""
        return _portal.run(self.asynchronous.get, document_id)

    def count(self, filters: Tree | None = None) -> int:
        """Return how many documents pass ``filters``."""
        return _portal.run(self.asynchronous.count, filters)

    def get_stats(self) -> SearchStats:
        """Return the counters and the number of documents."""
        return _portal.run(self.asynchronous.get_stats)

    def analytics(self, limit: int = 10) -> Analytics:
        """Return what was searched."""
        return _portal.run(self.asynchronous.analytics, limit)

    def record_click(self, query_id: str, doc_id: str) -> bool:
        """Note that a hit was opened."""
        return _portal.run(self.asynchronous.record_click, query_id, doc_id)

    def evaluate(
        self,
        queries: Mapping[str, str],
        qrels: Judgements,
        k: int = 10,
        **kw: Unpack[QueryKeywords],
    ) -> Evaluation:
        """Measure the quality of the results against judgements."""
        return _portal.run(self.asynchronous.evaluate, queries, qrels, k, **kw)

    def tune(self, queries: Mapping[str, str], qrels: Judgements, k: int = 10) -> Tuning:
        """Choose fusion, alpha, expansion and threshold by judgements."""
        return _portal.run(self.asynchronous.tune, queries, qrels, k)

    def repair(self) -> RepairReport:
        """Make the keyword side equal to the store; say what was wrong."""
        return _portal.run(self.asynchronous.repair)

    def reindex(
        self, embedder: Embedder, *, on_progress: Callable[[int], None] | None = None
    ) -> int:
        """Make all vectors anew with another model; ``on_progress`` is called in this thread."""
        _portal.refuse_loop()
        inbox: SimpleQueue[Any] = SimpleQueue()
        report: Any = None if on_progress is None else here(inbox, on_progress)
        return _portal.wait(inbox, self.asynchronous.reindex(embedder, on_progress=report))

    def close(self) -> None:
        """Disconnect and return to the state after construction."""
        _portal.run(self.asynchronous.aclose)

    def __enter__(self) -> Self:
        """Return the search itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the search."""
        self.close()


search_service: Final = SearchService(_default.search_service)
