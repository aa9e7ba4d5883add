"""A local server that answers as Elasticsearch 8 does, where this package asks it.

Strict: what a mapping does not know, vectors of another length, options that the API does not have
and missing keys get the bodies of the real errors. What is written is searched from the next
refresh on: ``refresh=wait_for`` brings one, reads by id need none.
"""

import copy
import fnmatch
import json
import math
import re
import threading
from collections import Counter
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from standin import Answer, Request, StandIn

Json = dict[str, Any]
_TYPES = {"keyword", "text", "long", "integer", "object", "dense_vector"}
_SEARCH = {
    "query", "knn", "size", "_source", "docvalue_fields", "sort", "search_after", "aggs",
    "track_total_hits", "track_scores",
}  # fmt: skip


# What each call takes behind its "?", as the API's specification lists it, and which words.
_FLAG = {"true", "false"}
_OPTIONS: dict[str, dict[str, set[str]]] = {
    "": {},
    "_mapping": {},
    "_bulk": {"refresh": {"true", "false", "wait_for"}},
    "_mget": {},
    "_search": {"search_type": {"query_then_fetch", "dfs_query_then_fetch"}},
    "_count": {},
    "_delete_by_query": {"refresh": _FLAG, "conflicts": {"abort", "proceed"}},
    "_mtermvectors": {},
}
_SHARDS = {"total": 1, "successful": 1, "skipped": 0, "failed": 0}
_BODIES = {
    "_mget": {"ids"}, "_count": {"query"}, "_delete_by_query": {"query"},
    "_mtermvectors": {"ids", "parameters"},
}  # fmt: skip


class Refused(Exception):
    def __init__(self, status: int, kind: str, reason: str = "") -> None:
        super().__init__(reason)
        self.status, self.kind, self.reason = status, kind, reason

    def body(self) -> Json:
        cause = {"type": self.kind, "reason": self.reason}
        return {"error": {"root_cause": [cause], **cause}, "status": self.status}


class Index:
    """Documents as they are written, and as searches see them."""

    def __init__(self, mappings: Json, *, bare: bool) -> None:
        self.mappings, self.bare = mappings, bare
        self.written: dict[str, Json] = {}
        self.seen: dict[str, Json] = {}

    def source(self, row: Json) -> Json:
        """Return a document as it is read: without vectors, if the index leaves them out."""
        return {key: value for key, value in row.items() if not (self.bare and key == "vector")}

    def refresh(self) -> None:
        self.seen = copy.deepcopy(self.written)

    def check(self, body: Json) -> None:
        known = self.mappings["properties"]
        for name, value in body.items():
            if name not in known:
                raise Refused(400, "strict_dynamic_mapping_exception", f"[{name}] is not allowed")
            kind = known[name]["type"]
            values = value if isinstance(value, list) else [value]
            if kind == "dense_vector":
                if len(values) != known[name]["dims"]:
                    raise Refused(400, "document_parsing_exception", "different number of dims")
                if known[name].get("similarity") == "cosine" and not any(values):
                    raise Refused(400, "document_parsing_exception", "zero magnitude")
            elif kind == "keyword":
                if any(len(str(each).encode()) > 32_766 for each in values):
                    raise Refused(400, "document_parsing_exception", "immense term")
                wrong = not all(isinstance(each, str) for each in values)
                _parse(wrong, name)
            elif kind in {"long", "integer"}:
                _parse(not all(type(each) is int for each in values), name)
            elif kind == "object":
                _parse(not isinstance(value, dict), name)


def _check_options(path: str, call: str, options: dict[str, str]) -> None:
    for name, value in options.items():
        if (words := _OPTIONS[call].get(name)) is None:
            reason = f"request [{path}] contains unrecognized parameter: [{name}]"
            raise Refused(400, "illegal_argument_exception", reason)
        if value not in words:
            raise Refused(400, "illegal_argument_exception", f"Unknown value for {name}: [{value}]")


