"""What tells of deletions is removed when it is more than the documents, and nobody misses one."""

import contextlib
from pathlib import Path
from typing import Any

import pytest

from semsearch.ports import VectorStore
from semsearch.testing import DIMENSION, MODEL, document

pytest.importorskip("httpx")
pytest.importorskip("qdrant_client")

from semsearch.adapters import point_store
from semsearch.adapters.elasticsearch import ElasticsearchStore
from semsearch.adapters.pinecone import PineconeStore
from semsearch.adapters.point_changes import changes_since, marks
from semsearch.adapters.point_store import PointStore
from semsearch.adapters.qdrant import QdrantStore
from semsearch.adapters.weaviate import WeaviateStore
from standin_elasticsearch import ElasticsearchStandIn
from standin_pinecone import PineconeStandIn
from standin_qdrant import QdrantStandIn
from standin_weaviate import WeaviateStandIn

GONE = {"must": [{"key": "kind", "match": {"any": ["gone"]}}]}


def two(kind: str, stack: contextlib.ExitStack) -> tuple[PointStore, PointStore]:
    if kind == "qdrant":
        url = stack.enter_context(QdrantStandIn()).server.url.replace("http", "qdrant")
        return QdrantStore(f"{url}/docs"), QdrantStore(f"{url}/docs")
    if kind == "elasticsearch":
        url = f"{stack.enter_context(ElasticsearchStandIn()).url}/docs"
        return ElasticsearchStore(url), ElasticsearchStore(url)
    if kind == "pinecone":
        url = f"{stack.enter_context(PineconeStandIn()).url}/docs?tls=off"
        return PineconeStore(url, api_key="key"), PineconeStore(url, api_key="key")
    url = f"{stack.enter_context(WeaviateStandIn()).url}/Docs"
    return WeaviateStore(url), WeaviateStore(url)


KINDS = ["qdrant", "elasticsearch", "weaviate", "pinecone"]


@pytest.mark.parametrize("kind", KINDS)
async def test_they_go_and_nobody_misses_a_deletion(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(point_store, "_TOMBSTONES", 4)
    with contextlib.ExitStack() as stack:
        one, other = two(kind, stack)
        for store in (one, other):
            await store.open(MODEL, DIMENSION, create=True)
        made = [document(f"d{n}") for n in range(12)]
        await one.upsert(made)
        old = await other.refresh()
        for n in range(10):
            await one.delete([f"d{n}"])
        assert one._points.count(GONE) <= 5
        news = await other.refresh(old.position)
        assert news.reset
        assert {each.id for each in news.upserted} == {"d10", "d11"}
        later = await other.refresh(news.position)
        assert later.position == news.position
        await one.upsert([document("d1")])
        assert [each.id for each in (await other.refresh(news.position)).upserted] == ["d1"]
        for store in (one, other):
            await store.aclose()


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_deleted_while_they_go_is_kept(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process deletes between the new epoch and the removal: it is told."""
    monkeypatch.setattr(point_store, "_TOMBSTONES", 2)
    with contextlib.ExitStack() as stack:
        one, other = two(kind, stack)
        for store in (one, other):
            await store.open(MODEL, DIMENSION, create=True)
        await one.upsert([document(f"d{n}") for n in range(6)])
        points: Any = one._points
        way = "remove" if points.removes else "discard"
        remove, seen = getattr(points, way), []

        def meanwhile(what: Any) -> None:
            if not seen and marks(one._points)[0]:  # the epoch is new
                seen.append(changes_since(other._points, other._index, None))
                monkeypatch.setattr(point_store, "_TOMBSTONES", 100)
                other._delete(["d5"])
            remove(what)

        setattr(points, way, meanwhile)
        await one.delete(["d0", "d1", "d2", "d3"])
        assert len(seen) == 1
        assert {each.id for each in seen[0].upserted} == {"d4", "d5"}
        news = await one.refresh(seen[0].position)
        assert list(news.deleted) == ["d5"]
        assert one._points.count(GONE) == 1
        for store in (one, other):
            await store.aclose()


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_written_again_before_the_end_of_a_deletion_stays(kind: str) -> None:
    """The number of a deletion is noted late: others have written the document by then."""
    with contextlib.ExitStack() as stack:
        one, other = two(kind, stack)
        for store in (one, other):
            await store.open(MODEL, DIMENSION, create=True)
        await one.upsert([document(f"d{n}") for n in range(3)])
        points: Any = one._points
        put, seen = points.put, []

        def late(made: Any) -> None:
            if made[0].payload["kind"] == "writer":
                other._put([document("d1", "written again")])
                seen.append(changes_since(other._points, other._index, None))
            put(made)

        points.put = late
        assert await one.delete(["d0", "d1"]) == ["d0", "d1"]
        [whole] = seen
        assert {each.id for each in whole.upserted} == {"d1", "d2"}
        news = await other.refresh(whole.position)
        assert "d1" not in news.deleted
        assert (await other.get(["d0", "d1"])).keys() == {"d1"}
        vector = document("d1", "written again").vector
        assert (await other.search(vector, 9, None))[0][0] == "d1"
        for store in (one, other):
            await store.aclose()


async def test_of_the_embedded_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("qdrant_edge")
    from semsearch.adapters.edge import EdgeStore

    monkeypatch.setattr(point_store, "_TOMBSTONES", 2)
    store = EdgeStore(f"edge:///{tmp_path}/index")
    await store.open(MODEL, DIMENSION, create=True)
    await store.upsert([document(f"d{n}") for n in range(6)])
    await store.delete(["d0", "d1", "d2", "d3"])
    assert store._points.count(GONE) == 0
    assert await store.count(None) == 2
    await store.aclose()


@pytest.mark.parametrize(
    ("url", "durable", "shared"),
    [("qdrant://", False, False), ("qdrant:///folder", True, False), ("qdrant://h", True, True)],
)
def test_what_the_modes_of_qdrant_can(url: str, durable: bool, shared: bool) -> None:
    store: VectorStore = QdrantStore(url)
    assert (store.capabilities.durable, store.capabilities.shared) == (durable, shared)
