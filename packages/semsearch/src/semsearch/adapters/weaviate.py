"""Documents and vectors in a collection of Weaviate (extra ``hosted``)."""

import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from .._common.urls import flag, query_of, redact
from ..errors import BackendError, ConfigurationError
from ..filters import OPERATORS, Filter
from ..ports import Capabilities, Scored, Vector
from .address import base_of, parts_of
from .batches import batches, encoded
from .point_port import Point, Points, Row
from .point_store import PointStore
from .points import DOCUMENTS, Json, among
from .rest import Rest
from .tokens import FACTS, TokenConditions, counted, evaluates, tokenized, tokens_of
from .weaviate_query import Word, literal, where_of

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
_BATCH, _PAGE, _LOOKS = 100, 500, 60
_MOST = 10_000
"""``QUERY_MAXIMUM_RESULTS``: no query gives more; what finds more is read from end to end."""
_MADE_BY = "documents of semsearch, format 1"
_WORDS = ("kind", "writer", "doc")


class WeaviateStore(PointStore):
    """A collection of Weaviate 1.33 or newer, asked by GraphQL; it is made by the first call.

    ``?index=hnsw`` (the default) may miss a neighbour, ``?index=none`` compares every vector. The
    order of texts is not to be had: ``$gt`` and its like take numbers, and dates where no document
    has another text under the name; else they are ``UnsupportedOperationError``. Facets read the
    tokens of every document that passes. A batch of writes is not atomic.
    """

    capabilities = Capabilities(durable=True, shared=True, filters=OPERATORS, atomic=False)

    def __init__(
        self, url: str, *, collection: str = "documents", api_key: str | None = None
    ) -> None:
        """Use ``weaviate://host:8080/Collection?tls=on&index=hnsw``.

        Args:
            url: Of the server. ``tls`` is on if there is an API key; ``index`` is ``hnsw`` or
                ``none``.
            collection: Its name, where the URL names none; the first letter is made a capital.
            api_key: Of the server.

        Raises:
            ConfigurationError: A part is wrong.
        """
        parts = parts_of(url)
        options = query_of(url, allowed=frozenset({"tls", "index"}))
        name = parts.path.strip("/") or collection
        if not parts.hostname or "@" in parts.netloc:
            raise ConfigurationError(
                f"{redact(url)!r} must have a host, and no user: give an api_key"
            )
        if not _NAME.fullmatch(name):
            raise ConfigurationError(
                "a collection of Weaviate is named by letters, digits and '_', at most 100, "
                f"not {name[:60]!r}"
            )
        if options.get("index", "hnsw") not in {"hnsw", "none"}:
            raise ConfigurationError(f"index must be hnsw or none, not {options['index'][:60]!r}")
        headers = {} if api_key is None else {"authorization": f"Bearer {api_key}"}
        tls = flag(options, "tls", default=api_key is not None)
        base = base_of(parts, tls=tls, port=8080)
        kind = "flat" if options.get("index") == "none" else "hnsw"
        points = _Collection(
            Rest(base, headers, reason=lambda _: ""), name[0].upper() + name[1:], kind
        )
        super().__init__(points, redact(url))


