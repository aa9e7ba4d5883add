"""The same documents in, the same answers out, whatever keeps them.

Long documents, hostile metadata, changes and deletes; every exact store against the one in memory,
every keyword index that ranks as BM25 does against the embedded one. Servers that are not here are
stand-ins.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from semsearch import Chunker, SearchDocument, SearchResults, SearchService
from semsearch.adapters.embedders import HashingEmbedder

pytest.importorskip("httpx")

from semsearch.adapters.elasticsearch import ElasticsearchIndex, ElasticsearchStore
from semsearch.adapters.memory import MemoryStore
from semsearch.adapters.pinecone import PineconeStore
from semsearch.adapters.sqlite import SQLiteStore
from semsearch.adapters.typesense import TypesenseIndex
from semsearch.adapters.weaviate import WeaviateStore
from semsearch.errors import UnsupportedOperationError
from semsearch.ports import KeywordIndex, VectorStore
from standin_elasticsearch import ElasticsearchStandIn
from standin_pinecone import PineconeStandIn
from standin_typesense import TypesenseStandIn
from standin_weaviate import WeaviateStandIn

WORDS = [
    "tide",
    "moon",
    "boat",
    "harbour",
    "tax",
    "river",
    "stone",
    "glass",
    "wind",
    "rain",
    "snow",
    "volcano",
    "ash",
]


def text(n: int) -> str:
    """Return a text of a few words, or (every sixth) of many sentences."""
    few = " ".join(WORDS[(n * k + k * k) % len(WORDS)] for k in range(1, 4 + n % 4))
    if n % 6:
        return few
    return " ".join(f"The {WORDS[(n + k) % len(WORDS)]} and {few} {k}." for k in range(12))


DOCS = [
    SearchDocument(
        f"d{n:02}",
        text(n),
        {
            "n": n,
            "kind": ["even", "odd"][n % 2],
            "at": f"2026-03-{1 + n % 28:02}T12:00:00+0{n % 3}:00",
            "tags": [WORDS[n % 5], 'a"b' if n % 3 else None],
            "language": "de" if n % 11 == 10 else "en",
            "odd $name.x": n % 4 / 3,
        },
    )
    for n in range(40)
]
QUERIES: list[tuple[str, dict[str, Any]]] = [
    ("tide moon", {}),
    ("volcano ash in the harbour", {"filters": {"kind": "odd"}}),
    ("boats", {"filters": {"n": {"$gte": 5, "$lt": 30}, "tags": {"$ne": "tide"}}}),
    ("rivers of rain", {"filters": {"at": {"$gt": "2026-03-10"}}, "facets": ["kind", "tags"]}),
    (
        "stone",
        {"filters": {"$or": [{"tags": 'a"b'}, {"odd $name.x": 1.0}]}, "facets": ["odd $name.x"]},
    ),
    ("glass", {"filters": {"$not": {"tags": {"$in": ["moon", None]}}}, "fusion": "rrf"}),
    ("snow wind", {"hybrid": False, "threshold": 0.0, "limit": 60, "facets": ["n"]}),
    ("tide", {"limit": 7, "offset": 5, "threshold": 0.0}),
    ("moon", {"query_expansion": True, "limit": 5}),
    ("tax", {"filters": {"tags": {"$prefix": "ti"}}}),
    ("", {"facets": ["kind"]}),
]
Made = Callable[[pytest.FixtureRequest, contextlib.ExitStack], Any]


def sqlite(request: pytest.FixtureRequest, _: contextlib.ExitStack) -> VectorStore:
    folder: Path = request.getfixturevalue("tmp_path")
    return SQLiteStore(f"sqlite:///{folder}/index.db")


def edge(request: pytest.FixtureRequest, _: contextlib.ExitStack) -> VectorStore:
    pytest.importorskip("qdrant_edge")
    from semsearch.adapters.edge import EdgeStore

    return EdgeStore(f"edge:///{request.getfixturevalue('tmp_path')}/index?exact=on")


def qdrant(_: pytest.FixtureRequest, __: contextlib.ExitStack) -> VectorStore:
    pytest.importorskip("qdrant_client")
    from semsearch.adapters.qdrant import QdrantStore

    return QdrantStore("qdrant://")


def pgvector(request: pytest.FixtureRequest, _: contextlib.ExitStack) -> VectorStore:
    pytest.importorskip("asyncpg")
    from semsearch.adapters.pgvector import PgVectorStore

    return PgVectorStore(f"{request.getfixturevalue('postgres_url')}?index=none")


def elasticsearch(_: pytest.FixtureRequest, stack: contextlib.ExitStack) -> VectorStore:
    return ElasticsearchStore(f"{stack.enter_context(ElasticsearchStandIn()).url}/docs?index=none")


def weaviate(_: pytest.FixtureRequest, stack: contextlib.ExitStack) -> VectorStore:
    return WeaviateStore(f"{stack.enter_context(WeaviateStandIn()).url}/Docs?index=none")


def pinecone(_: pytest.FixtureRequest, stack: contextlib.ExitStack) -> VectorStore:
    server = stack.enter_context(PineconeStandIn())
    store = PineconeStore(f"{server.url}/docs?tls=off", api_key="key")
    points: Any = store._points
    points._link.sleep = lambda _: None
    return store


def elasticsearch_words(_: pytest.FixtureRequest, stack: contextlib.ExitStack) -> KeywordIndex:
    return ElasticsearchIndex(f"{stack.enter_context(ElasticsearchStandIn()).url}/words")


def typesense_words(_: pytest.FixtureRequest, stack: contextlib.ExitStack) -> KeywordIndex:
    server = stack.enter_context(TypesenseStandIn())
    return TypesenseIndex(f"{server.url}/words?tls=off", api_key="key")


def postgres_words(request: pytest.FixtureRequest, _: contextlib.ExitStack) -> KeywordIndex:
    pytest.importorskip("asyncpg")
    from semsearch.adapters.postgres_words import PostgresIndex

    return PostgresIndex(request.getfixturevalue("postgres_url"))


async def answers(**sides: Any) -> list[Any]:
    """Index, change, delete; return what every question finds."""
    chunker = Chunker(size=30, overlap=6)
    async with SearchService(embedder=HashingEmbedder(64), chunker=chunker, **sides) as search:
        await search.index_batch(DOCS)
        await search.delete("d07")
        await search.delete_by_filter({"n": {"$in": [12, 13]}})
        await search.index(SearchDocument("d18", text(3), DOCS[18].metadata))
        await search.index(SearchDocument("d24", text(24), {**(DOCS[24].metadata or {}), "n": 99}))
        await search.index(SearchDocument("d05", text(30), DOCS[5].metadata))
        found: list[Any] = []
        for query, options in QUERIES:
            try:
                found.append(await search.search(query, **options))
            except UnsupportedOperationError:
                found.append(None)
        found.append(await search.find_similar("d05", 30, filters={"kind": "odd"}))
        found.append([await search.count(), await search.count({"n": {"$gt": 20}})])
        assert (await search.repair()).differences == 0
        return found


def compare(found: Any, expected: Any) -> None:
    """Scores are equal, and ids where scores tell them apart."""
    scores = [hit.score for hit in found]
    assert scores == pytest.approx([hit.score for hit in expected], abs=2e-4)
    by_id = {hit.id: hit for hit in expected}
    for place, hit in enumerate(found):
        other = expected[place]
        assert hit.id == other.id or hit.score == pytest.approx(other.score, abs=4e-4)
        if hit.id in by_id:
            same = by_id[hit.id]
            assert (hit.content, hit.metadata) == (same.content, same.metadata)
            assert hit.highlights == same.highlights
            assert hit.scores.keys() == same.scores.keys()
    if isinstance(found, SearchResults):
        assert found.total == expected.total
        assert found.facets == expected.facets
        assert found.degraded is None


@pytest.fixture
async def reference() -> list[Any]:
    return await answers(store=MemoryStore())


def check(found: list[Any], reference: list[Any], refused: int) -> None:
    assert sum(each is None for each in found) == refused
    for mine, expected in zip(found[:-1], reference[:-1], strict=True):
        if mine is not None:
            compare(mine, expected)
    assert found[-1] == reference[-1] == [37, 19]


@pytest.mark.parametrize(
    ("made", "refused"),
    [
        (sqlite, 0),
        (edge, 0),
        (qdrant, 0),
        pytest.param(pgvector, 0, marks=pytest.mark.integration),
        (elasticsearch, 0),
        (weaviate, 0),
        (pinecone, 1),
    ],
)
async def test_stores(
    made: Made, refused: int, request: pytest.FixtureRequest, reference: list[Any]
) -> None:
    with contextlib.ExitStack() as stack:
        check(await answers(store=made(request, stack)), reference, refused)


@pytest.mark.parametrize(
    ("made", "refused"),
    [
        (elasticsearch_words, 0),
        (typesense_words, 1),
        pytest.param(postgres_words, 0, marks=pytest.mark.integration),
    ],
)
async def test_keyword_indexes(
    made: Made, refused: int, request: pytest.FixtureRequest, reference: list[Any]
) -> None:
    with contextlib.ExitStack() as stack:
        found = await answers(store=MemoryStore(), keywords=made(request, stack))
        check(found, reference, refused)
