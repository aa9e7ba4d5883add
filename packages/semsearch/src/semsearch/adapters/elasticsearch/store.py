"""Documents and vectors in an index of Elasticsearch."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...errors import ConfigurationError, UnsupportedOperationError
from ...filters import OPERATORS, Filter
from ...ports import Capabilities, Scored, Vector
from ..point_port import Point, Points, Row
from ..point_store import PointStore
from ..points import Json
from ..tokens import FACTS, TokenConditions, hexadecimal, tokenized, tokens_of
from .server import MOST, Server, rendered

_MOST_VALUES = 50_000
_MOST_DIMENSIONS = 4096
_LONGEST_PATTERN = 1000
"""``index.max_regex_length``."""
_CANDIDATES = 200


class ElasticsearchStore(PointStore):
    """An index of Elasticsearch 8.12 or newer; it is made by the first call, and holds one index.

    ``?index=hnsw`` (the default) may miss a neighbour, ``?index=none`` reads every vector that
    passes the filter. A batch of writes is not atomic: when some documents of it are refused, the
    others are there, and writing the batch again makes it whole.
    """

    capabilities = Capabilities(durable=True, shared=True, filters=OPERATORS, atomic=False)

    def __init__(
        self, url: str, *, collection: str = "documents", api_key: str | None = None
    ) -> None:
        """Use ``elasticsearch://user:password@host:9200/index?tls=on&index=hnsw&shards=1``.

        Args:
            url: Of the server. ``tls`` is on if there is a user or an API key; ``index`` is
                ``hnsw`` or ``none``; ``shards`` are those of an index that is made.
            collection: The index, where the URL names none.
            api_key: Base64, as Elasticsearch gives it; in place of user and password.

        Raises:
            ConfigurationError: A part is wrong.
        """
        server = Server(url, collection, api_key, frozenset({"index"}))
        kind = server.options.get("index", "hnsw")
        if kind not in {"hnsw", "none"}:
            raise ConfigurationError(f"index must be hnsw or none, not {kind[:60]!r}")
        super().__init__(_Index(server, exact=kind == "none"), server.where)


class _Index(Points):
    """Points as documents: what filters look at, and the rest as it was given."""

    removes = True

    def __init__(self, server: Server, *, exact: bool) -> None:
        self._server, self._exact = server, exact

    def fields(self, metadata: Mapping[str, Any]) -> Json:
        return {FACTS: tokens_of(metadata, steps=False)}

    def compiled(self, wanted: Filter | None) -> Json:
        return TokenConditions("Elasticsearch").of(wanted)

    def open(self, dimension: int, *, create: bool) -> bool:
        if dimension > _MOST_DIMENSIONS:
            raise ConfigurationError(
                f"Elasticsearch takes up to {_MOST_DIMENSIONS} dimensions, not {dimension}"
            )
        if not self._server.is_there():
            if not create:
                return False
            self._server.create(self._properties(dimension))
        if "vector" not in self._server.check():
            raise ConfigurationError(
                f"{self._server.where} is an index of words alone: use another one"
            )
        return True

    def _properties(self, dimension: int) -> Json:
        word, plain = {"type": "keyword"}, {"type": "keyword", "index": False, "doc_values": False}
        vector: Json = {"type": "dense_vector", "dims": dimension, "index": not self._exact}
        if not self._exact:  # newer servers would round them to bytes
            vector |= {"similarity": "cosine", "index_options": {"type": "hnsw"}}
        return {
            "point": word, "kind": word, "writer": word, "seq": {"type": "long"}, "id": word,
            FACTS: word, "digest": plain, "model": plain, "index": plain,
            "dimension": {"type": "integer", "index": False},
            "epoch": {"type": "integer", "index": False},
            # not searched here: kept as they are, however long
            "content": {"type": "object", "enabled": False},
            "metadata": {"type": "object", "enabled": False},
            "vector": vector,
        }  # fmt: skip

    def make_fields(self, fields: Iterable[str]) -> None:
        """The mapping has them all."""

    def put(self, points: Sequence[Point]) -> None:
        made = []
        for each in points:
            body = {"point": each.id, **each.payload}
            for name in ("content", "metadata"):
                if name in body:
                    body[name] = {"text": body[name]}
            made.append((each.id, body if each.vector is None else {**body, "vector": each.vector}))
        self._server.write(made)

    def fetch(self, ids: Sequence[str]) -> Sequence[Row]:
        with self._server.rest.reading():
            return [self._whole(_row(each)) for each in self._server.many(ids)]

    def scroll(self, filter: Json, fields: Sequence[str] | None) -> Sequence[Row]:
        source = True if fields is None else {"includes": list(fields)}
        found = self._server.everything(rendered(tokenized(filter)), source, "point")
        with self._server.rest.reading():
            rows = (_row(each["_source"]) for each in found)
            return [self._whole(row) if fields is None else row for row in rows]

    def _whole(self, row: Row) -> Row:
        if row[0]["kind"] == "document" and row[1] is None:
            raise ConfigurationError(
                f"{self._server.where} gives documents without their vectors: it was made by an "
                "earlier release on Elasticsearch 9.2 or newer; make another index"
            )
        return row

    def nearest(self, vector: Vector, limit: int, filter: Json) -> Sequence[Scored]:
        size, passing = min(limit, MOST), rendered(tokenized(filter))
        body: Json = {"size": size, "_source": False, "docvalue_fields": [{"field": "id"}]}
        values = vector.tolist()
        if self._exact:
            source = "cosineSimilarity(params.vector, 'vector') + 1.0"
            script = {"source": source, "params": {"vector": values}}
            body["query"] = {"script_score": {"query": passing, "script": script}}
        else:
            body["knn"] = {
                "field": "vector", "query_vector": values, "k": size, "filter": passing,
                "num_candidates": min(MOST, max(2 * size, _CANDIDATES)),
            }  # fmt: skip
        found = self._server.search(body)
        # scores are 1 + cosine, or half of that
        factor = 1.0 if self._exact else 2.0
        with self._server.rest.reading():
            hits = found["hits"]["hits"]
            return [(each["fields"]["id"][0], factor * float(each["_score"]) - 1) for each in hits]

    def count(self, filter: Json) -> int:
        return self._server.count(rendered(tokenized(filter)))

    def facet(self, field: str, filter: Json) -> Sequence[tuple[str, int]]:
        pattern = rf"{field}\..*"
        if len(pattern) > _LONGEST_PATTERN:
            name = bytes.fromhex(field[2:]).decode("utf-8", "replace")
            raise UnsupportedOperationError(
                f"{name[:60]!r}… is too long a name for a facet of Elasticsearch: it takes "
                f"{(_LONGEST_PATTERN - 6) // 2} bytes"
            )
        counted: Json = {"field": FACTS, "include": pattern, "size": _MOST_VALUES + 1}
        found = self._server.search(
            {
                "size": 0,
                "query": rendered(tokenized(filter)),
                "aggs": {"values": {"terms": counted}},
            }
        )
        with self._server.rest.reading():
            values = found["aggregations"]["values"]["buckets"]
            buckets = [(str(each["key"]), int(each["doc_count"])) for each in values]
        if len(buckets) > _MOST_VALUES:
            name = bytes.fromhex(field[2:]).decode("utf-8", "replace")
            raise UnsupportedOperationError(
                f"{name!r} has over {_MOST_VALUES} values: too many for its facet"
            )
        return [(_code(field, key), count) for key, count in buckets]

    def remove(self, filter: Json) -> None:
        self._server.remove(rendered(tokenized(filter)))

    def close(self) -> None:
        self._server.rest.close()


def _code(field: str, key: str) -> str:
    value = key.partition(".")[2]
    return value if field[0] == "x" else f"s{hexadecimal(value)}"


def _row(source: Json) -> Row:
    for name in ("content", "metadata"):
        if name in source:
            source[name] = source[name]["text"]
    return source, source.pop("vector", None)