class _Collection(Points):
    """Points as objects: what filters look at, and the rest as one text."""

    discards = bare = True

    def __init__(self, rest: Rest, name: str, kind: str) -> None:
        self._rest, self._name, self._kind = rest, name, kind
        self.sleep: Callable[[float], None] = time.sleep

    def fields(self, metadata: Mapping[str, Any]) -> Json:
        return {FACTS: tokens_of(metadata, steps=True)}

    def compiled(self, wanted: Filter | None) -> Json:
        def there(token: str) -> bool:
            return self.count({"must": [DOCUMENTS, among(FACTS, [token])]}) > 0

        return TokenConditions("Weaviate", steps=True, there=there).of(wanted)

    def open(self, dimension: int, *, create: bool) -> bool:
        path = f"/v1/schema/{self._name}"
        found = self._rest.ask("GET", path, well=frozenset({404}))
        if found.status == 404:
            if not create:
                return False
            # 422: somebody else was faster, or it is refused; the next look tells
            self._rest.ask("POST", "/v1/schema", self._schema(), well=frozenset({422}))
            found = self._rest.ask("GET", path)
        with self._rest.reading():
            made_by = found.body.get("description")
        if made_by != _MADE_BY:
            raise ConfigurationError(
                f"{self._rest.url}: {self._name!r} is no index of semsearch: use another collection"
            )
        return True

    def _schema(self) -> Json:
        word: Json = {
            "dataType": ["text"], "tokenization": "field", "indexFilterable": True,
            "indexSearchable": False,
        }  # fmt: skip
        payload = {"name": "payload", "dataType": ["text"], "indexFilterable": False}
        return {
            "class": self._name,
            "description": _MADE_BY,
            "vectorizer": "none",
            "vectorIndexType": self._kind,
            "vectorIndexConfig": {"distance": "cosine"},
            "properties": [
                *({"name": name, **word} for name in _WORDS),
                {"name": FACTS, **word, "dataType": ["text[]"]},
                {"name": "seq", "dataType": ["int"], "indexFilterable": True},
                {**payload, "indexSearchable": False},
            ],
        }

    def make_fields(self, fields: Iterable[str]) -> None:
        """The schema has them all."""

    def put(self, points: Sequence[Point]) -> None:
        pairs = [encoded(self._object(each)) for each in points]
        raw, sizes = [each for each, _ in pairs], [size for _, size in pairs]
        for part in batches(raw, sizes, "Weaviate", count=_BATCH):
            answer = self._rest.ask("POST", "/v1/batch/objects", {"objects": part})
            with self._rest.reading():
                refused = [each for each in answer.body if (each.get("result") or {}).get("errors")]
                if len(answer.body) != len(part):
                    raise LookupError("an object is missing")
            if refused:
                raise BackendError(
                    f"{self._rest.url}: {len(refused)} of {len(part)} documents were refused"
                )

        if any(each.vector is not None for each in points):
            self._wait()

    def _wait(self) -> None:
        """Wait until searches see the vectors: with ``ASYNC_INDEXING`` they come later.

        Raises:
            BackendError: They do not within a minute.
        """
        path, pause = f"/v1/nodes/{self._name}?output=verbose", 0.02
        for _ in range(_LOOKS):
            # 403: the key may not look; without ASYNC_INDEXING there is nothing to see
            answer = self._rest.ask("GET", path, well=frozenset({403, 404, 422}))
            if answer.status != 200:
                return
            with self._rest.reading():
                shards = [
                    each for node in answer.body["nodes"] for each in node.get("shards") or ()
                ]
                if not any(each.get("vectorQueueLength") for each in shards):
                    return
            self.sleep(pause)
            pause = min(1.0, pause * 1.5)
        raise BackendError("a write is not searched yet: it is there, and will be", retryable=True)

    def _object(self, point: Point) -> Json:
        rest = dict(point.payload)
        made: Json = {"doc": rest.get("id", "")}
        for name in ("kind", "writer", "seq", FACTS):
            if name in rest:
                made[name] = rest.pop(name)
        # as text: numbers come back as they were, and no name of ours is one of theirs
        made["payload"] = msgspec.json.encode(rest).decode()
        body: Json = {"class": self._name, "id": point.id, "properties": made}
        return body if point.vector is None else {**body, "vector": list(point.vector)}

    def _rows(self, arguments: Json) -> list[Row]:
        with self._rest.reading():
            return [_row(each) for each in self._get(arguments, _ALL)]

    def _get(self, arguments: Json, fields: str) -> list[Json]:
        found: list[Json] | None = self._asked("Get", arguments, fields)
        return found or []

    def _asked(self, verb: str, arguments: Json, fields: str) -> Any:
        given = ", ".join(f"{name}: {literal(value)}" for name, value in arguments.items())
        query = f"{{ {verb} {{ {self._name}{f'({given})' if given else ''} {{ {fields} }} }} }}"
        body = self._rest.ask("POST", "/v1/graphql", {"query": query}).body
        with self._rest.reading():
            if body.get("errors"):
                raise BackendError(f"{self._rest.url}: the query was refused")
            return body["data"][verb][self._name]

    def fetch(self, ids: Sequence[str]) -> Sequence[Row]:
        rows: list[Row] = []
        for start in range(0, len(ids), _BATCH):
            part = list(ids[start : start + _BATCH])
            where = {"path": ["id"], "operator": Word("ContainsAny"), "valueText": part}
            rows += self._rows({"where": where, "limit": len(part)})
        return rows

    def discard(self, ids: Sequence[str]) -> None:
        for start in range(0, len(ids), _PAGE):
            part = list(ids[start : start + _PAGE])
            where = {"path": ["id"], "operator": "ContainsAny", "valueTextArray": part}
            body = {"match": {"class": self._name, "where": where}, "output": "minimal"}
            answer = self._rest.ask("DELETE", "/v1/batch/objects", body).body
            with self._rest.reading():
                failed = (answer.get("results") or {}).get("failed")
            if failed:
                raise BackendError(f"{self._rest.url}: {failed} objects were not deleted")

    def scroll(self, filter: Json, fields: Sequence[str] | None) -> Sequence[Row]:
        node = tokenized(filter)
        rows: list[Row] = []
        for offset in range(0, _MOST, _PAGE):
            found = self._rows({"where": where_of(node), "limit": _PAGE, "offset": offset})
            rows += found
            if len(found) < _PAGE:
                return rows
        with self._rest.reading():
            return [row for row in self._everything() if evaluates(node, row[0])]

    def _everything(self) -> Iterable[Row]:
        after = ""
        while True:
            path = f"/v1/objects?class={self._name}&limit={_PAGE}&include=vector"
            where = f"&after={quote(after)}" if after else "&after="
            found = self._rest.ask("GET", path + where).body.get("objects") or []
            for each in found:
                yield _row({**each["properties"], "_additional": {"vector": each.get("vector")}})
            if len(found) < _PAGE:
                return
            after = found[-1]["id"]

    def nearest(self, vector: Vector, limit: int, filter: Json) -> Sequence[Scored]:
        arguments: Json = {"nearVector": {"vector": vector.tolist()}, "limit": min(limit, _MOST)}
        if filter:
            arguments["where"] = where_of(tokenized(filter))
        found = self._get(arguments, "doc _additional { distance }")
        with self._rest.reading():
            return [(each["doc"], 1 - float(each["_additional"]["distance"])) for each in found]

    def count(self, filter: Json) -> int:
        arguments = {"where": where_of(tokenized(filter))}
        answer = self._asked("Aggregate", arguments, "meta { count }")
        with self._rest.reading():
            [found] = answer
            return int(found["meta"]["count"])

    def facet(self, field: str, filter: Json) -> Sequence[tuple[str, int]]:
        raise NotImplementedError("values() reads all kinds at once")

    def values(self, code: str, filter: Json) -> Iterable[tuple[str, int]]:
        return counted(code, (row[FACTS] for row, _ in self.scroll(filter, None)))

    def close(self) -> None:
        self._rest.close()


_ALL = "kind writer seq facts payload _additional { vector }"


def _row(found: Json) -> Row:
    fields = {name: found[name] for name in ("kind", "writer", "seq", FACTS) if found.get(name)}
    vector = (found.get("_additional") or {}).get("vector")
    payload: Json = msgspec.json.decode(found["payload"])
    return {FACTS: [], **payload, **fields}, vector or None
