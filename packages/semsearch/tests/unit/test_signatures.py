"""Our classes take what the users' specification says, in its order."""

import dataclasses
import inspect

import pytest

from semsearch import (
    SearchDocument,
    SearchQuery,
    SearchResult,
    SearchService,
    SearchStats,
    sync,
)

SPECIFIED = {
    "index": ["document"],
    "index_batch": ["documents"],
    "search": ["query"],
    "delete": ["document_id"],
    "update": ["document_id", "document"],
    "find_similar": ["document_id", "limit"],
    "get_stats": [],
}
FIELDS = {
    SearchDocument: ["id", "content", "metadata", "embeddings"],
    SearchQuery: [
        "query", "filters", "limit", "threshold", "hybrid", "rerank", "query_expansion",
    ],
    SearchResult: ["id", "score", "content", "metadata", "highlights"],
    SearchStats: ["documents", "searches", "avg_latency", "cache_hit_rate"],
}  # fmt: skip


@pytest.mark.parametrize("method", SPECIFIED)
def test_parameters(method: str) -> None:
    ours = list(inspect.signature(getattr(SearchService, method)).parameters)[1:]
    assert ours[: len(SPECIFIED[method])] == SPECIFIED[method]


@pytest.mark.parametrize("kind", FIELDS)
def test_fields(kind: type) -> None:
    names = [each.name for each in dataclasses.fields(kind)]
    assert names[: len(FIELDS[kind])] == FIELDS[kind]


def test_find_similar_limit() -> None:
    assert inspect.signature(SearchService.find_similar).parameters["limit"].default == 10


PUBLIC = sorted(name for name in vars(sync.SearchService) if not name.startswith("_"))


def test_sync_has_the_same_methods() -> None:
    inner = {"settings", "settings_type", "durable_example"}
    theirs = {name for name in dir(SearchService) if not name.startswith("_")} - inner
    assert set(PUBLIC) == theirs - {"aclose"} | {"close"}


@pytest.mark.parametrize("method", [name for name in PUBLIC if name not in {"close", "from_url"}])
def test_sync_signatures(method: str) -> None:
    ours = inspect.signature(getattr(sync.SearchService, method)).parameters
    theirs = inspect.signature(getattr(SearchService, method)).parameters
    assert [(p.name, p.kind, p.default) for p in ours.values()] == [
        (p.name, p.kind, p.default) for p in theirs.values()
    ]
