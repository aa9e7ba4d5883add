"""The storage passes exporter's own suite, and is found by the scheme of its URL."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from exporter import Document, ExportService, ExportSource, Segment
from exporter.errors import ConfigurationError, StorageError
from exporter.ports import Storage
from exporter.testing import StorageSuite
from exporter_sqlite_files import SQLiteFiles


class TestSQLiteFiles(StorageSuite):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> Storage:
        return SQLiteFiles(f"{tmp_path}/files.db")


async def test_it_is_found_by_its_url(tmp_path: Path) -> None:
    talk = Document("A talk", "transcript", [Segment("Hello.", 0.0, 1.2, "Ann")])
    async with ExportService.from_url(f"sqlitefiles:///{tmp_path}/files.db") as service:
        job = await service.export(ExportSource("custom", "1", talk), "srt")
        assert (await service.wait(job.id, 30)).status == "completed"
        assert b"Hello." in await service.download(job.id)
        assert await service.delete(job.id)
    with sqlite3.connect(tmp_path / "files.db") as db:
        assert db.execute("SELECT count(*) FROM pieces").fetchall() == [(0,)]


@pytest.mark.parametrize("url", ["sqlitefiles://", "sqlitefiles:///", "sqlitefiles:///a.db?x=1"])
def test_urls_that_name_no_file(url: str) -> None:
    with pytest.raises(ConfigurationError, match="sqlitefiles:///"):
        SQLiteFiles.from_url(url)


async def test_a_database_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "files.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StorageError):
        await SQLiteFiles(f"{tmp_path}/files.db").head("a")


KILLED = """
import sys
from exporter_sqlite_files import SQLiteFiles
writer = SQLiteFiles(sys.argv[1]).open_writer("a/b", "text/plain")
for _ in range(40):
    writer.write(b"x" * 100_000)
print("written", flush=True)
sys.stdin.read()
"""


async def test_a_killed_writer_leaves_nothing(tmp_path: Path) -> None:
    path = f"{tmp_path}/files.db"
    storage = SQLiteFiles(path)
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert await asyncio.to_thread(child.stdout.readline) == b"written\n"
        os.kill(child.pid, signal.SIGKILL)
    assert [found async for found in storage.list_keys()] == []
    assert storage.run(lambda db: db.execute("SELECT count(*) FROM pieces").fetchall()) == [(0,)]
