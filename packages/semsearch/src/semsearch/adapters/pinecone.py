"""Documents and vectors in an index of Pinecone (extra ``hosted``)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from .._common.urls import flag, query_of, redact
from ..errors import BackendError, ConfigurationError, InvalidDocument
from ..filters import OPERATORS, Filter
from ..ports import Capabilities, Scored, Vector
from .address import base_of, parts_of
from .pinecone_link import PineconeLink
from .point_port import Point, Points, Row
from .point_store import PointStore
from .points import DOCUMENTS, Json, among
from .tokens import FACTS, TokenConditions, counted, pushed, tokenized, tokens_of

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,43}[a-z0-9])?")
_SPACE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_PAGE, _MOST = 1000, 10_000
_WITH_METADATA, _SAFE = 1000, 90
"""Hits whose metadata can be asked for, and those that are below 4 MB however long they are."""
_MOST_BYTES = 40_960
"""Metadata of a record, as Pinecone counts them."""
_ROOM = 30_000


class PineconeStore(PointStore):
    """A namespace of a serverless index; the index is made by the first call.

    Pinecone shows writes with a delay: a write returns when a query has seen it, by the sequence
    numbers that Pinecone sends for this. A document has to fit into the metadata of one record:
    30 kB of text and metadata are safe. ``$contains`` and ``$prefix`` are not to be had, nor is the
    order of texts: ``$gt`` and its like take numbers, and dates where no document has another text
    under the name. Counts, facets and selections read every record that passes. A batch is not
    atomic.
    """

    capabilities = Capabilities(
        durable=True,
        shared=True,
        filters=OPERATORS - {"$contains", "$prefix"},
        atomic=False,
        most_bytes=_ROOM,
    )

    def __init__(
        self, url: str, *, collection: str = "documents", api_key: str | None = None
    ) -> None:
        """Use ``pinecone://api.pinecone.io/index?namespace=talks&cloud=aws&region=us-east-1``.

        Args:
            url: Of the control plane, as which an emulator may stand (``?tls=off``); ``cloud`` and
                ``region`` are those of an index that is made.
            collection: The index, where the URL names none.
            api_key: Of the project.

        Raises:
            ConfigurationError: A part is wrong, or the key is missing.
        """
        parts = parts_of(url)
        options = query_of(url, allowed=frozenset({"tls", "namespace", "cloud", "region"}))
        name, space = parts.path.strip("/") or collection, options.get("namespace", "__default__")
        if "@" in parts.netloc or not parts.hostname:
            raise ConfigurationError(
                f"{redact(url)!r} must have a host, and no user: give an api_key"
            )
        if api_key is None:
            raise ConfigurationError("vector_db.api_key is missing: Pinecone needs one")
        if not _NAME.fullmatch(name) or not _SPACE.fullmatch(space):
            raise ConfigurationError(
                "an index of Pinecone is named by lower-case letters, digits and '-', at most 45, "
                f"a namespace also by '_' and '.', not {name[:60]!r} and {space[:60]!r}"
            )
        tls = flag(options, "tls", default=True)
        spec = {key: options.get(key, value) for key, value in _WHERE.items()}
        base = base_of(parts, tls=tls, port=None)
        link = PineconeLink(base, api_key, name, space, spec, tls=tls)
        super().__init__(_Index(link), redact(url))


_WHERE = {"cloud": "aws", "region": "us-east-1"}


class _Index(Points):
    """Points as records: what filters look at, and the rest as one text."""

    discards = True

    def __init__(self, link: PineconeLink) -> None:
        self._link = link
        self._dimension = 1

    def fields(self, metadata: Mapping[str, Any]) -> Json:
        return {FACTS: tokens_of(metadata, steps=True)}

    def compiled(self, wanted: Filter | None) -> Json:
        def there(token: str) -> bool:
            node = {"must": [DOCUMENTS, among(FACTS, [token])]}
            body = {"filter": _filter(pushed(node)), "limit": 1}
            with self._link.rest.reading():
                found = self._link.ask("/vectors/fetch_by_metadata", body).body
                return bool(found.get("vectors"))

        return TokenConditions("Pinecone", steps=True, parts=False, there=there).of(wanted)

    def open(self, dimension: int, *, create: bool) -> bool:
        self._dimension = dimension
        return self._link.open(dimension, create=create)

    def make_fields(self, fields: Iterable[str]) -> None:
        """All metadata can be filtered by."""

    def put(self, points: Sequence[Point]) -> None:
        records = [self._record(each) for each in points]
        with self._link.rest.reading():
            self._link.upsert(records)

    def discard(self, ids: Sequence[str]) -> None:
        with self._link.rest.reading():
            self._link.delete(ids)

    def _record(self, point: Point) -> Json:
        rest = dict(point.payload)
        made: Json = {FACTS: rest.pop(FACTS, None) or ["."]}  # a list must not be empty
        for name in ("kind", "writer", "seq"):
            if name in rest:
                made[name] = rest.pop(name)
        if "id" in rest:
            made["doc"] = rest["id"]
        made["payload"] = msgspec.json.encode(rest).decode()
        if len(msgspec.json.encode(made)) > _MOST_BYTES:
            raise InvalidDocument(
                f"document {str(rest.get('id'))[:60]!r} is over what a record of Pinecone holds: "
                f"{_ROOM} bytes of text and metadata are safe"
            )
        # records of ours that no search may find still need a vector
        vector = [1.0] + [0.0] * (self._dimension - 1) if point.vector is None else point.vector
        return {"id": point.id, "values": list(vector), "metadata": made}

    def fetch(self, ids: Sequence[str]) -> Sequence[Row]:
        with self._link.rest.reading():
            return [_row(each) for each in self._link.fetch(ids)]

    def scroll(self, filter: Json, fields: Sequence[str] | None) -> Sequence[Row]:
        rows: list[Row] = []
        body: Json = {"filter": _filter(pushed(tokenized(filter))), "limit": _PAGE}
        while True:
            found = self._link.ask("/vectors/fetch_by_metadata", body).body
            with self._link.rest.reading():
                rows += map(_row, (found.get("vectors") or {}).values())
                after = (found.get("pagination") or {}).get("next")
            if not after:
                return rows
            body["paginationToken"] = after

    def nearest(self, vector: Vector, limit: int, filter: Json) -> Sequence[Scored]:
        body: Json = {
            "vector": vector.tolist(), "topK": min(limit, _MOST), "includeValues": False,
            "filter": _filter(pushed(tokenized(filter))),
        }  # fmt: skip
        with self._link.rest.reading():
            if limit <= _WITH_METADATA:
                try:
                    found = self._matches({**body, "includeMetadata": True})
                    return [(each["metadata"]["doc"], _score(each)) for each in found]
                except BackendError as exc:
                    # long documents: an answer has 4 MB at most
                    if exc.retryable or limit <= _SAFE:
                        raise
            found = self._matches({**body, "includeMetadata": False})
            names = self._names([each["id"] for each in found])
            return [(names[each["id"]], _score(each)) for each in found if each["id"] in names]

    def _matches(self, body: Json) -> list[Json]:
        # fields that are empty or zero may be left out of an answer
        found: list[Json] | None = self._link.ask("/query", body).body.get("matches")
        return found or []

    def _names(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the ids of documents by those of records."""
        records = self._link.fetch(ids)
        return {
            each["id"]: each["metadata"]["doc"] for each in records if "doc" in each["metadata"]
        }

    def count(self, filter: Json) -> int:
        return len(self.scroll(filter, None))

    def facet(self, field: str, filter: Json) -> Sequence[tuple[str, int]]:
        raise NotImplementedError("values() reads all kinds at once")

    def values(self, code: str, filter: Json) -> Iterable[tuple[str, int]]:
        return counted(code, (row[FACTS] for row, _ in self.scroll(filter, None)))

    def close(self) -> None:
        self._link.close()


def _score(match: Json) -> float:
    return float(match.get("score", 0))


def _filter(node: Json) -> Json:
    """Return a condition, negations at its leaves, as Pinecone writes it."""
    for name, operator in (("must", "$and"), ("should", "$or")):
        if name in node:
            parts = [_filter(part) for part in node[name]]
            if not parts:  # everything, or nothing
                return {"kind": {"$nin" if name == "must" else "$in": ["-"]}}
            return parts[0] if len(parts) == 1 else {operator: parts}
    if "range" in node:
        [(way, number)] = node["range"].items()
        return {node["key"]: {f"${way}": number}}
    [(way, values)] = node["match"].items()
    return {node["key"]: {"$in" if way == "any" else "$nin": list(values) or ["-"]}}


def _row(found: Json) -> Row:
    fields = found["metadata"]
    payload: Json = msgspec.json.decode(fields["payload"])
    for name in ("kind", "writer", FACTS):
        if name in fields:
            payload[name] = fields[name]
    if "seq" in fields:
        payload["seq"] = int(fields["seq"])
    return payload, found["values"] if fields["kind"] == "document" else None
