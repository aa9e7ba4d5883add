"""One instance over several event loops, threads and forks."""

import asyncio
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from exporter import ExportService, ExportSource, ExportStatus, sync

SOURCE = ExportSource("custom", "1", {"rows": [{"a": 1}]})


@pytest.fixture(params=["memory", "sqlite"])
def urls(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    if request.param == "memory":
        return "memory://", "memory://"
    pytest.importorskip("sqlalchemy")
    return f"file://{tmp_path}/files", f"sqlite:///{tmp_path}/h.db"


def made(urls: tuple[str, str]) -> ExportService:
    return ExportService.from_url(urls[0], history=urls[1])


async def done(service: ExportService) -> bytes:
    job = await service.wait((await service.export(SOURCE, "csv")).id, 60)
    assert job.status is ExportStatus.COMPLETED
    return await service.download(job.id)


def test_a_closed_loop_is_replaced(urls: tuple[str, str]) -> None:
    service = made(urls)
    assert asyncio.run(done(service)) == b"a\r\n1\r\n"
    assert asyncio.run(done(service)) == b"a\r\n1\r\n"
    assert len(asyncio.run(service.list_exports())) == 2
    asyncio.run(service.aclose())


def test_calls_from_other_loops_are_forwarded(urls: tuple[str, str]) -> None:
    service = made(urls)

    async def main() -> None:
        await done(service)
        others = [asyncio.to_thread(lambda: asyncio.run(done(service))) for _ in range(3)]
        assert await asyncio.gather(*others) == [b"a\r\n1\r\n"] * 3
        assert len(await service.list_exports()) == 4
        await service.aclose()

    asyncio.run(main())


def test_loaders_and_callbacks_run_where_they_were_called(urls: tuple[str, str]) -> None:
    service, seen = made(urls), []

    @service.source("custom")
    async def load(id: str):
        seen.append(asyncio.get_running_loop())
        for n in range(3):
            seen.append(asyncio.get_running_loop())
            yield {"a": n}

    async def main() -> None:
        await service.list_exports()  # this loop is the home

        async def elsewhere() -> None:
            here = asyncio.get_running_loop()
            job = await service.export(ExportSource("custom", "x"), "csv")
            await service.subscribe(job.id, lambda _: seen.append(asyncio.get_running_loop()))
            await service.wait(job.id, 60)
            while len(seen) < 4:
                await asyncio.sleep(0.01)
            assert set(seen) == {here}

        await asyncio.to_thread(lambda: asyncio.run(elsewhere()))
        await service.aclose()

    asyncio.run(main())


def test_many_threads_use_the_sync_facade(urls: tuple[str, str]) -> None:
    with sync.ExportService.from_url(urls[0], history=urls[1]) as service:

        def work() -> None:
            for _ in range(5):
                job = service.wait(service.export(SOURCE, "csv").id, 60)
                assert service.download(job.id) == b"a\r\n1\r\n"

        threads = [threading.Thread(target=work) for _ in range(4)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert len(service.list_exports()) == 20


def test_the_whole_facade(tmp_path: Path) -> None:
    service = ExportService.from_url("memory://")
    blocking = sync.ExportService(service)
    blocking.setup()

    @blocking.source("transcript")
    def load(id: str) -> dict[str, object]:
        return {"segments": [{"text": "x", "start": 0, "end": 1}]}

    assert "csv" in blocking.list_formats()
    job = blocking.export(ExportSource("transcript", "1"), "txt", include_metadata=False)
    assert [each.status for each in blocking.watch(job.id)][-1] == "completed"
    assert b"".join(blocking.stream(job.id, (0, 3))) == blocking.download(job.id)[:4]
    assert blocking.get_job(job.id) is not None
    assert not blocking.cancel(job.id)
    seen = threading.Event()
    blocking.subscribe(job.id, lambda _: seen.set())()
    batch = blocking.export_batch([(SOURCE, "csv")])
    assert blocking.wait(batch.id, 60).records == 1
    with pytest.raises(Exception, match="is completed"):
        blocking.retry(job.id)
    with pytest.raises(Exception, match="signing_keys"):
        blocking.link(job.id)
    with pytest.raises(Exception, match="not valid"):
        blocking.open_link("x")
    assert blocking.export_to(tmp_path / "x.txt", ExportSource("transcript", "1")).size > 0
    assert blocking.cleanup() == 0
    assert blocking.get_stats().completed == 2
    assert blocking.delete(job.id)
    blocking.close()
    blocking.configure("memory://")
    assert blocking.list_exports() == []
    blocking.close()


async def test_the_facade_refuses_a_running_loop() -> None:
    with pytest.raises(RuntimeError, match="await"):
        sync.ExportService.from_url("memory://").get_stats()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_fork_gets_clients_of_its_own(urls: tuple[str, str]) -> None:
    service = made(urls)
    asyncio.run(done(service))
    if (pid := os.fork()) == 0:
        code = 1
        try:
            asyncio.run(done(service))
            code = 0 if len(asyncio.run(service.list_exports())) == 2 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    shared = not urls[1].startswith("memory")
    assert len(asyncio.run(service.list_exports())) == (2 if shared else 1)
    asyncio.run(service.aclose())


async def test_aclose_returns_to_unconfigured() -> None:
    service = ExportService()
    service.configure("memory://")
    await done(service)
    with pytest.raises(Exception, match="before the first operation"):
        service.configure("memory://")
    await service.aclose()
    await service.aclose()
    service.configure("memory://")
    assert await service.list_exports() == []
    await service.aclose()


async def test_the_environment_configures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EXPORTER_URL", f"file://{tmp_path}/env")
    async with ExportService() as service:
        job = await service.wait((await service.export(SOURCE, "csv")).id, 60)
        assert job.file_path is not None
        assert job.file_path.startswith(f"{tmp_path}/env/")
    monkeypatch.delenv("EXPORTER_URL")
    monkeypatch.setenv("EXPORTER_STRICT", "1")
    with pytest.raises(Exception, match="EXPORTER_STRICT"):
        await ExportService().list_exports()
    monkeypatch.delenv("EXPORTER_STRICT")
    monkeypatch.chdir(tmp_path)
    async with ExportService() as service:
        await done(service)
    assert (tmp_path / "exports").is_dir()


def test_an_iterator_of_the_facade_is_closed_inside_a_running_loop() -> None:
    with sync.ExportService.from_url("memory://") as service:
        job = service.wait(service.export(SOURCE, "csv").id, 60)
        blocks = service.stream(job.id)
        assert next(blocks) == b"a\r\n1\r\n"

        async def elsewhere() -> None:
            blocks.close()  # type: ignore[attr-defined]  # it is a generator

        asyncio.run(elsewhere())


def test_a_subscription_ends_with_the_loop_of_the_subscriber(
    caplog: pytest.LogCaptureFixture,
) -> None:
    service, release = ExportService.from_url("memory://"), threading.Event()

    def rows() -> Iterator[dict[str, int]]:
        release.wait(120)
        yield {"a": 1}

    async def main() -> None:
        job = await service.export(ExportSource("custom", "1", rows()), "csv")
        await asyncio.to_thread(
            lambda: asyncio.run(service.subscribe(job.id, lambda _: None))  # type: ignore[arg-type]
        )
        assert (await service.get_stats()).watchers <= 1
        release.set()
        await service.wait(job.id, 60)
        async with asyncio.timeout(60):
            while (await service.get_stats()).watchers:
                await asyncio.sleep(0.001)
        await service.aclose()

    asyncio.run(main())
    assert "callback.failed" not in [each.message for each in caplog.records]
