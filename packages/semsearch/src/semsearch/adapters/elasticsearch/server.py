"""A server of Elasticsearch: its address, its errors, one index in it."""

import base64
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote

import msgspec

from ..._common.urls import flag, query_of, redact
from ...errors import BackendError, ConfigurationError
from ..address import base_of, parts_of
from ..batches import USUAL, batches, encoded
from ..points import Json
from ..rest import Rest

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")
PAGE = 1000
MOST = 10_000
"""``index.max_result_window``, and the most candidates of a search by vectors."""
_BATCH_BYTES, _MOST_BYTES = USUAL, 100 << 20
"""Bytes of a request with several documents, and with one (``http.max_content_length``)."""
_THERE = "resource_already_exists_exception"
_Action = list[msgspec.Raw]
"""The lines of one document in a bulk request."""
_ATTEMPTS, _BUSY = 5, frozenset({429, 503})


class Server:
    """One index of a server."""

    def __init__(
        self, url: str, collection: str, api_key: str | None, options: frozenset[str]
    ) -> None:
        """Take an address apart.

        Args:
            url: ``elasticsearch://user:password@host:9200/index?tls=on&shards=1``.
            collection: The index, where the URL names none.
            api_key: In place of user and password.
            options: What the URL may say beside ``tls`` and ``shards``.

        Raises:
            ConfigurationError: A part is wrong.
        """
        parts = parts_of(url)
        self.options = query_of(url, allowed=frozenset({"tls", "shards"}) | options)
        self.index = parts.path.strip("/") or collection
        self.where = redact(url)
        if not parts.hostname:
            raise ConfigurationError(f"no host in {self.where!r}")
        if not _NAME.fullmatch(self.index):
            raise ConfigurationError(
                "an index of Elasticsearch is named by lower-case letters, digits, '_' and '-', "
                f"at most 100, not {self.index[:60]!r}"
            )
        self.shards = self.options.get("shards", "1")
        if not self.shards.isdecimal() or not 1 <= int(self.shards) <= 1024:
            raise ConfigurationError(f"shards must be 1 to 1024, not {self.shards[:60]!r}")
        headers: dict[str, str] = {}
        if api_key is not None:
            headers["authorization"] = f"ApiKey {api_key}"
        elif parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            headers["authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        tls = flag(self.options, "tls", default=bool(headers))
        base = base_of(parts, tls=tls, port=9200)
        self.rest = Rest(base, headers, reason=_reason)

    def is_there(self) -> bool:
        """Return whether the index is there."""
        return self.rest.ask("HEAD", f"/{self.index}", well=frozenset({404})).status == 200

    def create(self, properties: Json) -> None:
        """Make the index, unless somebody else was faster."""
        settings: Json = {"number_of_shards": int(self.shards)}
        ways = [settings]
        if "vector" in properties:
            # from 9.2 on documents come back without vectors, if not said otherwise; older servers
            # know no such setting
            ways.insert(0, {**settings, "mapping": {"exclude_source_vectors": False}})
        kind = ""
        for each in ways:
            kind = self._made(properties, each)
            if kind in {"", _THERE}:
                return
        raise BackendError(f"{self.where}: HTTP 400 {kind}")

    def _made(self, properties: Json, settings: Json) -> str:
        """Return why the index was not made, nothing if it was."""
        analysis = {"analyzer": {"stems": {"type": "custom", "tokenizer": "whitespace"}}}
        body: Json = {
            "settings": {"index": settings, "analysis": analysis},
            "mappings": {
                "dynamic": "strict",
                "_meta": {"made_by": "semsearch", "format": 1},
                "properties": properties,
            },
        }
        answer = self.rest.ask("PUT", f"/{self.index}", body, well=frozenset({400}))
        with self.rest.reading():
            return _reason(answer.body) if answer.status == 400 else ""

    def check(self) -> Json:
        """Return the index's properties.

        Raises:
            ConfigurationError: It is somebody else's.
        """
        found = self.rest.ask("GET", f"/{self.index}/_mapping").body
        with self.rest.reading():
            [mapping] = [each["mappings"] for each in found.values()]
            if mapping.get("_meta", {}).get("made_by") != "semsearch":
                raise ConfigurationError(
                    f"{self.where}: {self.index!r} is no index of semsearch: use another one"
                )
            properties: Json = mapping["properties"]
            return properties

    def write(self, puts: Sequence[tuple[str, Json]], deletes: Sequence[str] = ()) -> None:
        """Put and delete documents; searches find the outcome when this returns.

        Raises:
            BackendError: Some were refused; the others may be there.
        """
        actions: list[_Action] = []
        sizes: list[int] = []
        for lines in (
            *([{"delete": {"_id": name}}] for name in deletes),
            *([{"index": {"_id": name}}, body] for name, body in puts),
        ):
            pairs = [encoded(each) for each in lines]
            actions.append([raw for raw, _ in pairs])
            sizes.append(sum(size for _, size in pairs))
        for part in batches(
            actions, sizes, "Elasticsearch", size=_BATCH_BYTES, count=10_000, most=_MOST_BYTES
        ):
            left, refused = self._bulk(part)
            for attempt in range(1, _ATTEMPTS):
                if not left or not _BUSY.issuperset(refused.values()):
                    break
                self.rest.pause(attempt)
                left, refused = self._bulk(left)
            if left:
                raise BackendError(
                    f"{self.where}: {len(left)} of {len(part)} documents were refused: "
                    f"{', '.join(sorted(refused))}",
                    retryable=_BUSY.issuperset(refused.values()),
                )

    def _bulk(self, part: Sequence[_Action]) -> tuple[list[_Action], dict[str, int]]:
        """Return the actions that the server refused, and the kinds of errors with a status."""
        lines = [line for action in part for line in action]
        answer = self.rest.ask("POST", f"/{self.index}/_bulk?refresh=wait_for", lines=lines)
        left: list[_Action] = []
        refused: dict[str, int] = {}
        with self.rest.reading():
            # items stand in the order of the actions
            for action, each in zip(part, answer.body["items"], strict=True):
                [item] = each.values()
                if item["status"] >= 300 and item["status"] != 404:
                    left.append(action)
                    refused[str(item["error"]["type"])[:60]] = item["status"]
        return left, refused

    def search(self, body: Json) -> Json:
        """Return the answer of a search."""
        way = "?search_type=dfs_query_then_fetch" if int(self.shards) > 1 else ""
        found: Json = self.rest.ask("POST", f"/{self.index}/_search{way}", body).body
        with self.rest.reading():
            if found.get("timed_out") or found["_shards"]["failed"]:
                raise BackendError(f"{self.where}: a search was answered in part", retryable=True)
        return found

    def everything(self, query: Json, source: "bool | Json", order: str) -> Iterator[Json]:
        """Yield all hits of a query, by a field whose values are unique."""
        sort = [{order: {"order": "asc"}}]
        body: Json = {"query": query, "size": PAGE, "_source": source, "sort": sort}
        while True:
            found = self.search(body)
            with self.rest.reading():
                hits: list[Json] = found["hits"]["hits"]
                body["search_after"] = hits[-1]["sort"] if hits else []
            yield from hits
            if len(hits) < PAGE:
                return

    def many(self, names: Sequence[str]) -> list[Json]:
        """Return the documents of these names that are there, as they are written last."""
        if not names:
            return []
        answer = self.rest.ask("POST", f"/{self.index}/_mget", {"ids": list(names)})
        with self.rest.reading():
            return [each["_source"] for each in answer.body["docs"] if each.get("found")]

    def count(self, query: Json) -> int:
        """Return how many documents a query finds."""
        answer = self.rest.ask("POST", f"/{self.index}/_count", {"query": query})
        with self.rest.reading():
            return int(answer.body["count"])

    def remove(self, query: Json) -> None:
        """Delete what a query finds and nobody changes meanwhile."""
        path = f"/{self.index}/_delete_by_query?refresh=true&conflicts=proceed"
        self.rest.ask("POST", path, {"query": query})


def _reason(found: Any) -> str:
    error = found["error"]
    return str(error if isinstance(error, str) else error["type"])


def rendered(node: Json) -> Json:
    """Return a condition as a query of Elasticsearch."""
    if "key" not in node:
        made: Json = {}
        if "must" in node:
            made["filter"] = [rendered(part) for part in node["must"]]
        if "must_not" in node:
            made["must_not"] = [rendered(part) for part in node["must_not"]]
        if "should" in node:
            made["should"] = [rendered(part) for part in node["should"]]
            made["minimum_should_match"] = 1
        return {"bool": made}
    field = node["key"]
    if "match" in node:
        return {"terms": {field: node["match"]["any"]}}
    if "prefix" in node:
        return {"prefix": {field: {"value": node["prefix"]}}}
    if "holds" in node:
        start, part = node["holds"]
        return {"wildcard": {field: {"value": f"{start}*{part}*"}}}
    return {"range": {field: node["range"]}}
