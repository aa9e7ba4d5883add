"""A local server that answers as Weaviate 1.33 does, where this package asks it.

Strict: classes and properties that the schema does not know, values of another type, vectors of
another length, unknown operators and missing keys are refused as the real one refuses them (by
GraphQL: 200 with ``errors``). Tokens are compared as those of ``tokenization: field`` are.
"""

import math
import re
import threading
import uuid
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from standin import Answer, Request, StandIn

Json = dict[str, Any]
_TYPES: dict[str, Any] = {"text": str, "int": int, "text[]": list}
_TOKEN = re.compile(
    r'\s*(?:("(?:[^"\\]|\\.)*")|(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)|(\w+)|([{}()\[\]:,]))'
)


class Refused(Exception):
    pass


class Query:
    """A query of GraphQL, taken apart: verb, class, arguments, fields."""

    def __init__(self, text: str) -> None:
        self._tokens: Iterator[re.Match[str]] = _TOKEN.finditer(text)
        self._next()
        self._take("{")
        self.verb = self._word()
        self._take("{")
        self.name = self._word()
        self.arguments: Json = {}
        if self._now == "(":
            self._next()
            while self._now != ")":
                name = self._word()
                self._take(":")
                self.arguments[name] = self._value()
                self._comma()
            self._next()
        self.fields = self._fields()

    def _next(self) -> None:
        found = next(self._tokens, None)
        self._now = "" if found is None else found[0].strip()

    def _take(self, wanted: str) -> None:
        if self._now != wanted:
            raise Refused(f"Syntax Error: expected {wanted}, found {self._now[:20]}")
        self._next()

    def _word(self) -> str:
        word = self._now
        if not word.isidentifier():
            raise Refused(f"Syntax Error: unexpected {word[:20]}")
        self._next()
        return word

    def _comma(self) -> None:
        if self._now == ",":
            self._next()

    def _value(self) -> Any:
        now = self._now
        self._next()
        if now == "[":
            values = []
            while self._now != "]":
                values.append(self._value())
                self._comma()
            self._next()
            return values
        if now == "{":
            made: Json = {}
            while self._now != "}":
                name = self._word()
                self._take(":")
                made[name] = self._value()
                self._comma()
            self._next()
            return made
        if now.startswith('"'):
            return now[1:-1]
        if now.isidentifier():
            return ("enum", now)
        return float(now) if re.search(r"[.e]", now) else int(now)

    def _fields(self) -> Json:
        self._take("{")
        made: Json = {}
        while self._now != "}":
            name = self._word()
            made[name] = self._fields() if self._now == "{" else None
        self._next()
        return made