def _parse(wrong: bool, name: str) -> None:
    if wrong:
        raise Refused(400, "document_parsing_exception", f"failed to parse field [{name}]")


class ElasticsearchStandIn:
    """One server; ``with`` starts it.

    Attributes:
        faults: Answers that are given to the next requests instead, in order.
        refused: Names of documents that bulk requests refuse, with their status; each once.
        always: Those that are refused each time.
        most: Bytes that a bulk request may have (``http.max_content_length``).
        old: Answer as before 9.2, when documents were always read with their vectors.
    """

    def __init__(self, authorization: str | None = None, *, old: bool = False) -> None:
        self.old, self.most = old, 100 << 20
        self.indexes: dict[str, Index] = {}
        self.faults: list[Answer] = []
        self.refused: dict[str, int] = {}
        self.always: dict[str, int] = {}
        self._authorization, self._lock = authorization, threading.Lock()
        self.server = StandIn(self._answer)

    @property
    def url(self) -> str:
        return self.server.url.replace("http", "elasticsearch")

    def _answer(self, request: Request) -> Answer:
        with self._lock:
            if self.faults:
                return self.faults.pop(0)
            given = request.headers.get("authorization")
            if self._authorization is not None and given != self._authorization:
                return 401, Refused(401, "security_exception", f"wrong {given}").body()
            try:
                return self._route(request)
            except Refused as exc:
                return exc.status, exc.body()

    def _route(self, request: Request) -> Answer:  # noqa: PLR0911  a table of what is asked
        parts = urlsplit(request.path)
        _, name, *rest = parts.path.split("/")
        options = {key: value[0] for key, value in parse_qs(parts.query).items()}
        if rest in (["_bulk"], []) or request.method == "HEAD":
            pass
        elif request.headers.get("content-type") != "application/json" and request.body:
            raise Refused(406, "media_type_header_exception")
        call = rest[0] if rest else ""
        _check_options(request.path, call, options)
        if call in _BODIES and (unknown := request.body.keys() - _BODIES[call]):
            raise Refused(400, "parsing_exception", f"unknown key for {sorted(unknown)}")
        match request.method, rest:
            case "HEAD", []:
                return (200 if name in self.indexes else 404), b""
            case "PUT", []:
                return self._create(name, request.body)
            case "DELETE", []:
                self._index(name)
                del self.indexes[name]
                return 200, {"acknowledged": True}
            case "GET", ["_mapping"]:
                return 200, {name: {"mappings": self._index(name).mappings}}
            case "POST", ["_bulk"]:
                return self._bulk(self._index(name), request, options)
            case "POST", ["_mget"]:
                return self._mget(self._index(name), request.body)
            case "POST", ["_search"]:
                return 200, self._search(self._index(name), request.body)
            case "POST", ["_count"]:
                index = self._index(name)
                count = sum(
                    _passes(request.body["query"], each, index) for each in index.seen.values()
                )
                return 200, {"count": count, "_shards": _SHARDS}
            case "POST", ["_delete_by_query"]:
                index = self._index(name)
                found = [
                    key for key, each in index.seen.items()
                    if _passes(request.body["query"], each, index)
                ]  # fmt: skip
                gone = [key for key in found if index.written.get(key) == index.seen[key]]
                kept = options.get("conflicts") != "proceed" and len(gone) < len(found)
                if kept:
                    conflict = {"cause": {"type": "version_conflict_engine_exception"}}
                    return 409, {"deleted": 0, "failures": [conflict]}
                for key in gone:
                    del index.written[key]
                if options.get("refresh") == "true":
                    index.refresh()
                return 200, {"deleted": len(gone), "failures": []}
            case "POST", ["_mtermvectors"]:
                return 200, self._vectors(self._index(name), request.body)
        raise Refused(405, "method_not_allowed")

    def _index(self, name: str) -> Index:
        if name not in self.indexes:
            raise Refused(404, "index_not_found_exception", f"no such index [{name}]")
        return self.indexes[name]

    def _create(self, name: str, body: Json) -> Answer:
        if name in self.indexes:
            raise Refused(400, "resource_already_exists_exception", "exists")
        if not re.fullmatch(r"[a-z0-9][^A-Z\\/*?\"<>| ,#:]*", name):
            raise Refused(400, "invalid_index_name_exception")
        if body.keys() - {"settings", "mappings"} or body["mappings"]["dynamic"] != "strict":
            raise Refused(400, "parse_exception")
        analyzers = body["settings"]["analysis"]["analyzer"]
        for field in body["mappings"]["properties"].values():
            if field["type"] not in _TYPES:
                raise Refused(400, "mapper_parsing_exception", "no handler for type")
            if field.get("analyzer", "standard") not in {"standard", *analyzers}:
                raise Refused(400, "mapper_parsing_exception", "analyzer not configured")
            if field["type"] == "dense_vector" and not field["index"] and "similarity" in field:
                raise Refused(400, "mapper_parsing_exception", "similarity needs index")
        settings = body["settings"]["index"]
        if unknown := settings.keys() - {"number_of_shards", *(() if self.old else ("mapping",))}:
            raise Refused(400, "illegal_argument_exception", f"unknown setting {sorted(unknown)}")
        bare = settings.get("mapping", {}).get("exclude_source_vectors", not self.old)
        self.indexes[name] = Index(body["mappings"], bare=bare)
        return 200, {"acknowledged": True, "shards_acknowledged": True, "index": name}

    def _bulk(self, index: Index, request: Request, options: dict[str, str]) -> Answer:
        raw: bytes = request.body or b""
        if len(raw) > self.most:
            return 413, b""
        if request.headers.get("content-type") != "application/x-ndjson":
            raise Refused(406, "media_type_header_exception")
        if not raw.endswith(b"\n"):
            raise Refused(400, "illegal_argument_exception", "must be terminated by a newline")
        lines, items = [json.loads(line) for line in raw.splitlines()], []
        place = 0
        while place < len(lines):
            [(action, target)] = lines[place].items()
            body = lines[place + 1] if action == "index" else None
            place += 1 if body is None else 2
            made = self._one(index, action, target["_id"], body)
            items.append({action: {"_index": request.path.split("/")[1], **made}})
        if "refresh" in options and options["refresh"] != "false":
            index.refresh()
        failed = any("error" in item for each in items for item in each.values())
        return 200, {"took": 1, "errors": failed, "items": items}

    def _one(self, index: Index, action: str, name: str, body: Json | None) -> Json:
        if len(name.encode()) > 512:
            error = {"type": "illegal_argument_exception", "reason": "id is too long"}
            return {"_id": name, "status": 400, "error": error}
        if action == "delete":
            gone = index.written.pop(name, None)
            return {"_id": name, "status": 404 if gone is None else 200}
        assert body is not None
        if (status := self.always.get(name) or self.refused.pop(name, None)) is not None:
            kind = "es_rejected_execution_exception" if status == 429 else "mapper_exception"
            return {"_id": name, "status": status, "error": {"type": kind, "reason": "no"}}
        try:
            index.check(body)
        except Refused as exc:
            return {"_id": name, "status": 400, "error": {"type": exc.kind, "reason": exc.reason}}
        index.written[name] = body
        return {"_id": name, "status": 201}

    def _mget(self, index: Index, body: Json) -> Answer:
        if body.keys() != {"ids"} or not body["ids"]:
            raise Refused(400, "action_request_validation_exception", "no documents to get")
        docs = [
            {"_id": name, "found": True, "_source": index.source(index.written[name])}
            if name in index.written
            else {"_id": name, "found": False}
            for name in body["ids"]
        ]
        return 200, {"docs": docs}

    def _search(self, index: Index, body: Json) -> Json:
        if unknown := body.keys() - _SEARCH:
            raise Refused(400, "parsing_exception", f"unknown key {sorted(unknown)}")
        if body.get("size", 10) > 10_000:
            raise Refused(400, "illegal_argument_exception", "result window is too large")
        if "knn" in body:
            scores = _nearest(index, body["knn"])
        else:
            scores = {
                name: _score(body["query"], name, index)
                for name, each in index.seen.items()
                if _passes(body["query"], each, index)
            }
        found: Json = {"took": 1, "timed_out": False, "_shards": _SHARDS}
        if "aggs" in body:
            rows = [index.seen[name] for name in scores]
            found["aggregations"] = {
                name: _aggregated(each["terms"], rows) for name, each in body["aggs"].items()
            }
        order = _sorting(body, index, scores)
        names = sorted(scores, key=order)
        if after := body.get("search_after"):
            names = [name for name in names if order(name) > tuple(after)]
        hits = [
            self._hit(index, name, scores[name], body, list(order(name)))
            for name in names[: body.get("size", 10)]
        ]
        return {**found, "hits": {"hits": hits}}

    def _hit(self, index: Index, name: str, score: float, body: Json, sort: list[Any]) -> Json:
        source = body.get("_source", True)
        hit: Json = {"_id": name, "_score": score}
        row = index.source(copy.deepcopy(index.seen[name]))
        if source is not False:
            wanted = row if source is True else source["includes"]
            hit["_source"] = {key: row[key] for key in wanted if key in row}
        if fields := body.get("docvalue_fields"):
            hit["fields"] = {each["field"]: [row[each["field"]]] for each in fields}
        if "sort" in body:
            hit["sort"] = sort
        return hit

    def _vectors(self, index: Index, body: Json) -> Json:
        if body["parameters"] != {
            "fields": ["words"], "term_statistics": True, "positions": False, "offsets": False,
        }:  # fmt: skip
            raise Refused(400, "parsing_exception")
        rows = {name: Counter(each["words"].split()) for name, each in index.seen.items()}
        frequent = Counter(term for row in rows.values() for term in row)
        docs = [
            {
                "_id": name,
                "found": True,
                "term_vectors": {
                    "words": {
                        "field_statistics": {"doc_count": len(rows)},
                        "terms": {
                            term: {"term_freq": count, "doc_freq": frequent[term]}
                            for term, count in rows[name].items()
                        },
                    }
                },
            }
            if name in rows
            else {"_id": name, "found": False}
            for name in body["ids"]
        ]
        return {"docs": docs}

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.__exit__()


