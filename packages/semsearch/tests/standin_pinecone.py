"""A local server that answers as Pinecone's API of 2025-10 does, where this package asks it.

Control plane and data plane are one host. What is written is seen by reads after ``delay`` queries
more, and the headers with the sequence numbers say so, as a serverless index does it.
"""

import copy
import json
import math
import threading
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from standin import Answer, Request, StandIn

Json = dict[str, Any]
_ON_DEMAND = {"mode": "OnDemand", "status": {"state": "Ready"}}


class Refused(Exception):
    pass


class PineconeStandIn:
    """One project; ``with`` starts it.

    Attributes:
        faults: Answers that are given to the next requests instead, in order.
        delay: Queries until a write is seen.
        starting: How often a new index says that it is not ready.
        numbered: Whether writes and queries tell their sequence numbers.
    """

    def __init__(self, api_key: str = "key", delay: int = 1) -> None:
        self.indexes: dict[str, Json] = {}
        self.written: dict[str, Json] = {}
        self.seen: dict[str, Json] = {}
        self.faults: list[Answer] = []
        self.delay, self.starting, self.numbered = delay, 1, True
        self.lsn = self.seen_lsn = self._queries = 0
        self._api_key, self._lock = api_key, threading.Lock()
        self.server = StandIn(self._answer)

    @property
    def url(self) -> str:
        return self.server.url.replace("http", "pinecone")

    def _answer(self, request: Request) -> Answer:
        with self._lock:
            if self.faults:
                return self.faults.pop(0)
            if request.headers.get("api-key") != self._api_key:
                return 401, b"Invalid API Key"
            if request.headers.get("x-pinecone-api-version") != "2025-10":
                return 400, {"code": 3, "message": "version", "details": []}
            parts = urlsplit(request.path)
            try:
                if parts.path.startswith("/indexes"):
                    return self._control(request, parts.path)
                status, made, *more = self._data(request, parts.path, parse_qs(parts.query))
                return (status, made, *more) if self.numbered else (status, made)
            except (Refused, KeyError) as exc:
                return 400, {"code": 3, "message": str(exc), "details": []}

    def _control(self, request: Request, path: str) -> Answer:
        if request.method == "POST":
            body = request.body
            if body["name"] in self.indexes:
                return 409, {
                    "error": {"code": "ALREADY_EXISTS", "message": "exists"},
                    "status": 409,
                }
            if body.keys() != {"name", "dimension", "metric", "spec", "tags"}:
                raise Refused("unknown field")
            if not 1 <= body["dimension"] <= 20_000 or body["spec"]["serverless"].keys() != {
                "cloud", "region",
            }:  # fmt: skip
                raise Refused("invalid spec")
            self.indexes[body["name"]] = body
            return 201, self._described(body)
        name = path.removeprefix("/indexes/")
        if name not in self.indexes:
            return 404, {"error": {"code": "NOT_FOUND", "message": "no"}, "status": 404}
        return 200, self._described(self.indexes[name])

    def _described(self, body: Json) -> Json:
        ready, self.starting = self.starting <= 0, self.starting - 1
        host = self.server.url.removeprefix("http://")
        spec = {"serverless": {**body["spec"]["serverless"], "read_capacity": _ON_DEMAND}}
        status = {"ready": ready, "state": "Ready" if ready else "Initializing"}
        more = {"vector_type": "dense", "deletion_protection": "disabled"}
        return {**body, "spec": spec, "host": host, "status": status, **more}

    def _data(self, request: Request, path: str, query: dict[str, list[str]]) -> Answer:
        body = request.body
        match request.method, path:
            case "POST", "/vectors/upsert":
                # https://docs.pinecone.io/reference/api/database-limits/operation-limits
                if int(request.headers["content-length"]) > 2_000_000:
                    raise Refused("a request is over 2 MB")
                return self._upsert(body)
            case "POST", "/vectors/delete":
                _check(body, {"namespace", "ids"}, set())
                if not 1 <= len(body["ids"]) <= 1000:
                    raise Refused("a request deletes 1 to 1000 records")
                for each in body["ids"]:
                    self.written.pop(each, None)
                self.lsn, self._queries = self.lsn + 1, 0
                return 200, {}, {"x-pinecone-request-lsn": str(self.lsn)}
            case "GET", "/vectors/fetch":
                self._see()
                ids = query["ids"]
                found = {name: self.seen[name] for name in ids if name in self.seen}
                return 200, {"vectors": found, "namespace": query["namespace"][0]}
            case "POST", "/vectors/fetch_by_metadata":
                self._see()
                _check(body, {"namespace", "filter"}, {"limit", "paginationToken"})
                start = int(body.get("paginationToken", "0"))
                names = [
                    n
                    for n in sorted(self.seen)
                    if _passes(body["filter"], self.seen[n]["metadata"])
                ]
                page = names[start : start + min(body.get("limit", 100), 10_000)]
                made: Json = {"vectors": {name: self.seen[name] for name in page}}
                if start + len(page) < len(names):
                    made["pagination"] = {"next": str(start + len(page))}
                return 200, made
            case "POST", "/query":
                return self._query(body)
        return 404, {"code": 5, "message": "not found", "details": []}

    def _upsert(self, body: Json) -> Answer:
        _check(body, {"namespace", "vectors"}, set())
        [index] = self.indexes.values()
        if len(body["vectors"]) > 1000:
            raise Refused("batch too large")
        for each in body["vectors"]:
            _check(each, {"id", "values", "metadata"}, set())
            if len(each["values"]) != index["dimension"]:
                raise Refused("Vector dimension does not match the dimension of the index")
            if not any(each["values"]):
                raise Refused("Dense vectors must contain at least one non-zero value")
            if len(json.dumps(each["metadata"], ensure_ascii=False).encode()) > 40_960:
                raise Refused("metadata size exceeds the limit of 40960 bytes per vector")
            for value in each["metadata"].values():
                good = isinstance(value, str | int | float | bool) or (
                    isinstance(value, list) and all(isinstance(one, str) for one in value)
                )
                if not good:
                    raise Refused(
                        "Metadata value must be a string, number, boolean or list of strings"
                    )
            self.written[each["id"]] = each
        self.lsn += 1
        self._queries = 0
        answer = {"upsertedCount": len(body["vectors"])}
        return 200, answer, {"x-pinecone-request-lsn": str(self.lsn)}

    def _see(self) -> None:
        self._queries += 1
        if self._queries > self.delay:
            self.seen, self.seen_lsn = copy.copy(self.written), self.lsn

    def _query(self, body: Json) -> Answer:
        self._see()
        _check(
            body, {"namespace", "vector", "topK"}, {"filter", "includeMetadata", "includeValues"}
        )
        [index] = self.indexes.values()
        if len(body["vector"]) != index["dimension"] or not 1 <= body["topK"] <= 10_000:
            raise Refused("dimension or topK")
        if body["topK"] > 1000 and body.get("includeMetadata"):
            raise Refused("topK is over 1000 with metadata")
        scores = {
            name: _cosine(body["vector"], each["values"])
            for name, each in self.seen.items()
            if "filter" not in body or _passes(body["filter"], each["metadata"])
        }
        best = sorted(scores, key=lambda name: -scores[name])[: body["topK"]]
        # what is zero or empty is left out, as JSON made of protocol buffers may do
        matches: list[Json] = [
            {"id": name, **({"score": scores[name]} if scores[name] else {})} for name in best
        ]
        if body.get("includeMetadata"):
            matches = [{**each, "metadata": self.seen[each["id"]]["metadata"]} for each in matches]
        made = {"matches": matches} if matches else {}
        if len(json.dumps(made)) > 4_000_000:
            raise Refused("the result is over 4MB: choose a lower top_k")
        return 200, made, {"x-pinecone-max-indexed-lsn": str(self.seen_lsn)}

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.__exit__()


