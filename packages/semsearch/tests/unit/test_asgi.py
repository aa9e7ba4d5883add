"""The web application: who finds what, and what is refused."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

pytest.importorskip("starlette")
pytest.importorskip("httpx")

import httpx

from semsearch import (
    BackendError,
    ConfigurationError,
    SearchDocument,
    SearchService,
    UnsupportedOperationError,
)
from semsearch.asgi import create_app
from semsearch.testing import FakeEmbedder

DOCUMENTS = [
    SearchDocument("a", "The tides follow the moon.", {"owner": "ada", "kind": "note"}),
    SearchDocument("b", "Tides & <b>boats</b>", {"owner": "bob", "kind": "note"}),
    SearchDocument("c", "The budget is red.", {"owner": "ada", "kind": "sheet"}),
]
USERS: Mapping[str, Any] = {
    "root": True,
    "ada": {"owner": "ada"},
    "bob": {"owner": {"$in": ["bob"]}},
    "none": None,
    "no": False,
    "empty": {},
}


def who(connection: Any) -> Any:
    return USERS.get(connection.headers.get("x-user", "none"))


@pytest.fixture
async def service() -> AsyncIterator[SearchService]:
    async with SearchService(embedder=FakeEmbedder()) as made:
        await made.index_batch(DOCUMENTS)
        yield made


@pytest.fixture
async def client(service: SearchService) -> AsyncIterator[Any]:
    app = create_app(
        service, authorize=who, facets=["kind"], allowed_origins=["https://good.example"]
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://site", headers={"x-user": "root"}
    ) as made:
        yield made


async def found(client: Any, body: Any, user: str = "root") -> Any:
    answer = await client.post("/api/search", json=body, headers={"x-user": user})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_search(client: Any) -> None:
    body = {"query": "tides", "facets": ["kind"], "threshold": 1.0, "limit": 2}
    answer = await found(client, body)
    assert [hit["id"] for hit in answer["hits"]] == ["b", "a"]
    assert answer["hits"][0]["highlights"] == ["<mark>Tides</mark> &amp; &lt;b&gt;boats&lt;/b&gt;"]
    assert set(answer["hits"][0]) == {
        "id", "score", "content", "metadata", "highlights", "scores",
    }  # fmt: skip
    assert answer["facets"]["kind"] == [
        {"value": "note", "count": 2},
        {"value": "sheet", "count": 1},
    ]
    assert answer["total"] == 2
    assert answer["degraded"] is False
    by_url = await client.get("/api/search", params={"q": "tides", "limit": "1", "facets": "kind"})
    assert [hit["id"] for hit in by_url.json()["hits"]] == ["b"]
    narrow = json.dumps({"owner": "ada"})
    by_url = await client.get("/api/search", params={"q": "tides", "filters": narrow})
    assert by_url.json()["hits"][0]["id"] == "a"


async def test_neighbours_documents_stats_clicks(client: Any) -> None:
    near = await client.post("/api/similar", json={"documentId": "a", "limit": 1})
    assert len(near.json()["hits"]) == 1
    document = await client.get("/api/document", params={"id": "c"})
    assert document.json() == {
        "id": "c",
        "content": "The budget is red.",
        "metadata": {"owner": "ada", "kind": "sheet"},
    }
    assert (await client.get("/api/stats")).json()["documents"] == 3
    answer = await found(client, {"query": "tides"})
    click = {"queryId": answer["queryId"], "documentId": "a"}
    assert (await client.post("/api/click", json=click)).status_code == 403
    marked = {"x-semsearch": "1"}
    assert (await client.post("/api/click", json=click, headers=marked)).json() == {"known": True}


async def test_nobody_finds_what_is_not_theirs(client: Any) -> None:
    """Every way in, with filters that try to let more through."""
    tricks: list[Any] = [
        None,
        {"owner": "bob"},
        {"$or": [{"owner": "bob"}, {"owner": "ada"}]},
        {"$not": {"owner": "nobody"}},
        {"owner": {"$exists": True}},
        {"$and": [{"owner": {"$nin": []}}]},
    ]
    for filters in tricks:
        body = {"query": "tides budget", "filters": filters, "facets": ["owner", "kind"]}
        answer = await found(client, body, "ada")
        assert {hit["id"] for hit in answer["hits"]} <= {"a", "c"}
        assert "bob" not in json.dumps(answer["facets"])
        near = await client.post(
            "/api/similar", json={"documentId": "a", "filters": filters}, headers={"x-user": "ada"}
        )
        assert {hit["id"] for hit in near.json()["hits"]} <= {"c"}
    ada = {"x-user": "ada"}
    other = await client.post("/api/similar", json={"documentId": "b"}, headers=ada)
    absent = await client.post("/api/similar", json={"documentId": "none"}, headers=ada)
    assert (other.status_code, other.json()) == (absent.status_code, absent.json())
    other = await client.get("/api/document", params={"id": "b"}, headers=ada)
    absent = await client.get("/api/document", params={"id": "none"}, headers=ada)
    assert (
        (other.status_code, other.json())
        == (absent.status_code, absent.json())
        == (
            404,
            {"error": "no such document"},
        )
    )
    assert (await client.get("/api/stats", headers=ada)).json()["documents"] == 2
    # an answer to one is never another's, whatever is cached
    assert (await found(client, {"query": "boats"}, "bob"))["total"] == 1
    assert "b" not in {
        hit["id"] for hit in (await found(client, {"query": "boats"}, "ada"))["hits"]
    }


@pytest.mark.parametrize("user", ["none", "no", "empty", "stranger"])
async def test_the_default_is_no(client: Any, user: str) -> None:
    headers = {"x-user": user, "x-semsearch": "1"}
    for path in ("/", "/api/config", "/api/search?q=tides", "/api/document?id=a", "/api/stats"):
        assert (await client.get(path, headers=headers)).status_code == 401
    for path in ("/api/search", "/api/similar", "/api/click"):
        body = {"query": "x", "documentId": "a", "queryId": "q"}
        assert (await client.post(path, json=body, headers=headers)).status_code == 401


BAD: list[Any] = [
    [],
    "text",
    {"query": 1},
    {"query": "x", "limit": 0},
    {"query": "x", "limit": 1001},
    {"query": "x", "limit": "10"},
    {"query": "x", "offset": -1},
    {"query": "x", "threshold": 2},
    {"query": "x", "alpha": "NaN"},
    {"query": "x", "diversity": -0.1},
    {"query": "x", "fusion": "magic"},
    {"query": "x", "hybrid": "yes"},
    {"query": "x", "facets": "kind"},
    {"query": "x", "facets": ["k"] * 51},
    {"query": "x", "facets": 5},
    {"query": "x", "facets": True},
    {"query": "x", "facets": [["k"]]},
    {"query": "x", "nonsense": 1},
    {"query": "x" * 10_001},
    {"query": "x", "filters": {"a": {"$magic": 1}}},
    {"query": "x", "filters": []},
]


@pytest.mark.parametrize("body", BAD, ids=lambda body: json.dumps(body)[:40])
async def test_bad_queries_are_refused(client: Any, body: Any) -> None:
    answer = await client.post("/api/search", json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]


async def test_other_bad_requests(client: Any) -> None:
    assert (await client.post("/api/search", content=b"{")).status_code == 415
    kind = {"content-type": "application/json"}
    assert (await client.post("/api/search", content=b"{", headers=kind)).status_code == 400
    huge = b'{"query": "' + b"x" * 70_000 + b'"}'
    assert (await client.post("/api/search", content=huge, headers=kind)).status_code == 413
    deep = b"[" * 50_000
    assert (await client.post("/api/search", content=deep, headers=kind)).status_code == 400
    assert (await client.get("/api/search?q=x&limit=ten")).status_code == 422
    assert (await client.get("/api/search?q=x&filters={")).status_code == 422
    assert (await client.get("/api/search?q=x&other=1")).status_code == 422
    assert (await client.get("/api/document?id=a%00b")).status_code == 422
    assert (await client.get("/api/document")).status_code == 422
    assert (await client.put("/api/search")).status_code == 405
    assert (await client.get("/static/index.html")).status_code == 404
    assert (await client.get("/static/..%2Fapi.py")).status_code == 404


async def test_pages_of_other_sites(client: Any) -> None:
    evil = {"origin": "https://evil.example"}
    assert (await client.get("/api/stats", headers=evil)).status_code == 403
    assert (await client.options("/api/search", headers=evil)).status_code == 403
    good = {"origin": "https://good.example"}
    answer = await client.post("/api/search", json={"query": "tides"}, headers=good)
    assert answer.headers["access-control-allow-origin"] == "https://good.example"
    flight = await client.options("/api/search", headers=good)
    assert "POST" in flight.headers["access-control-allow-methods"]


async def test_what_every_answer_says(client: Any) -> None:
    page = await client.get("/")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    again = await client.get("/", headers={"if-none-match": page.headers["etag"]})
    assert again.status_code == 304
    for name in ("client.js", "client.d.ts"):
        assert (await client.get(f"/{name}", headers={"x-user": "none"})).status_code == 200
    assert (await client.get("/static/page.js", headers={"x-user": "none"})).status_code == 200
    assert (await client.get("/api/stats")).headers["cache-control"] == "no-store"


async def test_a_broken_search_tells_nothing_of_itself(
    client: Any, service: SearchService, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any, **__: Any) -> None:
        raise BackendError("postgresql://user:secret@host is down")

    monkeypatch.setattr(service, "search", broken)
    answer = await client.post("/api/search", json={"query": "x"})
    assert answer.status_code == 503
    assert "secret" not in answer.text

    async def unable(*_: Any, **__: Any) -> None:
        raise UnsupportedOperationError("'pinecone' cannot do $contains")

    monkeypatch.setattr(service, "search", unable)
    answer = await client.post("/api/search", json={"query": "x"})
    assert answer.status_code == 422
    assert "$contains" in answer.json()["error"]

    async def misconfigured(*_: Any, **__: Any) -> None:
        raise ConfigurationError("/etc/secret.yaml is wrong")

    monkeypatch.setattr(service, "search", misconfigured)
    answer = await client.post("/api/search", json={"query": "x"})
    assert answer.status_code == 500
    assert "log" in answer.json()["error"]
    assert "secret" not in answer.text


async def test_what_a_query_asks_for_and_the_search_has_not(client: Any) -> None:
    answer = await client.post("/api/search", json={"query": "tides", "rerank": True})
    assert answer.status_code == 422
    assert "SearchService(reranker=…)" in answer.json()["error"]


@pytest.mark.parametrize(
    "field",
    [
        {"queryExpansion": True}, {"hybrid": True}, {"hybrid": False}, {"diversity": 0.5},
        {"alpha": 0.5}, {"fusion": "rrf"}, {"facets": ["kind"]}, {"highlight": True},
        {"rerank": False}, {"threshold": 1.0},
    ],
    ids=str,
)  # fmt: skip
async def test_the_rest_needs_no_configuring(client: Any, field: Any) -> None:
    assert (await found(client, {"query": "tides", **field}))["hits"]
