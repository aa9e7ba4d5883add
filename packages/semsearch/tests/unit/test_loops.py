"""One instance over several event loops, threads, forks and processes."""

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from semsearch import BackendError, ConfigurationError, SearchDocument, SearchService, sync
from semsearch.testing import FakeEmbedder


@pytest.fixture(params=["memory", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory://" if request.param == "memory" else f"sqlite:///{tmp_path}/s.db"


def make(url: str) -> SearchService:
    return SearchService.from_url(url, embedder=FakeEmbedder())


def test_a_closed_loop_is_replaced(url: str) -> None:
    service = make(url)
    asyncio.run(service.index(SearchDocument("a", "tides")))
    assert asyncio.run(service.search("tides"))[0].id == "a"
    asyncio.run(service.aclose())


def test_calls_from_other_loops_are_forwarded(url: str) -> None:
    service = make(url)

    async def main() -> None:
        await service.count()
        others = [
            asyncio.to_thread(
                lambda n=n: asyncio.run(service.index(SearchDocument(str(n), "tides")))
            )
            for n in range(4)
        ]
        await asyncio.gather(*others)
        assert await service.count() == 4
        await service.aclose()

    asyncio.run(main())


def test_many_threads_use_the_sync_facade(url: str) -> None:
    with sync.SearchService.from_url(url, embedder=FakeEmbedder()) as service:
        threads = [
            threading.Thread(
                target=lambda k=k: [
                    service.index(SearchDocument(f"{k}-{n}", "tide")) for n in range(5)
                ]
            )
            for k in range(3)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert service.count() == 15
        assert len(service.search("tide", limit=20)) == 15
        assert service.search_many(["tide"])[0].total == 15
        assert service.find_similar("0-0", 3)
        assert service.update("0-0", SearchDocument("0-0", "new")).indexed == ["0-0"]
        assert service.get("0-0").content == "new"
        assert service.delete("0-0")
        assert service.index_batch([SearchDocument("z", "z", {"k": 1})]).indexed == ["z"]
        assert service.delete_by_filter({"k": 1}) == 1
        found = service.search("tide")
        assert service.record_click(found.query_id, "1-1")
        assert service.analytics().clicks == [("1-1", 1)]
        assert service.evaluate({"q": "tide"}, {"q": {"1-1": 1}}).queries == 1
        assert service.get_stats().documents == 14


async def test_the_facade_refuses_a_running_loop() -> None:
    with pytest.raises(RuntimeError, match="await"):
        sync.SearchService.from_url("memory://").count()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_gets_connections_of_its_own(url: str) -> None:
    service = make(url)
    asyncio.run(service.index(SearchDocument("parent", "tides")))
    if (pid := os.fork()) == 0:
        code = 1
        try:
            asyncio.run(service.index(SearchDocument("child", "tides")))
            code = 0 if asyncio.run(service.count()) == 2 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert asyncio.run(service.count()) == (1 if url.startswith("memory") else 2)
    asyncio.run(service.aclose())


async def test_configure_and_aclose() -> None:
    service = SearchService(embedder=FakeEmbedder())
    service.configure("memory://")
    await service.index(SearchDocument("a", "x"))
    with pytest.raises(ValueError, match="before the first operation"):
        service.configure("memory://")
    await service.aclose()
    await service.aclose()
    service.configure({"search": {"default_limit": 1}})
    assert await service.count() == 0
    await service.aclose()


async def test_two_services_see_each_others_writes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    async with make(url) as one, make(url) as two:
        await one.index(SearchDocument("a", "tides"))
        assert [hit.id for hit in await two.search("tides")] == ["a"]
        await two.index(SearchDocument("b", "more tides"))
        await two.delete("a")
        assert [hit.id for hit in await one.search("tides")] == ["b"]
        # nothing stale comes from the cache of results
        assert [hit.id for hit in await one.search("tides")] == ["b"]
        await one.index(SearchDocument("c", "tides tides"))
        assert {hit.id for hit in await two.search("tides")} == {"b", "c"}
    async with make(url) as again:
        assert await again.count() == 2
        assert (await again.search("more"))[0].id == "b"


async def test_another_process_writes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    code = (
        "import sys\nfrom semsearch import SearchDocument\n"
        "from semsearch.sync import SearchService\n"
        "from semsearch.testing import FakeEmbedder\n"
        "s = SearchService.from_url(sys.argv[1], embedder=FakeEmbedder())\n"
        "for n in range(1000000):\n    s.index(SearchDocument(f'p{n}', f'tides {n}'))\n"
        "    print(n, flush=True)\n"
    )
    async with make(url) as service:
        await service.count()
        writer = subprocess.Popen([sys.executable, "-c", code, url], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        last = -1
        while last < 20:
            last = int(await asyncio.to_thread(writer.stdout.readline))
        writer.kill()
        last = max([last, *(int(line) for line in writer.stdout.read().split())])
        writer.stdout.close()
        writer.wait()
        # whatever was acknowledged before the kill is found on both sides
        count = await service.count()
        assert last + 1 <= count <= last + 2
        assert (await service.search(f"{last}", threshold=1.0))[0].id == f"p{last}"
        assert (await service.search("tides", limit=1000)).total >= min(count, 200)


async def test_corrupt_rows_are_left_out_and_come_back(tmp_path: Path) -> None:
    file = tmp_path / "s.db"
    async with make(f"sqlite:///{file}") as service:
        await service.index_batch([SearchDocument("a", "tides"), SearchDocument("b", "tides")])
    link = sqlite3.connect(file)
    with link:
        link.execute("UPDATE semsearch_documents SET vector = zeroblob(32) WHERE id = 'a'")
        link.execute("UPDATE semsearch_documents SET metadata = X'80049563' WHERE id = 'b'")
    link.close()
    async with make(f"sqlite:///{file}") as service:
        assert await service.count() == 0
        await service.index(SearchDocument("a", "tides"))
        assert [hit.id for hit in await service.search("tides")] == ["a"]


async def test_newer_formats_and_other_models_are_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    async with make(url) as service:
        await service.index(SearchDocument("a", "x"))
    async with SearchService.from_url(url) as other:
        with pytest.raises(ConfigurationError, match="was made with model 'fake'"):
            await other.count()
    link = sqlite3.connect(tmp_path / "s.db")
    with link:
        link.execute("UPDATE semsearch_schema SET version = 9, oldest = 9")
    link.close()
    async with make(url) as older:
        with pytest.raises(ConfigurationError, match="format 9"):
            await older.count()


@pytest.mark.parametrize("column", ["id", "digest", "content", "metadata", "vector"])
async def test_bytes_that_are_no_text_cost_their_row_alone(tmp_path: Path, column: str) -> None:
    url = f"sqlite:///{tmp_path}/index.db"
    documents = [SearchDocument(f"d{n}", f"tide secret{n}", {"n": n}) for n in range(3)]
    async with SearchService.from_url(url, embedder=FakeEmbedder()) as search:
        await search.index_batch(documents)
    with contextlib.closing(sqlite3.connect(tmp_path / "index.db")) as link:
        damaged = (
            f"UPDATE semsearch_documents SET {column} = CAST(x'64ff31' AS TEXT) WHERE id = 'd1'"
        )
        link.execute(damaged)
        link.commit()
    async with SearchService.from_url(url, embedder=FakeEmbedder()) as search:
        assert sorted(hit.id for hit in await search.search("tide")) == ["d0", "d2"]
        await search.index_batch(documents)
        assert sorted(hit.id for hit in await search.search("tide")) == ["d0", "d1", "d2"]


async def test_a_damaged_file_is_said_and_what_to_do(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/index.db"
    async with SearchService.from_url(url, embedder=FakeEmbedder()) as search:
        await search.index_batch([SearchDocument(f"d{n}", "tide " * 50) for n in range(200)])
    raw = (tmp_path / "index.db").read_bytes()
    for left in tmp_path.iterdir():
        left.unlink()
    (tmp_path / "index.db").write_bytes(raw[:4096] + bytes(len(raw) - 4096))
    async with SearchService.from_url(url, embedder=FakeEmbedder()) as search:
        with pytest.raises(BackendError, match=r"malformed: .*into a new one"):
            await search.search("tide")
