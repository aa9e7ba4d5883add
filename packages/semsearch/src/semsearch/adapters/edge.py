"""Documents and vectors in a folder, with an HNSW index in this process (extra ``edge``).

qdrant-edge is the engine of Qdrant without its server.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import Any

from .._common.extras import require
from .._common.urls import file_path, flag, query_of, redact
from ..errors import BackendError, ConfigurationError
from ..ports import Scored, Vector
from .edge_forms import check_room, filter_of, row_of
from .edge_index import build
from .point_port import Point, Points, Row
from .point_store import PointStore
from .points import FIELDS, Json, type_of
from .qdrant import MOST_VALUES, PAGE, VECTOR, listed

_LEAST_INDEXED = 10_000
_SETTLED = 0.1
"""The share of documents without an HNSW index that is left after many writes."""
_EF = 128
_SPARE = 2.0
"""How many candidates by bytes are compared again by their vectors, for each hit."""
_SEGMENT = 4_000_000
"""Kilobytes of vectors up to which there is one graph: each further one is a search more."""
_QUICK, _FEW = 0.002, 500
"""Seconds of a search, and its hits, up to which the next one is made on the event loop."""
_inherited: list[Any] = []
"""What a fork brought along: never used, and never closed, for closing writes to the folder."""


class EdgeStore(PointStore):
    """An index in a folder that one process has open: for over 100,000 documents.

    Small indexes are searched exactly. Whenever 10,000 documents, and as many as the HNSW index
    has, are new, or a tenth of them after a call of ``index_batch``, the write that brings the last
    of them builds the index, which may take a minute or more; it may miss a neighbour.
    ``?exact=on`` searches exactly always. It is built by a process of its own, for the engine would
    hold up this one: meanwhile searches wait, and the event loop does not.
    """

    def __init__(
        self, url: str, *, collection: str = "documents", api_key: str | None = None
    ) -> None:
        """Use ``edge:///relative/folder?exact=off`` or ``edge:////absolute/folder``.

        Args:
            url: Of the folder, which is made.
            collection: Refused: the folder is the index.
            api_key: Refused.

        Raises:
            ConfigurationError: A part is wrong.
        """
        for name, value, usual in (
            ("collection", collection, "documents"),
            ("api_key", api_key, None),
        ):
            if value != usual:
                raise ConfigurationError(f"vector_db.{name} has no effect on 'edge': leave it out")
        options = query_of(url, allowed=frozenset({"exact"}))
        exact = flag(options, "exact", default=False)
        self._folder = Path(file_path(url))
        self._shard = _Shard(self._folder, exact=exact)
        super().__init__(self._shard, redact(url))

    async def settle(self) -> None:
        def work() -> None:
            with self._writing:
                self._shard.settle()

        await self._on_index(work)

    def place_for_words(self) -> str | None:
        return f"{self._folder}-words"  # within, it would be in the engine's way


class _Shard(Points):
    """The engine, opened by the first call."""

    removes = bare = True

    def __init__(
        self, folder: Path, *, exact: bool, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._folder, self._exact, self._clock = folder, exact, clock
        self._took = _QUICK
        self._shard: Any = None
        self._opening = threading.Lock()
        self._turn = threading.Condition()
        self._users, self._is_away, self._tried = 0, False, 0
        self._indexed: set[str] = set()

    @contextlib.contextmanager
    def _asked(self) -> Generator[tuple[Any, Any], None, None]:
        """Lend engine and library; what it raises, ``Exception``, becomes ``BackendError``."""
        library: Any = require("qdrant_edge", dist="semsearch", extra="edge")
        turn = self._turn
        with turn:
            turn.wait_for(lambda: not self._is_away)
            self._users += 1
        try:
            yield self._loaded(library), library
        except (BackendError, ConfigurationError):
            raise
        except Exception as exc:
            raise BackendError(f"{self._folder}: {str(exc)[:300]}") from exc
        finally:
            with turn:
                self._users -= 1
                turn.notify_all()

    def _loaded(self, library: Any) -> Any:
        with self._opening:
            if self._shard is None:
                try:
                    self._shard = library.EdgeShard.load(str(self._folder))
                except Exception as exc:
                    if "WouldBlock" not in str(exc):
                        raise
                    raise BackendError(
                        f"{self._folder} is open elsewhere: one process at a time can use an "
                        "'edge' index; several share sqlite:// or a server",
                        retryable=True,
                    ) from exc
            return self._shard

    def open(self, dimension: int, *, create: bool) -> bool:
        if not self._is_there():
            if not create:
                return False
            self._create(dimension)
        with self._asked() as (shard, _):
            self._indexed = set(shard.info().payload_schema)
        self.make_fields(FIELDS)
        return True

    def _is_there(self) -> bool:
        return self._shard is not None or (self._folder / "edge_config.json").exists()

    def _create(self, dimension: int) -> None:
        library: Any = require("qdrant_edge", dist="semsearch", extra="edge")
        check_room(self._folder)
        # the graph is built and searched by a byte for each number: a quarter of the memory to read
        small = library.ScalarQuantizationConfig(library.ScalarType.Int8, quantile=0.99)
        kind = library.EdgeVectorParams(
            size=dimension, distance=library.Distance.Cosine, quantization_config=small
        )
        merging = library.EdgeOptimizersConfig(default_segment_number=1, max_segment_size=_SEGMENT)
        config = library.EdgeConfig(vectors={VECTOR: kind}, optimizers=merging)
        try:
            self._shard = library.EdgeShard.create(str(self._folder), config)
        except Exception as exc:
            raise BackendError(f"{self._folder}: {str(exc)[:300]}") from exc

    def make_fields(self, fields: Iterable[str]) -> None:
        with self._asked() as (shard, library):
            for field in sorted(set(fields) - self._indexed):
                kind = (FIELDS.get(field) or type_of(field)).capitalize()
                schema = getattr(library.PayloadSchemaType, kind)
                shard.update(library.UpdateOperation.create_field_index(field, schema))
                self._indexed.add(field)

    def put(self, points: Sequence[Point]) -> None:
        check_room(self._folder)
        with self._asked() as (shard, library):
            made = [
                library.Point(
                    each.id,
                    {} if each.vector is None else {VECTOR: list(each.vector)},
                    each.payload,
                )
                for each in points
            ]
            shard.update(library.UpdateOperation.upsert_points(made))
        self._index(1.0)

    def settle(self) -> None:
        """Index what writes left, if it is much."""
        self._index(_SETTLED)

    def _index(self, share: float) -> None:
        """Build the index if so many are not in it: 10,000, and this share of those that are."""
        indexed, left = self._counts()
        if self._exact or left < self._tried + max(_LEAST_INDEXED, indexed * share):
            return
        with self._turn:
            self._turn.wait_for(lambda: not self._is_away and self._users == 0)
            self._is_away = True
        try:
            self.close()
            build(self._folder)
        finally:
            with self._turn:
                self._is_away = False
                self._turn.notify_all()
        # the engine indexes no segments below 10 MB: those are not tried again at every write
        self._tried = self._counts()[1]

    def _counts(self) -> tuple[int, int]:
        """Return how many points the index has, and how many others there are."""
        with self._asked() as (shard, _):
            info = shard.info()
            return info.indexed_vectors_count, info.points_count - info.indexed_vectors_count

    def fetch(self, ids: Sequence[str]) -> Sequence[Row]:
        with self._asked() as (shard, _):
            return [row_of(each) for each in shard.retrieve(list(ids), True, True)]

    def scroll(self, filter: Json, fields: Sequence[str] | None) -> Sequence[Row]:
        rows: list[Row] = []
        with self._asked() as (shard, library):
            wanted, offset = filter_of(library, filter), None
            while True:
                found, offset = shard.scroll(
                    library.ScrollRequest(
                        offset=offset,
                        limit=PAGE,
                        filter=wanted,
                        with_payload=True if fields is None else list(fields),
                        with_vector=fields is None,
                    )
                )
                rows += [row_of(each) for each in found]
                if offset is None:
                    return rows

    def nearest(self, vector: Vector, limit: int, filter: Json) -> Sequence[Scored]:
        with self._asked() as (shard, library):
            request = library.QueryRequest(
                limit=limit,
                query=library.Query.Nearest(vector.tolist(), using=VECTOR),
                filter=filter_of(library, filter) if filter else None,
                params=library.SearchParams(
                    hnsw_ef=max(_EF, limit),
                    exact=self._exact,
                    # what is found is ordered by the vectors themselves: scores are exact
                    quantization=library.QuantizationSearchParams(
                        ignore=self._exact, rescore=True, oversampling=_SPARE
                    ),
                ),
                with_payload=["id"],
            )
            begun = self._clock()
            found = shard.query(request)
            took = self._clock() - begun
            if not filter:
                self._took = took
            return [(each.payload["id"], float(each.score)) for each in found]

    def is_quick(self, limit: int) -> bool:
        # a thread takes as long as a search; the first one after opening reads the disk in one
        return limit <= _FEW and self._took < _QUICK and self._shard is not None

    def count(self, filter: Json) -> int:
        with self._asked() as (shard, library):
            wanted = filter_of(library, filter)
            return int(shard.count(library.CountRequest(filter=wanted, exact=True)))

    def facet(self, field: str, filter: Json) -> Sequence[tuple[str, int]]:
        if field not in self._indexed:
            return []
        with self._asked() as (shard, library):
            request = library.FacetRequest(
                field, limit=MOST_VALUES + 1, exact=True, filter=filter_of(library, filter)
            )
            found = shard.facet(request).hits
        return listed(field, [(str(each.value), int(each.count)) for each in found])

    def remove(self, filter: Json) -> None:
        with self._asked() as (shard, library):
            wanted = filter_of(library, filter)
            shard.update(library.UpdateOperation.delete_points_by_filter(wanted))

    def close(self) -> None:
        with self._opening:
            if self._shard is not None:
                shard, self._shard = self._shard, None
                shard.close()
                self._took = _QUICK

    def detach(self) -> None:
        _inherited.append(self._shard)
        self._took = _QUICK
        self._shard, self._opening = None, threading.Lock()
        self._turn, self._users, self._is_away = threading.Condition(), 0, False
