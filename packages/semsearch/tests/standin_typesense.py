"""A local server that answers as Typesense 26 does, where this package asks it.

Strict: missing keys and parameters, fields without an index or facets, wrong types, pages, searches
and operations of a filter over the limits are refused with the status and the words of the real one
(``core_api.cpp``, ``collection.cpp``, ``filter.cpp`` of Typesense). It is stricter in one thing:
parameters that this package does not send are refused, where the real one overlooks them.
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
_OPTIONS = {"import": {"action"}, "export": {"include_fields"}, "delete": {"filter_by"}}
_ACTIONS = {"create", "update", "upsert", "emplace"}
_TYPES: dict[str, Any] = {"string": str, "int32": int, "string[]": list, "int32[]": list}
_PARTS = {"name", "type", "facet", "index", "optional"}
_MOST_OPERATIONS = 100
"""``--filter-by-max-ops``: of conditions and of what joins them."""
_TOKEN = re.compile(r"\s*(\(|\)|&&|\|\||[a-z]+:(?:=|!=)?\[[^\]]*\])")


class Refused(Exception):
    """The words of the refusal, and the status."""

    def __init__(self, said: str, status: int = 400) -> None:
        super().__init__(said)
        self.status = status


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
                return exc.status, {"message": str(exc)}

    def _route(self, request: Request, path: list[str], options: dict[str, str]) -> Answer:  # noqa: PLR0911  a table of what is asked
        match request.method, path:
            case "POST", ["collections"]:
                return self._create(_object(request.body))
            case "POST", ["multi_search"]:
                return self._multi_search(_object(request.body))
            case _, ["collections", name, *rest] if name not in self.collections:
                return 404, {"message": "Collection not found" if rest else "Not Found"}
            case "GET", ["collections", name]:
                return 200, self._described(name)
            case "POST", ["collections", name, "documents", "import"]:
                _known(options, _OPTIONS["import"])
                assert request.headers["content-type"] == "application/octet-stream"
                if options.get("action", "create") not in _ACTIONS:
                    raise Refused("Parameter `action` must be a create|update|upsert.")
                assert options["action"] == "upsert"  # what is there is replaced
                made = [json.dumps(self._put(name, each)) for each in request.body.splitlines()]
                return 200, "\n".join(made).encode()
            case "DELETE", ["collections", name, "documents"]:
                _known(options, _OPTIONS["delete"])
                if "filter_by" not in options:
                    raise Refused("Parameter `filter_by` must be provided.")
                gone = self._passing(name, options["filter_by"])
                for each in gone:
                    del self.documents[name][each["id"]]
                return 200, {"num_deleted": len(gone)}
            case "GET", ["collections", name, "documents", "export"]:
                _known(options, _OPTIONS["export"])
                fields = options["include_fields"].split(",")
                rows = [
                    json.dumps({field: each[field] for field in fields})
                    for each in self.documents[name].values()
                ]
                return 200, "\n".join(rows).encode()
        return 404, {"message": "Not Found"}

    def _create(self, body: Json) -> Answer:
        _known(body, {"name", "fields", "metadata"})
        for name in ("name", "fields"):
            if not body.get(name):
                raise Refused(f"Parameter `{name}` is required.")
        if body["name"] in self.collections:
            raise Refused(f"A collection with name `{body['name']}` already exists.", 409)
        for each in body["fields"]:
            _known(each, _PARTS)
            if each["type"] not in _TYPES:
                error = f"` has an invalid data type `{each['type']}`, see docs for supported data"
                raise Refused(f"Field `{each['name']}{error} types.")
            if not each.get("index", True) and not each.get("optional"):
                raise Refused(f"Field `{each['name']}` must be optional since it is not indexed.")
        self.collections[body["name"]], self.documents[body["name"]] = body, {}
        return 201, self._described(body["name"])

    def _described(self, name: str) -> Json:
        return {
            **self.collections[name],
            "num_documents": len(self.documents.get(name, ())),
            "created_at": 1,
        }

    def _multi_search(self, body: Json) -> Answer:
        _known(body, {"searches"})
        if not isinstance(body.get("searches"), list):
            raise Refused("Missing `searches` array.")
        if len(body["searches"]) > 50:
            raise Refused("Number of multi searches exceeds `limit_multi_searches` parameter.")
        results: list[Json] = []
        for each in body["searches"]:
            try:
                results.append(self._search(each))
            except Refused as exc:
                results.append({"code": exc.status, "error": str(exc)})
        return 200, {"results": results}

    def _put(self, name: str, line: bytes) -> Json:
        try:
            body = json.loads(line)
        except ValueError as exc:
            return {"success": False, "code": 400, "error": f"Bad JSON: {exc}"}
        if not isinstance(body.get("id"), str):
            error = "Document's `id` field should be a string."
            return {"success": False, "code": 400, "error": error}
        if body["id"] in self.refused:
            self.refused.discard(body["id"])
            return {"success": False, "code": 503, "error": "Not Ready or Lagging"}
        for field in self.collections[name]["fields"]:
            if (error := _wrong(field, body)) is not None:
                return {"success": False, "code": 400, "error": error}
        self.documents[name][body["id"]] = body
        return {"success": True}

    def _search(self, body: Json) -> Json:
        _known(body, _SEARCH)
        name = body["collection"]
        if name not in self.collections:
            raise Refused("Not found.", 404)
        if "q" not in body:
            raise Refused("Parameter `q` is required.")
        assert body["q"] == "*"  # without words no fields to look for them are named
        size, page = (_unsigned(body, "per_page", 10), _unsigned(body, "page", 1))
        if size > 250:
            raise Refused("Only upto 250 hits can be fetched per page.", 422)
        found = self._passing(name, body.get("filter_by"))
        fields = body.get("include_fields", "").split(",")
        hits = [
            {"document": {k: v for k, v in each.items() if fields == [""] or k in fields}}
            for each in found[(page - 1) * size : page * size]
        ]
        made: Json = {"found": len(found), "hits": hits, "page": page, "facet_counts": []}
        if (field := body.get("facet_by")) is not None:
            facets = {
                each["name"] for each in self.collections[name]["fields"] if each.get("facet")
            }
            if field not in facets:
                raise Refused(f"Could not find a facet field named `{field}` in the schema.", 404)
            _unsigned(body, "max_facet_values", 10)
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
        if sum(token not in {"(", ")"} for token in tokens) > _MOST_OPERATIONS:
            raise Refused(
                f"`filter_by` has too many operations. Maximum allowed: {_MOST_OPERATIONS}. Use "
                "`--filter-by-max-ops` command line argument to customize this value."
            )
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
        if not self._tokens:
            raise Refused("Filter query cannot be empty.")
        token = self._tokens.pop(0)
        if token == "(":
            inner = self.expression()
            if self._tokens[:1] != [")"]:
                raise Refused("Could not parse the filter query: unbalanced parentheses.")
            self._tokens.pop(0)
            return inner
        field, _, rest = token.partition(":")
        if field not in self._indexed:
            raise Refused(f"Could not find a filter field named `{field}` in the schema.", 404)
        values = set(rest.partition("[")[2].rstrip("]").split(","))
        negated = rest.startswith("!=")
        return lambda row: bool(values & set(_listed(row[field]))) is not negated


def _known(given: Json, known: set[str]) -> None:
    if unknown := sorted(given.keys() - known):
        raise Refused(f"this stand-in knows no parameter `{unknown[0]}`")


def _object(body: Any) -> Json:
    if not isinstance(body, dict):
        raise Refused("Bad JSON.")
    return body


def _unsigned(body: Json, name: str, usual: int) -> int:
    value = body.get(name, usual)
    if type(value) is not int or value < 0:
        raise Refused(f"Parameter `{name}` must be an unsigned integer.")
    return value


def _wrong(field: Json, body: Json) -> str | None:
    """Return what is wrong about a field of a document."""
    name, kind = field["name"], field["type"]
    if name not in body:
        said = "has been declared in the schema, but is not found in the document."
        return None if field.get("optional") else f"Field `{name}` {said}"
    value, inner = body[name], "int32" if "int32" in kind else "string"
    if type(value) is not _TYPES[kind]:
        return (
            f"Field `{name}` must be an array."
            if "[]" in kind
            else f"Field `{name}` must be {inner}."
        )
    items = value if isinstance(value, list) else [value]
    if not all(type(one) is _TYPES[inner] for one in items):
        return f"Field `{name}` must be an array of {inner}."
    if inner == "int32" and not all(-(2**31) <= one < 2**31 for one in items):
        return f"Field `{name}` must be {'an array of ' if '[]' in kind else 'an '}int32."
    return None


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
