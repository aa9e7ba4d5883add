"""A local server that answers as Qdrant's REST API does, over the client's own local mode.

What the local mode forgives and a server does not is refused here: a facet without an index on its
field, filters by fields that have none (as with ``unindexed_filtering_retrieve`` and ``…_update``
off in the strict mode of a collection), requests over ``max_request_size_mb``, keys that the
API does not know, a wrong key.
"""

import threading
import warnings
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from pydantic import ValidationError
from qdrant_client import QdrantClient, models

from standin import Answer, Request, StandIn

_KINDS = {"keyword", "integer", "float"}


class QdrantStandIn:
    """One server; ``with`` starts it."""

    def __init__(self, api_key: str | None = None) -> None:
        self.local = QdrantClient(":memory:", force_disable_check_same_thread=True)
        self.indexes: dict[str, dict[str, str]] = {}
        self.down = False
        self.faults: list[Answer] = []
        self._api_key, self._lock = api_key, threading.Lock()
        self.server = StandIn(self._answer)

    def _answer(self, request: Request) -> Answer:
        if self.faults or self.down:
            return self.faults.pop(0) if self.faults else (503, {"status": {"error": "down"}})
        if self._api_key is not None and request.headers.get("api-key") != self._api_key:
            return 401, b"Must provide an API key or an Authorization bearer token"
        parts = urlsplit(request.path)
        if int(request.headers.get("content-length", 0)) > 32 << 20:
            return 413, b"Payload reached size limit."
        with self._lock:
            try:
                status, result = self._route(request.method, parts.path, parts.query, request.body)
            except (ValidationError, KeyError, AssertionError) as exc:
                return 400, {"status": {"error": f"Wrong input: {exc}"}, "time": 0.0}
            except ValueError as exc:
                return 404, {"status": {"error": str(exc)}, "time": 0.0}
        return status, {"result": result, "status": "ok", "time": 0.0}

    def _route(self, method: str, path: str, query: str, body: Any) -> tuple[int, Any]:  # noqa: PLR0911  a table of what is asked
        _, collections, name, *rest = path.split("/")
        assert collections == "collections"
        match method, rest:
            case "GET", ["exists"]:
                return 200, {"exists": self.local.collection_exists(name)}
            case "GET", []:
                return 200, self._collection(name)
            case "PUT", []:
                return self._create(name, body)
            case "PUT", ["index"]:
                assert body.keys() == {"field_name", "field_schema"}
                assert body["field_schema"] in _KINDS
                assert parse_qs(query) == {"wait": ["true"]}
                self.indexes[name][body["field_name"]] = body["field_schema"]
                return 200, {"operation_id": 1, "status": "completed"}
            case "PUT", ["points"]:
                assert parse_qs(query) == {"wait": ["true"]}
                self.local.upsert(name, models.PointsList.model_validate(body).points)
                return 200, {"operation_id": 1, "status": "completed"}
            case "POST", ["points", "delete"]:
                assert parse_qs(query) == {"wait": ["true"]}
                self._check(name, body["filter"])
                self.local.delete(name, models.FilterSelector.model_validate(body))
                return 200, {"operation_id": 1, "status": "completed"}
            case "POST", _:
                return 200, self._read(name, "/".join(rest), body)
        raise KeyError(path)

    def _create(self, name: str, body: Any) -> tuple[int, Any]:
        if self.local.collection_exists(name):
            raise KeyError("409")
        made = models.CreateCollection.model_validate(body)
        self.local.create_collection(name, vectors_config=made.vectors)
        self.indexes[name] = {}
        return 200, True

    def _collection(self, name: str) -> Any:
        made = self.local.get_collection(name).model_dump(mode="json", exclude_none=True)
        made["config"]["params"] |= {"replication_factor": 1, "shard_number": 1}
        fields = self.indexes[name].items()
        made["payload_schema"] = {field: {"data_type": kind, "points": 0} for field, kind in fields}
        return made

    def _read(self, name: str, what: str, body: Any) -> Any:
        if what == "points":
            asked = models.PointRequest.model_validate(body)
            found: Any = self.local.retrieve(
                name, asked.ids, with_payload=asked.with_payload, with_vectors=asked.with_vector
            )
            return [each.model_dump(mode="json") for each in found]
        if what == "points/query":
            sought = models.QueryRequest.model_validate(body)
            self._check(name, body.get("filter"))
            return self.local.query_points(
                name,
                query=sought.query,
                using=sought.using,
                query_filter=sought.filter,
                limit=sought.limit,
                with_payload=sought.with_payload,
            ).model_dump(mode="json")
        if what == "points/scroll":
            scrolled = models.ScrollRequest.model_validate(body)
            self._check(name, body.get("filter"))
            points, after = self.local.scroll(
                name,
                scroll_filter=scrolled.filter,
                limit=scrolled.limit,
                offset=scrolled.offset,
                with_payload=scrolled.with_payload,
                with_vectors=scrolled.with_vector,
            )
            rows = [each.model_dump(mode="json") for each in points]
            return {"points": rows, "next_page_offset": after}
        if what == "points/count":
            counted = models.CountRequest.model_validate(body)
            assert counted.exact
            self._check(name, body.get("filter"))
            return {"count": self.local.count(name, counted.filter).count}
        assert what == "facet"
        faceted = models.FacetRequest.model_validate(body)
        assert self.indexes[name].get(faceted.key) == "keyword", "index required"
        self._check(name, body.get("filter"))
        found = self.local.facet(name, faceted.key, faceted.filter, limit=faceted.limit or 10)
        return found.model_dump(mode="json")

    def _check(self, name: str, node: Any) -> None:
        """Refuse fields without an index, and types that are not the index's: none is found."""
        if isinstance(node, list):
            for each in node:
                self._check(name, each)
        if not isinstance(node, dict):
            return
        for part in ("must", "should", "must_not"):
            self._check(name, node.get(part))
        if "key" in node:
            kind = self.indexes[name].get(node["key"])
            assert kind is not None, f"Index required but not found for {node['key']!r}"
            values = (node.get("match") or {}).get("any", [])
            wanted = str if kind == "keyword" else int
            assert all(type(each) is wanted for each in values), (kind, values)
            assert node.get("range") is None or kind in {"integer", "float"}

    def __enter__(self) -> Self:
        warnings.filterwarnings("ignore", message="Api key is used with an insecure connection")
        self.server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.__exit__()
        self.local.close()
