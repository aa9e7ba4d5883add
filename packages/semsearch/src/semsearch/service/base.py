"""What all parts of the service stand on: its adapters, the tenant filter, opening and closing."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from msgspec.structs import replace

from .._common.clock import Clock, NewId, SystemClock, new_id
from .._common.lifecycle import Adapter, Service, part
from ..analytics import Recorder
from ..asking import Sides
from ..errors import BackendError, DocumentNotFound, InvalidFilter
from ..filters import Filter
from ..indexing import check_id
from ..ports import (
    Embedder,
    EmbeddingCache,
    KeywordIndex,
    QueryExpander,
    Reranker,
    Stored,
    VectorStore,
)
from ..registry import (
    chunked,
    embedder_from,
    embedding_cache_from,
    feedback_expander,
    keyword_index,
    store_from,
)
from ..settings import Settings
from ..text.chunks import Chunker
from ..vectors import Vectors
from .calls import Calls
from .catching_up import CatchUp
from .result_cache import ResultCache

logger = logging.getLogger(__name__)
_BY_HASHING = (
    "no embedder is named: vectors are made of parts of words (hashing) and know no meanings; give "
    "embedder= or set embeddings.provider, to hashing if that is meant"
)

Tree = Mapping[str, Any] | Filter
"""A filter as users write it, or parsed already."""


@dataclass(slots=True)
class Parts:
    """What a configured search consists of.

    Attributes:
        sides: Replaced as a whole by another model's; a call uses those that it began with.
        catch_up: What every call begins with.
        cache: Of results.
        chunker: Cuts long documents into parts; None for no parts.
        recorder: Of figures.
        calls: Those that are running.
        writes: Held by each write, and while another model takes over.
        retired: What was in use before, closed with the rest: calls may still use it.
    """

    sides: Sides
    catch_up: CatchUp
    cache: ResultCache
    chunker: Chunker | None
    recorder: Recorder = field(default_factory=Recorder)
    calls: Calls = field(default_factory=Calls)
    writes: asyncio.Lock = field(default_factory=asyncio.Lock)
    retired: list[Adapter] = field(default_factory=list)


class ServiceBase(Service[Settings, Parts]):
    """Construction, configuration, and the frame of every call."""

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
        embedding_cache: EmbeddingCache | None = None,
        chunker: Chunker | None = None,
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
            embedding_cache: Where vectors are kept beside the last 10,000 in memory: any object
                with ``get`` and ``set``; in place of the one that the settings name.
            chunker: Cuts long documents into parts; as the settings say if None.
            tenant: A filter that every call is bound to, and that no caller can remove; documents
                indexed through this service must pass it.
            clock: Measures latencies and the cache's ttl.
            new_id: Makes the ids of queries.

        Raises:
            InvalidFilter: ``tenant`` is wrong, or has no condition.
            ConfigurationError: What was given is no such part.
        """
        super().__init__(settings)
        self._store = part("store", store, VectorStore)
        self._keywords = part("keywords", keywords, KeywordIndex)
        self._embedder = part("embedder", embedder, Embedder)
        self._reranker = part("reranker", reranker, Reranker)
        self._expander = part("expander", expander, QueryExpander)
        self._embedding_cache = embedding_cache
        self._chunker = part("chunker", chunker, Chunker)
        self._tenant = Filter.parse(tenant)
        if tenant is not None and self._tenant is None:
            raise InvalidFilter("the tenant filter is empty: it would hide nothing from anybody")
        self._clock, self._new_id = clock or SystemClock(), new_id

    @classmethod
    def from_url(cls, url: str, *, keyword: str | None = None, **kwargs: Any) -> Self:
        """Return a search on ``memory://`` or ``sqlite:///search.db``; see the constructor.

        Args:
            url: Of the store.
            keyword: The keyword index, as in ``SearchSettings.keyword``; the embedded one if None.
            kwargs: The constructor's.

        Raises:
            ConfigurationError: The URL has no scheme.
        """
        settings = Settings.from_url(url)
        if keyword is not None:
            search = replace(settings.search, keyword=keyword)
            settings = replace(settings, search=search)
        return cls(settings, **kwargs)

    def _is_volatile(self) -> bool:
        return self._store is None

    def _build(self, settings: Settings) -> Parts:
        language = settings.search.language
        embedder = self._embedder or embedder_from(settings.embeddings, language)
        if self._embedder is None and settings.embeddings.provider is None:
            logger.warning(_BY_HASHING)
        cache = self._embedding_cache
        if cache is None:  # an empty one may count as false
            cache = embedding_cache_from(settings.embeddings)
        store = chunked(self._store or store_from(settings))
        keywords = self._keywords or keyword_index(settings.search)
        if (place := store.place_for_words()) is not None:
            keywords.keep_in(place)
        sides = Sides(
            store=store,
            keywords=keywords,
            vectors=Vectors(embedder, settings.embeddings.batch_size, cache=cache),
            expander=self._expander or feedback_expander(),
            reranker=self._reranker,
            settings=settings.search,
        )
        catch_up = CatchUp(sides, create=settings.indexing.auto_index, clock=self._clock)
        chunker, size = self._chunker, settings.indexing.chunk_size
        if chunker is None and size:
            chunker = Chunker(size, settings.indexing.chunk_overlap)
        return Parts(sides, catch_up, ResultCache(settings.cache, self._clock), chunker)

    def _adapters(self, parts: Parts) -> Iterable[Adapter]:
        sides = parts.sides
        used: list[Adapter] = [sides.keywords, sides.store, sides.vectors, sides.expander]
        return [*used, *([] if sides.reranker is None else [sides.reranker]), *parts.retired]

    def _moved(self) -> None:
        super()._moved()
        if (parts := self._built) is not None:
            parts.catch_up.detach()
            parts.calls, parts.writes = Calls(), asyncio.Lock()

    async def _closing(self) -> None:
        parts = self._parts
        await parts.calls.ended()
        await parts.catch_up.aclose()

    @contextlib.asynccontextmanager
    async def _ready(self, *, reading: bool = False) -> AsyncGenerator[Parts, None]:
        """Lend the parts for a call: the index open, both sides caught up, no closing meanwhile.

        Args:
            reading: The keyword side may be behind.
        """
        parts = self._parts
        if parts.calls.closing:
            raise BackendError("the search is being closed", retryable=True)
        with parts.calls.one():
            await (parts.catch_up.reading() if reading else parts.catch_up())
            yield parts

    def _sees(self, document: Stored) -> bool:
        return self._tenant is None or self._tenant.matches(document.metadata)

    def _bound(self, wanted: Filter | None) -> Filter | None:
        return wanted if self._tenant is None else self._tenant.both(wanted)

    async def _visible(self, sides: Sides, document_id: str) -> Stored:
        stored = (await sides.store.get([check_id(document_id)])).get(document_id)
        if stored is None or not self._sees(stored):
            raise DocumentNotFound(f"no document {document_id!r}")
        return stored
