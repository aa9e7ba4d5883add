"""A local server that answers as Typesense 26 does, where this package asks it.

Strict: unknown parameters and fields, fields without an index, pages and searches over the limits,
wrong types and missing keys are refused as the real one refuses them.
"""

import json
import re
import threading
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from standin import Answer, Request, StandIn

Json = dict[str, Any]
_SEARCH = {
    "collection", "q", "per_page", "page", "filter_by", "facet_by", "max_facet_values",
    "include_fields",
}  # fmt: skip
_TYPES: dict[str, Any] = {"string": str, "int32": int, "string[]": list, "int32[]": list}
_TOKEN = re.compile(r"\s*(\(|\)|&&|\|\||[a-z]+:(?:=|!=)?\[[^\]]*\])")


class Refused(Exception):
    pass


class TypesenseStandIn:
    """One server; ``with`` starts it.

    Attributes:
        faults: Answers that are given to the next requests instead, in order.
        refused: Ids that the next import refuses.
    """

    def __init__(self, api_key: str = "key") -> None:
        self.collections: dict[str, Json] = {}
        self.documents: dict[str, dict[str, Json]] = {}
        self.faults: list[Answer] = []
        self.refused: set[str] = set()
        self._api_key, self._lock = api_key, threading.Lock()
        self.server = StandIn(self._answer)

    @property
    def url(self) -> str:
        return self.server.url.replace("http", "typesense")

    def _answer(self, request: Request) -> Answer:
        with self._lock:
            if self.faults:
                return self.faults.pop(0)
            if request.headers.get("x-typesense-api-key") != self._api_key:
                message = "Forbidden - a valid `x-typesense-api-key` header must be sent."
                return 401, {"message": message}
            parts = urlsplit(request.path)
            options = {name: value[0] for name, value in parse_qs(parts.query).items()}
            try:
                return self._route(request, parts.path.split("/")[1:], options)
            except Refused as exc:
                return 400, {"message": str(exc)}

    def _route(self, request: Request, path: list[str], options: dict[str, str]) -> Answer:  # noqa: PLR0911  a table of what is asked
        match request.method, path:
            case "POST", ["collections"]:
                return self._create(request.body)
            case "POST", ["multi_search"]:
                if len(request.body["searches"]) > 50:
                    raise Refused("Number of multi searches exceeds `limit_multi_searches`")
                return 200, {"results": [self._search(each) for each in request.body["searches"]]}
            case _, ["collections", name, *_] if name not in self.collections:
                return 404, {"message": "Not Found"}
            case "GET", ["collections", name]:
                return 200, self.collections[name]
            case "POST", ["collections", name, "documents", "import"]:
                assert options == {"action": "upsert"}
                lines = [json.loads(line) for line in request.body.splitlines()]
                made = [json.dumps(self._put(name, each)) for each in lines]
                return 200, "\n".join(made).encode()
            case "DELETE", ["collections", name, "documents"]:
                gone = self._passing(name, options["filter_by"])
                for each in gone:
                    del self.documents[name][each["id"]]
                return 200, {"num_deleted": len(gone)}
            case "GET", ["collections", name, "documents", "export"]:
                fields = options["include_fields"].split(",")
                rows = [
                    json.dumps({field: each[field] for field in fields})
                    for each in self.documents[name].values()
                ]
                return 200, "\n".join(rows).encode()
        return 404, {"message": "Not Found"}

    def _create(self, body: Json) -> Answer:
        if body.keys() - {"name", "fields", "metadata"}:
            raise Refused("unknown parameter")
        if body["name"] in self.collections:
            return 409, {"message": "A collection with name already exists."}
        for each in body["fields"]:
            if each["type"] not in _TYPES:
                raise Refused(f"Field `{each['name']}` has an invalid data type")
            if not each.get("index", True) and not each.get("optional"):
                raise Refused("fields that are not indexed must be optional")
        self.collections[body["name"]], self.documents[body["name"]] = body, {}
        return 201, body

    def _put(self, name: str, body: Json) -> Json:
        if body["id"] in self.refused:
            self.refused.discard(body["id"])
            return {"success": False, "code": 503, "error": "Not Ready or Lagging"}
        for field in self.collections[name]["fields"]:
            value = body.get(field["name"])
            inner = int if "int" in field["type"] else str
            good = type(value) is _TYPES[field["type"]] and (
                not isinstance(value, list) or all(type(one) is inner for one in value)
            )
            if not good:
                error = f"Field `{field['name']}` must be a {field['type']}."
                return {"success": False, "code": 400, "error": error}
        self.documents[name][body["id"]] = body
        return {"success": True}

    def _search(self, body: Json) -> Json:
        name = body["collection"]
        if body.keys() - _SEARCH or body["q"] != "*" or name not in self.collections:
            return {"code": 400, "error": "unknown parameter"}
        if body.get("per_page", 10) > 250:
            return {"code": 422, "error": "Only upto 250 hits can be fetched per page."}
        try:
            found = self._passing(name, body.get("filter_by"))
        except Refused as exc:
            return {"code": 400, "error": str(exc)}
        size, page = body.get("per_page", 10), body.get("page", 1)
        fields = body.get("include_fields", "").split(",")
        hits = [
            {"document": {k: v for k, v in each.items() if fields == [""] or k in fields}}
            for each in found[(page - 1) * size : page * size]
        ]
        made: Json = {"found": len(found), "hits": hits, "page": page, "facet_counts": []}
        if (field := body.get("facet_by")) is not None:
            values = [each[field] for each in found]
            stats = {"avg": sum(values) / len(values), "sum": sum(values)} if values else {}
            made["facet_counts"] = [{"field_name": field, "counts": [], "stats": stats}]
        return made

    def _passing(self, name: str, wanted: str | None) -> list[Json]:
        rows = list(self.documents[name].values())
        if wanted is None:
            return rows
        tokens = _TOKEN.findall(wanted)
        if "".join(tokens) != wanted.replace(" ", ""):
            raise Refused("Could not parse the filter query.")
        indexed = {f["name"] for f in self.collections[name]["fields"] if f.get("index", True)} | {
            "id"
        }
        test = _Filter(tokens, indexed).expression()
        return [each for each in rows if test(each)]

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.__exit__()


class _Filter:
    """``a && (b || c)`` as a function of a document."""

    def __init__(self, tokens: list[str], indexed: set[str]) -> None:
        self._tokens, self._indexed = tokens, indexed

    def expression(self) -> Any:
        parts, operators = [self._one()], set()
        while self._tokens and self._tokens[0] in {"&&", "||"}:
            operators.add(self._tokens.pop(0))
            parts.append(self._one())
        if len(operators) > 1:
            raise Refused("this stand-in wants parentheses")
        join = any if operators == {"||"} else all
        return lambda row: join(part(row) for part in parts)

    def _one(self) -> Any:
        token = self._tokens.pop(0)
        if token == "(":
            inner = self.expression()
            if self._tokens.pop(0) != ")":
                raise Refused("Could not parse the filter query: unbalanced parentheses.")
            return inner
        field, _, rest = token.partition(":")
        if field not in self._indexed:
            raise Refused(f"Could not find a filter field named `{field}` in the schema.")
        values = set(rest.partition("[")[2].rstrip("]").split(","))
        negated = rest.startswith("!=")
        return lambda row: bool(values & set(_listed(row[field]))) is not negated


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
