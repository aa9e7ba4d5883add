"""Documents and vectors in an index of Pinecone (extra ``hosted``)."""

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from .._common.urls import flag, query_of, redact
from ..errors import BackendError, ConfigurationError, InvalidDocument
from ..filters import OPERATORS, Filter
from ..ports import Capabilities, Scored, Vector
from .point_port import Point, Points, Row
from .point_store import PointStore
from .points import DOCUMENTS, Json, among
from .rest import Rest
from .tokens import FACTS, TokenConditions, counted, pushed, tokenized, tokens_of

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,43}[a-z0-9])?")
_SPACE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_VERSION = "2025-10"
_BATCH, _PAGE, _MOST = 100, 1000, 10_000
_MOST_BYTES = 40_960
"""Metadata of a record, as Pinecone counts them."""
_ROOM = 30_000
_WRITTEN, _SEEN = "x-pinecone-request-lsn", "x-pinecone-max-indexed-lsn"


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
        parts = urlsplit(url)
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
        host = parts.hostname if parts.port is None else f"{parts.hostname}:{parts.port}"
        spec = {key: options.get(key, value) for key, value in _WHERE.items()}
        target = _Target(f"{'https' if tls else 'http'}://{host}", api_key, name, spec, tls=tls)
        super().__init__(_Index(target, space), redact(url))


_WHERE = {"cloud": "aws", "region": "us-east-1"}


class _Target:
    """An index, by its name: where its data are is asked of the control plane."""

    def __init__(
        self, base: str, api_key: str, name: str, spec: Mapping[str, str], *, tls: bool
    ) -> None:
        self._headers = {"api-key": api_key, "x-pinecone-api-version": _VERSION}
        self.control = Rest(base, self._headers, reason=_reason)
        self._name, self._spec, self._tls = name, dict(spec), tls
        self.sleep: Callable[[float], None] = time.sleep
        self.data: Rest | None = None

    def found(self, dimension: int, *, create: bool) -> bool:
        """Return whether the index is there and ready, made if it may be."""
        path = f"/indexes/{self._name}"
        there = self.control.ask("GET", path, well=frozenset({404}))
        if there.status == 404:
            if not create:
                return False
            body = {
                "name": self._name, "dimension": dimension, "metric": "cosine",
                "spec": {"serverless": self._spec}, "tags": {"made_by": "semsearch"},
            }  # fmt: skip
            # 409: somebody else was faster
            self.control.ask("POST", "/indexes", body, well=frozenset({409}))
        for _ in range(120):
            there = self.control.ask("GET", path)
            if (there.body.get("status") or {}).get("ready"):
                break
            self.sleep(0.5)
        else:
            raise BackendError(f"{self.control.url}: the index is not ready yet", retryable=True)
        if (there.body["dimension"], there.body["metric"]) != (dimension, "cosine"):
            raise ConfigurationError(
                f"the index {self._name!r} of Pinecone has {there.body['dimension']} dimensions, "
                f"metric {there.body['metric']!r}, not {dimension} and 'cosine': use another model "
                "or another index"
            )
        host = str(there.body["host"])
        base = host if "://" in host else f"{'https' if self._tls else 'http'}://{host}"
        self.data = Rest(base, self._headers, reason=_reason)
        return True