def _values(row: Json, field: str, index: Index) -> list[Any]:
    if index.mappings["properties"].get(field, {}).get("type") not in {"keyword", "long", "text"}:
        raise Refused(400, "query_shard_exception", f"[{field}] cannot be searched")
    if index.mappings["properties"][field].get("index") is False:
        raise Refused(400, "query_shard_exception", f"[{field}] is not indexed")
    value = row.get(field, [])
    return value if isinstance(value, list) else [value]


def _passes(query: Json, row: Json, index: Index) -> bool:  # noqa: PLR0911  a table of what is asked
    [(kind, body)] = query.items()
    if kind == "match_all":
        return True
    if kind == "script_score":
        return _passes(body["query"], row, index)
    if kind == "bool":
        if body.keys() - {"filter", "must_not", "should", "minimum_should_match"}:
            raise Refused(400, "x_content_parse_exception")
        least = body.get("minimum_should_match", 0 if "filter" in body else 1)
        return (
            all(_passes(each, row, index) for each in body.get("filter", []))
            and not any(_passes(each, row, index) for each in body.get("must_not", []))
            and ("should" not in body or not least
                 or any(_passes(each, row, index) for each in body["should"]))
        )  # fmt: skip
    [(field, wanted)] = body.items()
    values = _values(row, field, index)
    if kind == "terms":
        if len(wanted) > 65_536:
            raise Refused(400, "illegal_argument_exception", "too many terms")
        return any(each in wanted for each in values)
    if kind == "term":
        return wanted["value"] in values[0].split()
    if kind == "prefix":
        return any(each.startswith(wanted["value"]) for each in values)
    if kind == "wildcard":
        return any(fnmatch.fnmatchcase(each, wanted["value"]) for each in values)
    if kind == "range":
        return any(all(_TESTS[sign](each, end) for sign, end in wanted.items()) for each in values)
    raise Refused(400, "parsing_exception", f"unknown query [{kind}]")