class WeaviateStandIn:
    """One server; ``with`` starts it.

    Attributes:
        faults: Answers that are given to the next requests instead, in order.
        refused: Ids of objects that the next batch refuses.
        most: ``QUERY_MAXIMUM_RESULTS``.
        lag: Looks at the queue until searches see new vectors, as with ``ASYNC_INDEXING``.
        telling: Whether the key may look at nodes.
    """

    def __init__(self, api_key: str | None = None, most: int = 10_000) -> None:
        self.classes: dict[str, Json] = {}
        self.objects: dict[str, dict[str, Json]] = {}
        self.faults: list[Answer] = []
        self.refused: set[str] = set()
        self.most, self.lag, self.telling = most, 1, True
        self._queued: dict[str, int] = {}
        self._api_key, self._lock = api_key, threading.Lock()
        self.server = StandIn(self._answer)

    @property
    def url(self) -> str:
        return self.server.url.replace("http", "weaviate")

    def _answer(self, request: Request) -> Answer:  # noqa: PLR0911  a table of what is asked
        with self._lock:
            if self.faults:
                return self.faults.pop(0)
            given = request.headers.get("authorization")
            if self._api_key is not None and given != f"Bearer {self._api_key}":
                return 401, {"error": [{"message": "unauthorized: invalid api key"}]}
            parts = urlsplit(request.path)
            match request.method, parts.path.split("/")[2:]:
                case "GET", ["schema", name]:
                    return (200, self.classes[name]) if name in self.classes else (404, b"")
                case "POST", ["schema"]:
                    return self._create(request.body)
                case "POST", ["batch", "objects"]:
                    return 200, [self._put(each) for each in request.body["objects"]]
                case "DELETE", ["batch", "objects"]:
                    return self._delete(request.body)
                case "POST", ["graphql"]:
                    try:
                        return 200, {"data": self._query(Query(request.body["query"]))}
                    except Refused as exc:
                        return 200, {"data": None, "errors": [{"message": str(exc)}]}
                case "GET", ["nodes", name]:
                    return self._node(name, parse_qs(parts.query))
                case "GET", ["objects"]:
                    return self._listed(parse_qs(parts.query, keep_blank_values=True))
            return 404, b""

    def _create(self, body: Json) -> Answer:
        name = body["class"]
        if name in self.classes or not re.fullmatch(r"[A-Z][_0-9A-Za-z]*", name):
            return 422, {"error": [{"message": f"class name {name} already exists or is bad"}]}
        known = {
            "class", "description", "vectorizer", "vectorIndexType", "vectorIndexConfig",
            "properties",
        }  # fmt: skip
        bad = body.keys() - known or body["vectorIndexType"] not in {"hnsw", "flat"}
        for each in body["properties"]:
            [kind] = each["dataType"]
            bad = bad or kind not in _TYPES or each["name"] in {"id", "_id", "_additional"}
        if bad:
            return 422, {"error": [{"message": "invalid class"}]}
        self.classes[name], self.objects[name] = body, {}
        return 200, body

    def _node(self, name: str, options: dict[str, list[str]]) -> Answer:
        if not self.telling:
            return 403, {"error": [{"message": "forbidden"}]}
        assert options == {"output": ["verbose"]}
        self._queued = {key: left - 1 for key, left in self._queued.items() if left > 1}
        shard = {
            "name": "s", "class": name, "objectCount": len(self.objects[name]), "compressed": False,
            "vectorIndexingStatus": "READY", "vectorQueueLength": len(self._queued), "loaded": True,
        }  # fmt: skip
        return 200, {"nodes": [{"name": "node1", "status": "HEALTHY", "shards": [shard]}]}

    def _put(self, body: Json) -> Json:
        try:
            self._check(body)
        except (Refused, ValueError) as exc:
            errors = {"error": [{"message": str(exc)}]}
            return {**body, "result": {"status": "FAILED", "errors": errors}}
        self.objects[body["class"]][body["id"]] = body
        if "vector" in body and self.lag:
            self._queued[body["id"]] = self.lag
        return {**body, "result": {"status": "SUCCESS"}}

    def _check(self, body: Json) -> None:
        uuid.UUID(body["id"])
        if body["class"] not in self.classes or body["id"] in self.refused:
            self.refused.discard(body["id"])
            raise Refused("class not found, or refused")
        known = self._types(body["class"])
        for name, value in body["properties"].items():
            if name not in known:
                raise Refused(f"no such prop with name '{name}'")
            good = type(value) is _TYPES[known[name]["dataType"][0]]
            if not good or (isinstance(value, list) and not all(type(v) is str for v in value)):
                raise Refused(f"invalid {known[name]['dataType'][0]} property '{name}'")
        vectors = [
            each["vector"] for each in self.objects[body["class"]].values() if "vector" in each
        ]
        if "vector" in body and vectors and len(vectors[0]) != len(body["vector"]):
            raise Refused("new node has a vector with another length")

    def _delete(self, body: Json) -> Answer:
        match, where = body["match"], body["match"]["where"]
        if body.keys() - {"match", "output", "dryRun"} or match["class"] not in self.classes:
            return 422, {"error": [{"message": "invalid batch delete"}]}
        if where.keys() != {"path", "operator", "valueTextArray"} or where["path"] != ["id"]:
            return 422, {"error": [{"message": "invalid where filter"}]}
        assert where["operator"] == "ContainsAny"
        there = self.objects[match["class"]]
        found = [each for each in where["valueTextArray"] if each in there][: self.most]
        for each in found:
            del there[each]
        results = {"matches": len(found), "limit": self.most, "successful": len(found), "failed": 0}
        return 200, {**body, "dryRun": False, "results": {**results, "objects": None}}

    def _types(self, name: str) -> dict[str, Json]:
        return {each["name"]: each for each in self.classes[name]["properties"]}

    def _query(self, query: Query) -> Json:
        if query.name not in self.classes:
            raise Refused(f'Cannot query field "{query.name}" on type "{query.verb}Objects".')
        if unknown := query.arguments.keys() - {"where", "limit", "offset", "nearVector"}:
            raise Refused(f"Unknown argument {sorted(unknown)}")
        passing = [
            each
            for each in self.objects[query.name].values()
            if "where" not in query.arguments or self._passes(query.arguments["where"], each)
        ]
        if query.verb == "Aggregate":
            assert query.fields == {"meta": {"count": None}}
            return {"Aggregate": {query.name: [{"meta": {"count": len(passing)}}]}}
        start, count = query.arguments.get("offset", 0), query.arguments["limit"]
        if start + count > self.most:
            raise Refused("query maximum results exceeded")
        distances: dict[str, float] = {}
        if (near := query.arguments.get("nearVector")) is not None:
            passing = [e for e in passing if "vector" in e and e["id"] not in self._queued]
            distances = {each["id"]: _distance(near["vector"], each["vector"]) for each in passing}
            passing.sort(key=lambda each: distances[each["id"]])
        made = [
            self._shown(each, query, distances.get(each["id"]))
            for each in passing[start : start + count]
        ]
        return {"Get": {query.name: made}}

    def _shown(self, each: Json, query: Query, distance: float | None) -> Json:
        known, made = self._types(query.name), {}
        for field, inner in query.fields.items():
            if field == "_additional":
                more = {"id": each["id"], "vector": each.get("vector", []), "distance": distance}
                made[field] = {name: more[name] for name in inner}
            elif field not in known:
                raise Refused(f'Cannot query field "{field}"')
            else:
                made[field] = each["properties"].get(field)
        return made

    def _passes(self, where: Json, each: Json) -> bool:
        kind, operator = where["operator"]
        if kind != "enum":
            raise Refused("operator must be an enum")
        if operator in {"And", "Or", "Not"}:
            results = [self._passes(part, each) for part in where["operands"]]
            if operator == "Not":
                [result] = results
                return not result
            return all(results) if operator == "And" else any(results)
        [name] = where["path"]
        if name == "id":
            assert operator == "ContainsAny"
            return each["id"] in where["valueText"]
        known = self._types(each["class"])
        if name not in known or not known[name]["indexFilterable"]:
            raise Refused(f"no such prop, or no filterable index: '{name}'")
        if known[name]["dataType"] == ["int"]:
            found = each["properties"].get(name)
            return operator == "GreaterThan" and found is not None and found > where["valueInt"]
        value = each["properties"].get(name, [])
        values, wanted = value if isinstance(value, list) else [value], where["valueText"]
        if operator == "ContainsAny":
            if not wanted:
                raise Refused("ContainsAny needs values")
            return any(one in wanted for one in values)
        if operator == "Like":
            return any(fnmatchcase(one, wanted) for one in values)
        raise Refused(f"operator {operator}")

    def _listed(self, options: dict[str, list[str]]) -> Answer:
        names = sorted(self.objects[options["class"][0]])
        after, count = options["after"][0], int(options["limit"][0])
        chosen = [name for name in names if name > after][:count]
        return 200, {"objects": [self.objects[options["class"][0]][name] for name in chosen]}

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.__exit__()


def _distance(one: list[float], other: list[float]) -> float:
    if len(one) != len(other):
        raise Refused("vector lengths don't match")
    product = sum(a * b for a, b in zip(one, other, strict=True))
    return 1 - product / math.hypot(*one) / math.hypot(*other)
