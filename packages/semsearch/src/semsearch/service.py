"""The search: what applications call."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, Unpack

import msgspec

from ._common.clock import Clock, NewId, SystemClock, new_id
from ._common.home import at_home
from ._common.lifecycle import Adapter, Service
from .analytics import Recorder
from .errors import ConfigurationError, DocumentNotFound
from .evaluation import Judgements, measure
from .filters import Filter
from .indexing import Vectors, check_document, check_id, digest, is_same, unit
from .models import (
    QUERY_NAMES,
    Analytics,
    Evaluation,
    IndexReport,
    QueryKeywords,
    SearchDocument,
    SearchQuery,
    SearchResult,
    SearchResults,
    SearchStats,
)
from .ports import Embedder, KeywordIndex, QueryExpander, Reranker, Stored, VectorStore
from .registry import embedder_from, feedback_expander, keyword_index, store_from
from .searching import Found, Sides, find, result
from .settings import Settings

Tree = Mapping[str, Any]


@dataclass(slots=True)
class Parts:
    """What a configured search consists of."""

    sides: Sides
    recorder: Recorder
    results: OrderedDict[bytes, tuple[float, int, SearchResults]]
    changes: int = 0
    cache_hits: int = 0
    cache_asked: int = 0


class SearchService(Service[Settings, Parts]):
    """Semantic and keyword search over documents. Safe for several event loops and threads."""

    settings_type = Settings
    durable_example = "sqlite:///search.db"

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        store: VectorStore | None = None,
        keywords: KeywordIndex | None = None,
        embedder: Embedder | None = None,
        reranker: Reranker | None = None,
        expander: QueryExpander | None = None,
        tenant: Tree | None = None,
        clock: Clock | None = None,
        new_id: NewId = new_id,
    ) -> None:
        """Make a search; no I/O, no model is loaded.

        Args:
            settings: How it works; found in the environment at the first operation if None.
            store: A ready store, in place of the one that the settings name.
            keywords: A ready keyword index, in place of the embedded one.
            embedder: A ready embedder, in place of the one that the settings name.
            reranker: What ``rerank=True`` uses.
            expander: What ``query_expansion=True`` uses; pseudo-relevance feedback if None.
            tenant: A filter that every call is bound to, and that no caller can remove; documents
                indexed through this service must pass it.
            clock: Measures latencies and the cache's ttl.
            new_id: Makes the ids of queries.

        Raises:
            InvalidFilter: ``tenant`` is wrong.
        """
        super().__init__(settings)
        self._store, self._keywords, self._embedder = store, keywords, embedder
        self._reranker, self._expander = reranker, expander
        self._tenant = Filter.parse(tenant)
        self._clock, self._new_id = clock or SystemClock(), new_id
        self._opened = False
        self._lock: asyncio.Lock | None = None

    @classmethod
    def from_url(cls, url: str, **kwargs: Any) -> Self:
        """Return a search on ``memory://`` or ``sqlite:///search.db``; see the constructor.

        Raises:
            ConfigurationError: The URL has no scheme.
        """
        return cls(Settings.from_url(url), **kwargs)

    def _is_volatile(self) -> bool:
        return self._store is None

    def _build(self, settings: Settings) -> Parts:
        language = settings.search.language
        embedder = self._embedder or embedder_from(settings.embeddings, language)
        sides = Sides(
            store=self._store or store_from(settings),
            keywords=self._keywords or keyword_index(language),
            vectors=Vectors(embedder, settings.embeddings.batch_size),
            expander=self._expander or feedback_expander(),
            reranker=self._reranker,
            settings=settings.search,
        )
        return Parts(sides, Recorder(), OrderedDict())

    def _adapters(self, parts: Parts) -> Iterable[Adapter]:
        return (parts.sides.keywords, parts.sides.store)

    def _moved(self) -> None:
        super()._moved()
        self._lock = None
        if self._built is not None:
            self._built.sides.vectors.detach()

    async def _closing(self) -> None:
        self._opened, self._lock = False, None

    async def _ready(self) -> Parts:
        """Return the parts, the index open and both sides caught up."""
        parts = self._parts
        self._lock = self._lock or asyncio.Lock()
        async with self._lock:
            sides = parts.sides
            if not self._opened:
                embedder = sides.vectors.embedder
                create = self.settings.indexing.auto_index
                await sides.store.open(embedder.model_id, embedder.dimension, create=create)
                self._opened = True
            changes = await sides.store.refresh()
            if changes.reset or changes.upserted or changes.deleted:
                parts.changes += 1
                await sides.keywords.apply(changes)
        return parts

    # -- writing -----------------------------------------------------------------------------

    async def index(self, document: SearchDocument) -> IndexReport:
        """Add or replace a document; it is found when this returns.

        Unchanged text is not embedded again.

        Raises:
            InvalidDocument: Its id, content or metadata cannot be indexed.
            DimensionMismatch: Its ``embeddings`` have another length than the index.
            EmbeddingError: The embedder failed.
        """
        return await self.index_batch([document])

    @at_home
    async def index_batch(
        self,
        documents: Iterable[SearchDocument],
        *,
        on_progress: Callable[[int], None] | None = None,
    ) -> IndexReport:
        """Add or replace documents, ``indexing.batch_size`` at a time.

        All documents are checked before the first is written. Each batch is written whole or not
        at all: after a failure, calling again goes on where it stopped, because what is there
        already is not embedded again.

        Args:
            documents: The last of several with one id counts.
            on_progress: Called with the number of documents done.

        Raises:
            SemSearchError: As for :meth:`index`.
        """
        checked = self._checked(documents)
        report: dict[str, list[str]] = {"indexed": [], "updated": [], "unchanged": []}
        names, size, done = list(checked), self.settings.indexing.batch_size, 0
        for start in range(0, len(names), size):
            part = {name: checked[name] for name in names[start : start + size]}
            await self._index_part(part, report)
            done += len(part)
            if on_progress is not None:
                on_progress(done)
        await self._ready()
        return IndexReport(**report)

    def _checked(
        self, documents: Iterable[SearchDocument]
    ) -> dict[str, tuple[SearchDocument, str, dict[str, Any]]]:
        limit = self.settings.indexing.max_content
        dimension = self._parts.sides.vectors.embedder.dimension
        checked = {}
        for each in documents:
            content, metadata = check_document(each, limit)
            if self._tenant is not None and not self._tenant.matches(metadata):
                raise ConfigurationError(f"document {each.id!r} does not pass the tenant filter")
            if each.embeddings is not None:
                unit(each.embeddings, dimension, f"the vector of {each.id!r}")
            checked[each.id] = (each, content, metadata)
        return checked

    async def _index_part(
        self,
        part: Mapping[str, tuple[SearchDocument, str, dict[str, Any]]],
        report: dict[str, list[str]],
    ) -> None:
        parts = await self._ready()
        sides, embedder = parts.sides, parts.sides.vectors.embedder
        known = await sides.store.get(list(part))
        self._guard_tenant(known.values())
        digests = {
            name: digest(embedder.model_id, content, document.embeddings)
            for name, (document, content, _) in part.items()
        }
        fresh = [name for name in part if name not in known or known[name].digest != digests[name]]
        computed = [name for name in fresh if part[name][0].embeddings is None]
        vectors = dict(
            zip(
                computed,
                await sides.vectors.of_documents([part[n][1] for n in computed]),
                strict=True,
            )
        )
        written = []
        for name, (document, content, metadata) in part.items():
            if is_same(known.get(name), digests[name], metadata) and known[name].content == content:
                report["unchanged"].append(name)
                continue
            if name not in fresh:
                vector = known[name].vector
            elif document.embeddings is not None:
                vector = unit(document.embeddings, embedder.dimension, f"the vector of {name!r}")
            else:
                vector = vectors[name]
            report["indexed" if name in fresh else "updated"].append(name)
            written.append(Stored(name, content, metadata, vector, digests[name]))
        if written:
            await sides.store.upsert(written)

    def _guard_tenant(self, documents: Iterable[Stored]) -> None:
        for each in documents:
            if self._tenant is not None and not self._tenant.matches(each.metadata):
                # as if the id were taken by nobody: it may not even be told that it is
                raise ConfigurationError(f"document {each.id!r} cannot be written here")

    async def update(self, document_id: str, document: SearchDocument) -> IndexReport:
        """Replace a document that is there; changed metadata alone cost no embedding.

        Raises:
            DocumentNotFound: It is not there.
            InvalidDocument: ``document.id`` is another one.
        """
        if document.id != document_id:
            raise ConfigurationError(f"update({document_id!r}) was given document {document.id!r}")
        await self.get(document_id)
        return await self.index(document)

    @at_home
    async def delete(self, document_id: str) -> bool:
        """Delete a document; return whether it was there. No search returns it afterwards."""
        return await self._delete([check_id(document_id)]) == 1

    @at_home
    async def delete_by_filter(self, filters: Tree) -> int:
        """Delete the documents that pass ``filters``; return how many.

        Raises:
            InvalidFilter: The filter is wrong, or empty.
        """
        wanted = Filter.parse(filters)
        if wanted is None:
            raise ConfigurationError("delete_by_filter needs a filter")
        parts = await self._ready()
        return await self._delete(await parts.sides.store.select(self._bound(wanted)))

    async def _delete(self, ids: Sequence[str]) -> int:
        parts = await self._ready()
        known = await parts.sides.store.get(ids)
        visible = [each.id for each in known.values() if self._sees(each)]
        gone = await parts.sides.store.delete(visible) if visible else []
        await self._ready()
        return len(gone)

    def _sees(self, document: Stored) -> bool:
        return self._tenant is None or self._tenant.matches(document.metadata)

    def _bound(self, wanted: Filter | None) -> Filter | None:
        return wanted if self._tenant is None else self._tenant.both(wanted)

    # -- reading -----------------------------------------------------------------------------

    async def search(self, query: SearchQuery | str, **kw: Unpack[QueryKeywords]) -> SearchResults:
        """Return the best documents for a query.

        Args:
            query: A :class:`SearchQuery`, or its text with the other fields as keywords.
            kw: The fields of :class:`SearchQuery`.

        Raises:
            ConfigurationError: A field is out of range.
            InvalidFilter: The filter is wrong.
            BackendError: No side could answer.
        """
        return await self._search(query_of(query, kw))

    @at_home
    async def _search(self, query: SearchQuery) -> SearchResults:
        begun = self._clock.monotonic()
        wanted = self._bound(Filter.parse(query.filters))
        parts = await self._ready()
        key = msgspec.json.encode(query)
        query_id = self._new_id()
        found = self._cached(parts, key)
        if found is None:
            found = await self._answer(parts, query, wanted)
            self._remember(parts, key, found)
        took = self._clock.monotonic() - begun
        parts.recorder.searched(query_id, query.query, found.total, took)
        return SearchResults(
            list(found), facets=found.facets, total=found.total, took=took,
            degraded=found.degraded, query_id=query_id,
        )  # fmt: skip

    async def _answer(
        self, parts: Parts, query: SearchQuery, wanted: Filter | None
    ) -> SearchResults:
        sides = parts.sides
        found = Found([], {}, {}, {}, {})
        if query.query.strip():
            found = await find(sides, query, wanted)
        limit = query.limit or sides.settings.default_limit
        page = found.hits[query.offset : query.offset + limit]
        documents = await sides.store.get([name for name, _ in page])
        hits = [
            result(
                documents[name],
                score,
                found,
                highlight=query.highlight,
                language=sides.settings.language,
            )
            for name, score in page
            if name in documents
        ]
        facets = await sides.store.facets(list(query.facets), wanted) if query.facets else {}
        return SearchResults(hits, facets=facets, total=len(found.hits), degraded=found.degraded)

    def _cached(self, parts: Parts, key: bytes) -> SearchResults | None:
        settings = self.settings.cache
        if not settings.enabled:
            return None
        parts.cache_asked += 1
        entry = parts.results.get(key)
        if entry is None:
            return None
        until, changes, found = entry
        if changes != parts.changes or self._clock.monotonic() >= until:
            del parts.results[key]
            return None
        parts.cache_hits += 1
        parts.results.move_to_end(key)
        return found

    def _remember(self, parts: Parts, key: bytes, found: SearchResults) -> None:
        settings = self.settings.cache
        # an answer of half the sides must not outlive the fault
        if settings.enabled and found.degraded is None:
            parts.results[key] = (self._clock.monotonic() + settings.ttl, parts.changes, found)
            while len(parts.results) > settings.max_size:
                parts.results.popitem(last=False)

    async def search_many(
        self, queries: Sequence[SearchQuery | str], concurrency: int = 4
    ) -> list[SearchResults]:
        """Return the results of several queries, in order."""
        gate = asyncio.Semaphore(concurrency)

        async def one(query: SearchQuery | str) -> SearchResults:
            async with gate:
                return await self.search(query)

        return list(await asyncio.gather(*(one(each) for each in queries)))

    @at_home
    async def find_similar(
        self, document_id: str, limit: int = 10, *, filters: Tree | None = None
    ) -> list[SearchResult]:
        """Return the documents nearest to one, without itself, by their vectors.

        Raises:
            DocumentNotFound: It is not there.
            ConfigurationError: ``limit`` is not between 1 and 1000.
        """
        SearchQuery("", limit=limit)
        wanted = self._bound(Filter.parse(filters))
        parts = await self._ready()
        stored = await self._visible(parts, document_id)
        hits = await parts.sides.store.search(stored.vector, limit + 1, wanted)
        near = [(name, cosine) for name, cosine in hits if name != document_id][:limit]
        documents = await parts.sides.store.get([name for name, _ in near])
        found = Found([], dict(near), {}, {}, {})
        return [
            result(documents[name], (1 + cosine) / 2, found, highlight=False, language="")
            for name, cosine in near
            if name in documents
        ]

    async def _visible(self, parts: Parts, document_id: str) -> Stored:
        stored = (await parts.sides.store.get([check_id(document_id)])).get(document_id)
        if stored is None or not self._sees(stored):
            raise DocumentNotFound(f"no document {document_id!r}")
        return stored

    @at_home
    async def get(self, document_id: str) -> SearchDocument:
        """Return a document as it is indexed.

        Raises:
            DocumentNotFound: It is not there.
        """
        stored = await self._visible(await self._ready(), document_id)
        return SearchDocument(
            stored.id, stored.content, dict(stored.metadata), stored.vector.tolist()
        )

    @at_home
    async def count(self, filters: Tree | None = None) -> int:
        """Return how many documents pass ``filters``."""
        wanted = self._bound(Filter.parse(filters))
        return await (await self._ready()).sides.store.count(wanted)

    # -- figures -----------------------------------------------------------------------------

    @at_home
    async def get_stats(self) -> SearchStats:
        """Return the counters and the number of documents."""
        parts = await self._ready()
        vectors, recorder = parts.sides.vectors, parts.recorder
        return SearchStats(
            documents=await parts.sides.store.count(self._bound(None)),
            searches=recorder.searches,
            avg_latency=recorder.average(),
            cache_hit_rate=parts.cache_hits / parts.cache_asked if parts.cache_asked else 0.0,
            p95_latency=recorder.p95(),
            embedding_cache_hit_rate=vectors.found / vectors.asked if vectors.asked else 0.0,
        )

    @at_home
    async def analytics(self, limit: int = 10) -> Analytics:
        """Return what was searched most, found nothing, was slow and was clicked."""
        return self._parts.recorder.report(limit)

    @at_home
    async def record_click(self, query_id: str, doc_id: str) -> bool:
        """Note that a hit was opened; return whether the query is still known."""
        return self._parts.recorder.clicked(query_id, doc_id)

    async def evaluate(
        self,
        queries: Mapping[str, str],
        qrels: Judgements,
        k: int = 10,
        **kw: Unpack[QueryKeywords],
    ) -> Evaluation:
        """Measure the quality of the results against judgements.

        Args:
            queries: Texts by name.
            qrels: Relevance (over 0) by query and document.
            k: How many ranks count, 1 to 1000.
            kw: The fields of :class:`SearchQuery`, for example ``hybrid=False``.
        """
        runs = {}
        for name, text in queries.items():
            query = replace(query_of(text, kw), limit=k, highlight=False)
            runs[name] = [hit.id for hit in await self.search(query)]
        return measure(runs, qrels, k)


def query_of(query: SearchQuery | str, keywords: Mapping[str, Any]) -> SearchQuery:
    """Return the query of a call: an object, or text and keywords, never both."""
    if unknown := sorted(keywords.keys() - QUERY_NAMES):
        raise TypeError(f"unexpected keyword argument {unknown[0]!r}")
    if isinstance(query, SearchQuery):
        if keywords:
            raise TypeError(f"give a SearchQuery or keywords, not both: {sorted(keywords)}")
        return query
    return SearchQuery(query, **keywords)