_TESTS: dict[str, Any] = {
    "gt": lambda a, b: a > b, "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b, "lte": lambda a, b: a <= b,
}  # fmt: skip


def _score(query: Json, name: str, index: Index) -> float:
    if "script_score" in query:
        script = query["script_score"]["script"]
        assert script["source"] == "cosineSimilarity(params.vector, 'vector') + 1.0"
        return _cosine(script["params"]["vector"], index.seen[name], index) + 1.0
    if "bool" not in query:
        return 1.0
    rows = [each["words"].split() for each in index.seen.values() if "words" in each]
    if not rows:
        return 0.0
    own = Counter(index.seen[name].get("words", "").split())
    norm = 1.2 * (0.25 + 0.75 * own.total() / max(1e-9, sum(map(len, rows)) / len(rows)))
    total = 0.0
    for each in query["bool"].get("should", []):
        if "term" not in each:
            continue
        wanted = each["term"]["words"]
        df = sum(wanted["value"] in row for row in rows)
        idf = math.log(1 + (len(rows) - df + 0.5) / (df + 0.5))
        count = own[wanted["value"]]
        total += wanted["boost"] * idf * count / (count + norm)
    return total


def _cosine(vector: list[float], row: Json, index: Index) -> float:
    if len(vector) != index.mappings["properties"]["vector"]["dims"]:
        raise Refused(400, "script_exception", "different number of dimensions")
    other = row["vector"]
    product = sum(a * b for a, b in zip(vector, other, strict=True))
    return product / math.hypot(*vector) / math.hypot(*other)