class _Index(Points):
    """Points as records: what filters look at, and the rest as one text."""

    discards = True

    def __init__(self, target: _Target, space: str) -> None:
        self._target, self._space = target, space
        self._dimension = 1

    def _ask(self, path: str, body: Json) -> Any:
        assert self._target.data is not None  # open() was called
        return self._target.data.ask("POST", path, {**body, "namespace": self._space})

    def fields(self, metadata: Mapping[str, Any]) -> Json:
        return {FACTS: tokens_of(metadata, steps=True)}

    def compiled(self, wanted: Filter | None) -> Json:
        def there(token: str) -> bool:
            node = {"must": [DOCUMENTS, among(FACTS, [token])]}
            body = {"filter": _filter(pushed(node)), "limit": 1}
            return bool(self._ask("/vectors/fetch_by_metadata", body).body.get("vectors"))

        return TokenConditions("Pinecone", steps=True, parts=False, there=there).of(wanted)

    def open(self, dimension: int, *, create: bool) -> bool:
        self._dimension = dimension
        return self._target.found(dimension, create=create)

    def make_fields(self, fields: Iterable[str]) -> None:
        """All metadata can be filtered by."""

    def put(self, points: Sequence[Point]) -> None:
        records = [self._record(each) for each in points]
        written = 0
        for start in range(0, len(records), _BATCH):
            answer = self._ask("/vectors/upsert", {"vectors": records[start : start + _BATCH]})
            written = max(written, int(answer.headers.get(_WRITTEN, 0)))
        self._seen(written)

    def discard(self, ids: Sequence[str]) -> None:
        written = 0
        for start in range(0, len(ids), _PAGE):
            answer = self._ask("/vectors/delete", {"ids": list(ids[start : start + _PAGE])})
            written = max(written, int(answer.headers.get(_WRITTEN, 0)))
        self._seen(written)

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

    def _seen(self, written: int) -> None:
        """Wait until queries see a write."""
        probe: Json = {"vector": [1.0] + [0.0] * (self._dimension - 1), "topK": 1}
        pause = 0.02
        for _ in range(60):
            answer = self._ask("/query", probe)
            if _SEEN not in answer.headers or int(answer.headers[_SEEN]) >= written:
                return
            self._target.sleep(pause)
            pause = min(1.0, pause * 1.5)
        raise BackendError("a write is not visible yet: it is there, and will be", retryable=True)

    def fetch(self, ids: Sequence[str]) -> Sequence[Row]:
        assert self._target.data is not None  # open() was called
        rows: list[Row] = []
        for start in range(0, len(ids), _BATCH):
            pairs = [("ids", each) for each in ids[start : start + _BATCH]]
            query = urlencode([*pairs, ("namespace", self._space)])
            body = self._target.data.ask("GET", f"/vectors/fetch?{query}").body
            rows += map(_row, (body.get("vectors") or {}).values())
        return rows

    def scroll(self, filter: Json, fields: Sequence[str] | None) -> Sequence[Row]:
        rows: list[Row] = []
        body: Json = {"filter": _filter(pushed(tokenized(filter))), "limit": _PAGE}
        while True:
            found = self._ask("/vectors/fetch_by_metadata", body).body
            rows += map(_row, (found.get("vectors") or {}).values())
            after = (found.get("pagination") or {}).get("next")
            if not after:
                return rows
            body["paginationToken"] = after

    def nearest(self, vector: Vector, limit: int, filter: Json) -> Sequence[Scored]:
        body = {
            "vector": vector.tolist(), "topK": min(limit, _MOST), "includeMetadata": limit <= 1000,
            "includeValues": False, "filter": _filter(pushed(tokenized(filter))),
        }  # fmt: skip
        # fields that are empty or zero may be left out of an answer
        found = self._ask("/query", body).body.get("matches") or []
        if limit <= 1000:
            return [(each["metadata"]["doc"], float(each.get("score", 0))) for each in found]
        names = self._names([each["id"] for each in found])
        there = [each for each in found if each["id"] in names]
        return [(names[each["id"]], float(each.get("score", 0))) for each in there]

    def _names(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the ids of documents by those of records: answers with metadata are limited."""
        from .point_store import point_id

        rows = self.fetch(ids)
        return {point_id("document", row["id"]): row["id"] for row, _ in rows if "id" in row}

    def count(self, filter: Json) -> int:
        return len(self.scroll(filter, None))

    def facet(self, field: str, filter: Json) -> Sequence[tuple[str, int]]:
        raise NotImplementedError("values() reads all kinds at once")

    def values(self, code: str, filter: Json) -> Iterable[tuple[str, int]]:
        return counted(code, (row[FACTS] for row, _ in self.scroll(filter, None)))

    def close(self) -> None:
        self._target.control.close()
        if self._target.data is not None:
            self._target.data.close()


def _reason(found: Any) -> str:
    error = found.get("error")
    return str(error["code"]) if isinstance(error, dict) else f"code {int(found['code'])}"


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
