"""Documents and vectors in Qdrant (extra ``qdrant``): a server, a folder, or this process."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from .._common.extras import require
from .._common.urls import flag, query_of, redact
from ..errors import ConfigurationError, UnsupportedOperationError
from ..ports import Capabilities, Scored, Vector
from .address import base_of, check_key, parts_of
from .batches import batches, encoded
from .point_port import Point, Points, Row
from .point_store import PointStore
from .points import FIELDS, NOTHING, Json, type_of
from .qdrant_link import QdrantLink

_CONFLICT = 409
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_REQUEST, _NUMBER = 31 << 20, 24
"""Bytes of a request (``service.max_request_size_mb`` is 32), and of a number in it at most."""
VECTOR = "dense"
PAGE = 500
MOST_VALUES = 100_000
"""Distinct values of a field that are listed to decide what Qdrant cannot."""


class QdrantStore(PointStore):
    """An index that is a collection of Qdrant; one collection holds one index.

    A server searches by HNSW, which may miss a neighbour, or exactly with ``?index=none``. The
    local modes of the client search exactly, in Python: for tests and small data, in one process.
    What Qdrant cannot decide by itself ($contains, $prefix, the order of texts) is decided here for
    each distinct value of the field; over 100,000 of them it is an ``UnsupportedOperationError``.
    A batch of writes is not atomic on a server: over 31 MB it is several requests.
    """

    capabilities = Capabilities(
        durable=True, shared=True, filters=PointStore.capabilities.filters, atomic=False
    )

    def __init__(
        self, url: str, *, collection: str = "documents", api_key: str | None = None
    ) -> None:
        """Use ``qdrant://host:6333/collection?tls=on&index=hnsw``.

        Args:
            url: Of the server; ``qdrant:///folder`` and ``qdrant:////absolute`` are folders that
                one process has open, ``qdrant://`` is this process's memory. ``tls`` is on if there
                is an API key; ``index`` is ``hnsw`` or ``none``.
            collection: Its name, where the URL of a server names none.
            api_key: Of the server.

        Raises:
            ConfigurationError: A part is wrong.
        """
        parts = parts_of(url)
        folder = "" if parts.netloc else parts.path.removeprefix("/")
        named = parts.path.strip("/") if parts.netloc else ""
        self._check(parts.netloc, api_key, url, named or collection)
        options = query_of(url, allowed=frozenset({"tls", "index"} if parts.netloc else ()))
        if options.get("index", "hnsw") not in {"hnsw", "none"}:
            raise ConfigurationError(f"index must be hnsw or none, not {options['index']!r}")
        if parts.netloc:
            check_key(api_key or "", url)
            tls = flag(options, "tls", default=api_key is not None)
            target: dict[str, Any] = {
                "url": base_of(parts, tls=tls, port=6333),
                "api_key": api_key,
                "timeout": 30,
                "check_compatibility": False,  # it would be a request, and a warning
            }
        else:
            target = {"path": folder} if folder else {"location": ":memory:"}
            target["force_disable_check_same_thread"] = True  # one call at a time, from threads
            # one process has the folder open, or has it all
            own = replace(type(self).capabilities, shared=False, atomic=True, durable=bool(folder))
            self.capabilities = own  # type: ignore[misc]  # of this instance
        exact = options.get("index") == "none"
        name = named or collection
        super().__init__(_Collection(QdrantLink(target, name), name, exact=exact), redact(url))

    @staticmethod
    def _check(host: str, api_key: str | None, url: str, collection: str) -> None:
        if "@" in host:
            raise ConfigurationError(f"{redact(url)!r}: Qdrant knows no users, give an api_key")
        if not host and api_key is not None:
            raise ConfigurationError(
                "vector_db.api_key has no effect on a local Qdrant: leave it out"
            )
        if not _NAME.fullmatch(collection):
            raise ConfigurationError(
                "vector_db.collection must be letters, digits, '_', '.' and '-', at most 100, "
                f"not {collection[:60]!r}"
            )


class _Collection(Points):
    """One collection."""

    removes = bare = True

    def __init__(self, link: QdrantLink, name: str, *, exact: bool) -> None:
        self._link, self._name, self._exact = link, name, exact
        self.alone = link.alone
        self._indexed: set[str] = set()

    def open(self, dimension: int, *, create: bool) -> bool:
        with self._link.asked() as (client, models):
            if not client.collection_exists(self._name):
                if not create:
                    return False
                self._create(client, models, dimension)
            found = client.get_collection(self._name)
            vectors = found.config.params.vectors
            kind = vectors.get(VECTOR) if isinstance(vectors, dict) else None
            if kind is None:
                raise ConfigurationError(
                    f"{self._link.where} is no index of semsearch: use another collection"
                )
            self._indexed = set(found.payload_schema)
        self.make_fields(FIELDS)
        return True

    def _create(self, client: Any, models: Any, dimension: int) -> None:
        faults: Any = require("qdrant_client.http.exceptions", dist="semsearch", extra="qdrant")
        kind = models.VectorParams(size=dimension, distance=models.Distance.COSINE)
        try:
            client.create_collection(self._name, vectors_config={VECTOR: kind})
        except faults.UnexpectedResponse as exc:
            if exc.status_code != _CONFLICT:  # somebody else was faster
                raise

    def make_fields(self, fields: Iterable[str]) -> None:
        if self.alone:  # a local client reads everything, whatever it is told
            return
        with self._link.asked() as (client, _):
            for field in sorted(set(fields) - self._indexed):
                kind = FIELDS.get(field) or type_of(field)
                client.create_payload_index(self._name, field, field_schema=kind, wait=True)
                self._indexed.add(field)

    def put(self, points: Sequence[Point]) -> None:
        parts = [list(points)]
        if not self.alone:
            parts = batches(points, _sizes(points), "Qdrant", size=_REQUEST, most=_REQUEST)
        for part in parts:
            with self._link.asked() as (client, models):
                made = [
                    models.PointStruct(
                        id=each.id,
                        payload=each.payload,
                        vector={} if each.vector is None else {VECTOR: list(each.vector)},
                    )
                    for each in part
                ]
                client.upsert(self._name, made, wait=True)

    def _known(self, models: Any, client: Any, filter: Json) -> Any:
        """Return a filter of the client, without fields that no document has.

        They have no index, and servers in strict mode refuse filters without one.
        """
        if not self.alone and not _keys(filter) <= self._indexed:
            # another process may have written them first
            self._indexed |= set(client.get_collection(self._name).payload_schema)
            filter = _only(filter, self._indexed)
        return models.Filter.model_validate(filter)

    def fetch(self, ids: Sequence[str]) -> Sequence[Row]:
        with self._link.asked() as (client, _):
            found = client.retrieve(self._name, list(ids), with_payload=True, with_vectors=True)
            return [_row(each) for each in found]

    def scroll(self, filter: Json, fields: Sequence[str] | None) -> Sequence[Row]:
        rows: list[Row] = []
        with self._link.asked() as (client, models):
            wanted, offset = self._known(models, client, filter), None
            while True:
                found, offset = client.scroll(
                    self._name,
                    scroll_filter=wanted,
                    limit=PAGE,
                    offset=offset,
                    with_payload=True if fields is None else list(fields),
                    with_vectors=fields is None,
                )
                rows += [_row(each) for each in found]
                if offset is None:
                    return rows

    def nearest(self, vector: Vector, limit: int, filter: Json) -> Sequence[Scored]:
        with self._link.asked() as (client, models):
            exact = models.SearchParams(exact=True) if self._exact else None
            found = client.query_points(
                self._name,
                query=vector.tolist(),
                using=VECTOR,
                query_filter=self._known(models, client, filter) if filter else None,
                search_params=exact,
                limit=limit,
                with_payload=["id"],
            )
            return [(each.payload["id"], float(each.score)) for each in found.points]

    def count(self, filter: Json) -> int:
        with self._link.asked() as (client, models):
            wanted = self._known(models, client, filter)
            return int(client.count(self._name, count_filter=wanted, exact=True).count)

    def facet(self, field: str, filter: Json) -> Sequence[tuple[str, int]]:
        with self._link.asked() as (client, models):
            if not self.alone and field not in self._indexed:
                # another process may have written it first; what nobody wrote has no values
                self._indexed |= set(client.get_collection(self._name).payload_schema)
                if field not in self._indexed:
                    return []
            wanted = self._known(models, client, filter)
            found = client.facet(
                self._name, field, facet_filter=wanted, limit=MOST_VALUES + 1, exact=True
            )
        return listed(field, [(str(each.value), int(each.count)) for each in found.hits])

    def remove(self, filter: Json) -> None:
        with self._link.asked() as (client, models):
            chosen = models.FilterSelector(filter=self._known(models, client, filter))
            client.delete(self._name, chosen, wait=True)

    def close(self) -> None:
        self._link.close()

    def detach(self) -> None:
        self._link.detach()


def listed(field: str, values: Sequence[tuple[str, int]]) -> Sequence[tuple[str, int]]:
    """Return the values of a field if they are all.

    Raises:
        UnsupportedOperationError: There are more than can be listed.
    """
    if len(values) > MOST_VALUES:
        name = bytes.fromhex(field[2:]).decode("utf-8", "replace")
        raise UnsupportedOperationError(
            f"{name!r} has over {MOST_VALUES} values: too many for its facet, for $contains and "
            "$prefix, and for the order of texts"
        )
    return values


def _keys(node: Json) -> set[str]:
    """Return the fields that a condition looks at."""
    if "key" in node:
        return {node["key"]}
    return {key for parts in node.values() for part in parts for key in _keys(part)}


def _only(node: Json, fields: set[str]) -> Json:
    """Return a condition with nothing in place of those on other fields."""
    if "key" in node:
        return node if node["key"] in fields else NOTHING
    return {name: [_only(part, fields) for part in parts] for name, parts in node.items()}


def _sizes(points: Sequence[Point]) -> list[int]:
    """Return the bytes of points in a request, at most."""
    return [200 + encoded(p.payload)[1] + _NUMBER * len(p.vector or ()) for p in points]


def _row(record: Any) -> Row:
    vector = record.vector
    return record.payload, vector.get(VECTOR) if isinstance(vector, dict) else None