def _nearest(index: Index, knn: Json) -> dict[str, float]:
    known = {"field", "query_vector", "k", "num_candidates", "filter"}
    if knn.keys() != known or not knn["k"] <= knn["num_candidates"] <= 10_000:
        raise Refused(400, "illegal_argument_exception", "[num_candidates] or unknown key")
    if not index.mappings["properties"]["vector"]["index"]:
        raise Refused(400, "illegal_argument_exception", "[knn] needs an index on the field")
    scores = {
        name: (1 + _cosine(knn["query_vector"], row, index)) / 2
        for name, row in index.seen.items()
        if "vector" in row and _passes(knn["filter"], row, index)
    }
    best = sorted(scores, key=lambda name: -scores[name])[: knn["k"]]
    return {name: scores[name] for name in best}


def _aggregated(terms: Json, rows: list[Json]) -> Json:
    assert terms.keys() == {"field", "include", "size"}
    if terms["size"] > 65_536:
        raise Refused(400, "too_many_buckets_exception")
    if len(terms["include"]) > 1000:
        raise Refused(400, "illegal_argument_exception", "index.max_regex_length")
    pattern = re.compile(terms["include"])
    counts = Counter(
        value for row in rows for value in row.get(terms["field"], []) if pattern.fullmatch(value)
    )
    best = counts.most_common(terms["size"])
    return {"buckets": [{"key": key, "doc_count": count} for key, count in best]}


def _sorting(body: Json, index: Index, scores: dict[str, float]) -> Any:
    wanted = [next(iter(each)) for each in body.get("sort", [{"_score": {"order": "desc"}}])]

    def key(name: str) -> tuple[Any, ...]:
        return tuple(
            -scores[name] if field == "_score" else index.seen[name][field] for field in wanted
        )

    return key