def _check(body: Json, needed: set[str], more: set[str]) -> None:
    if needed - body.keys() or body.keys() - needed - more:
        raise Refused(f"unknown or missing field: {sorted(body.keys() ^ needed)}")


def _cosine(one: list[float], other: list[float]) -> float:
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return product / math.hypot(*one) / math.hypot(*other)


def _passes(wanted: Json, metadata: Json) -> bool:
    [(name, condition)] = wanted.items()
    if name in {"$and", "$or"}:
        if not condition:
            raise Refused("needs at least one condition")
        results = [_passes(part, metadata) for part in condition]
        return all(results) if name == "$and" else any(results)
    if name.startswith("$"):
        raise Refused(f"{name} is not a valid operator")
    [(operator, value)] = condition.items()
    found = metadata.get(name, [])
    values = found if isinstance(found, list) else [found]
    if operator in {"$in", "$nin"}:
        if len(value) > 10_000 or not value:
            raise Refused("$in takes 1 to 10,000 values")
        return any(one in value for one in values) is (operator == "$in")
    if operator == "$gt" and isinstance(value, int | float):
        return any(one > value for one in values)
    if operator == "$lte" and isinstance(value, int | float):
        return any(one <= value for one in values)
    raise Refused(f"{operator} is not a valid operator")
