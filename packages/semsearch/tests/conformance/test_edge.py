"""The store on the engine of Qdrant in this process."""

import asyncio
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import numpy as np
import pytest

from conformance.test_qdrant import check_filters
from semsearch import BackendError, ConfigurationError, SearchDocument, SearchService
from semsearch.filters import Filter
from semsearch.ports import Stored, VectorStore
from semsearch.testing import DIMENSION, MODEL, FakeEmbedder, VectorStoreSuite, document

pytest.importorskip("qdrant_edge")

from semsearch.adapters import edge, edge_index
from semsearch.adapters.edge import EdgeStore


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EdgeStore]:
    made = EdgeStore(f"edge:///{tmp_path}/index")
    yield made
    await made.aclose()


class TestEdgeStore(VectorStoreSuite):
    @pytest.fixture
    def store(self, store: EdgeStore) -> VectorStore:
        return store


async def test_filters_mean_what_the_evaluator_means(store: EdgeStore) -> None:
    await check_filters(store, 200)


async def test_it_is_kept(tmp_path: Path) -> None:
    url = f"edge:///{tmp_path}/index"
    async with SearchService.from_url(url, embedder=FakeEmbedder()) as search:
        await search.index_batch(
            [SearchDocument("a", "tides", {"n": 1}), SearchDocument("b", "boats")]
        )
        await search.delete("b")
    async with SearchService.from_url(url, embedder=FakeEmbedder()) as search:
        assert [hit.id for hit in await search.search("tides", threshold=1.0)] == ["a"]
        assert await search.count({"n": {"$gte": 1}}) == 1


async def test_a_second_opener_is_told(store: EdgeStore, tmp_path: Path) -> None:
    await store.open(MODEL, DIMENSION, create=True)
    other = EdgeStore(f"edge:///{tmp_path}/index")
    with pytest.raises(BackendError, match="open elsewhere: one process at a time") as found:
        await other.open(MODEL, DIMENSION, create=True)
    assert found.value.retryable
    await store.aclose()
    await other.open(MODEL, DIMENSION, create=False)
    await other.aclose()


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
async def test_a_fork_is_a_second_opener(store: EdgeStore) -> None:
    """What it does with the parent's engine must not free the parent's lock."""
    await store.open(MODEL, DIMENSION, create=True)
    await store.upsert([document("a")])

    def child(answers: Any) -> None:
        async def work() -> str:
            store.detach()
            try:
                await store.count(None)
            except BackendError as exc:
                return str(exc)
            return "opened"

        answers.put(asyncio.run(work()))

    fork = multiprocessing.get_context("fork")
    answers = fork.SimpleQueue()
    process = fork.Process(target=child, args=(answers,))
    process.start()
    assert "open elsewhere" in await asyncio.to_thread(answers.get)
    await asyncio.to_thread(process.join)
    assert await store.count(None) == 1


async def test_many_documents_get_one_index(
    store: EdgeStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine says how many vectors are in how many graphs; scores are those of the vectors."""
    monkeypatch.setattr(edge, "_LEAST_INDEXED", 1500)
    dimension = 2048  # the engine leaves segments under 10 MB without an index
    await store.open(MODEL, dimension, create=True)
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(3000, dimension)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    for start in range(0, 3000, 500):
        await store.upsert(
            [Stored(f"d{n:04}", "", {}, rows[n], "") for n in range(start, start + 500)]
        )
    points: Any = store._points
    info = points._shard.info()
    assert info.indexed_vectors_count >= 3000
    assert info.segments_count <= 2  # the graph, and what is written from now on
    for n in (0, 1234, 2999):
        found = await store.search(rows[n], 5, None)
        assert found[0] == (f"d{n:04}", pytest.approx(1.0, abs=1e-6))
        cosines = [float(rows[int(name[1:])] @ rows[n]) for name, _ in found]
        assert [score for _, score in found] == pytest.approx(cosines, abs=1e-6)
    near = np.argsort(-(rows @ rows[7]))[:10]
    kept = {name for name, _ in await store.search(rows[7], 10, None)}
    assert len(kept & {f"d{n:04}" for n in near}) >= 8


async def test_quick_searches_take_no_thread(store: EdgeStore) -> None:
    """The first one, those during a write, filtered and long ones and those after a slow one do."""
    await store.open(MODEL, DIMENSION, create=True)
    await store.upsert([document(f"d{n}") for n in range(20)])
    points: Any = store._points
    nearest, took, where = points.nearest, [0.0], list[bool]()
    times = iter(range(10**6))
    points._clock = lambda: next(times) % 2 * took[0]
    loop_thread = threading.get_ident()

    def watched(*args: Any) -> Any:
        where.append(threading.get_ident() == loop_thread)
        return nearest(*args)

    points.nearest = watched
    vector = document("d3").vector
    first = await store.search(vector, 5, None)
    assert await store.search(vector, 5, None) == first
    assert [name for name, _ in await store.search(vector, 5, Filter.parse({"x": 1}))] == []
    await store.search(vector, 1000, None)
    with store._writing:
        await store.search(vector, 5, None)
    took[0] = 0.5
    for _ in range(3):
        await store.search(vector, 5, None)
    assert where == [False, True, False, False, False, True, False, False]


@pytest.fixture
def builder(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Stand for the process that builds: ``begun`` when it runs, until ``end`` is set."""
    made = SimpleNamespace(begun=threading.Event(), end=threading.Event(), calls=0, code=0)

    class Builder:
        returncode, pid = 0, 0

        def __init__(self, command: list[str], **_: Any) -> None:
            made.calls += 1

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            self.returncode = made.code

        def communicate(self, timeout: float) -> tuple[bytes, bytes]:
            made.begun.set()
            assert made.end.wait(60)
            return b"", b"no room"

    monkeypatch.setattr(edge_index.subprocess, "Popen", Builder)
    monkeypatch.setattr(edge, "_LEAST_INDEXED", 10)
    return made


async def test_searches_wait_for_the_index_and_the_loop_does_not(
    store: EdgeStore, builder: Any
) -> None:
    await store.open(MODEL, DIMENSION, create=True)
    await store.upsert([document(f"d{n}") for n in range(5)])
    await store.search(document("d3").vector, 5, None)  # the next one would take no thread
    writing = asyncio.create_task(store.upsert([document(f"e{n}") for n in range(9)]))
    await asyncio.to_thread(builder.begun.wait, 60)
    searching = asyncio.create_task(store.search(document("e3").vector, 1, None))
    for _ in range(5):
        await asyncio.sleep(0)  # it began, and we are not held up
    assert not searching.done()
    assert not writing.done()
    builder.end.set()
    await writing
    assert [name for name, _ in await searching] == ["e3"]


async def test_an_index_that_cannot_be_built_costs_nothing_else(
    store: EdgeStore, builder: Any, caplog: pytest.LogCaptureFixture
) -> None:
    builder.code = 1
    builder.end.set()
    await store.open(MODEL, DIMENSION, create=True)
    await store.upsert([document(f"d{n}") for n in range(12)])
    assert [each.message for each in caplog.records] == ["semsearch.index_not_built"]
    assert (await store.search(document("d7").vector, 1, None))[0][0] == "d7"
    await store.upsert([document("e1")])  # is not tried again until there are ten more
    assert builder.calls == 1
    await store.upsert([document(f"f{n}") for n in range(10)])
    assert builder.calls == 2


_POLITE = """
import os, sys, threading
ready = threading.Event()
def work():
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 9)
    ready.set()
    threading.Event().wait()
threading.Thread(target=work, daemon=True).start()
ready.wait()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads have priorities there")
async def test_a_disk_that_is_nearly_full(
    store: EdgeStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine would end the process: it is not asked to write."""
    await store.open(MODEL, DIMENSION, create=True)
    await store.upsert([document("a", "tide")])
    usage = shutil.disk_usage(tmp_path)._replace(free=100 << 20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(BackendError, match=r"100 MB are free, .* make room"):
        await store.upsert([document("b", "tide")])
    other = EdgeStore(f"edge:///{tmp_path}/not/there/yet")
    with pytest.raises(BackendError, match="make room"):
        await other.open(MODEL, DIMENSION, create=True)
    assert not (tmp_path / "not").exists()
    monkeypatch.undo()
    assert await store.select(None) == ["a"]
    await store.upsert([document("b", "tide")])
    assert await store.select(None) == ["a", "b"]


def test_the_threads_that_build_do_not_stand_back() -> None:
    """Those of the engine would starve on a busy machine, and a write waits for them."""
    command = [sys.executable, "-c", _POLITE]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        tasks = [int(each.name) for each in Path(f"/proc/{child.pid}/task").iterdir()]
        usual = os.getpriority(os.PRIO_PROCESS, child.pid)
        before = {os.getpriority(os.PRIO_PROCESS, each) for each in tasks}
        edge_index.hurry(child.pid)
        after = {os.getpriority(os.PRIO_PROCESS, each) for each in tasks}
        child.communicate(b"")
    assert before == {usual, 9}
    assert after == ({usual} if os.geteuid() == 0 else before)
    edge_index.hurry(child.pid)  # it has ended: that is nobody's fault


async def test_a_batch_is_followed_by_the_index(tmp_path: Path, builder: Any) -> None:
    builder.end.set()
    url = f"edge:///{tmp_path}/index"
    async with SearchService.from_url(url, embedder=FakeEmbedder()) as search:
        await search.index(SearchDocument("a", "tides"))
        assert builder.calls == 0
        docs = [SearchDocument(f"d{n}", f"tide {n}") for n in range(20)]
        await search.index_batch(docs)
        assert builder.calls > 0
        calls = builder.calls
        await search.index_batch(docs)  # nothing is new
        assert builder.calls == calls


@pytest.mark.parametrize(
    ("url", "more"),
    [
        ("edge://host/folder", {}),
        ("edge:///", {}),
        ("edge:///f?exact=maybe", {}),
        ("edge:///f?what=1", {}),
        ("edge:///f", {"collection": "talks"}),
        ("edge:///f", {"api_key": "k"}),
    ],
)
def test_wrong_urls(url: str, more: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError):
        EdgeStore(url, **more)
