"""Tables of earlier versions."""

import sqlite3
from pathlib import Path

import pytest

from progress_tracker import ProgressTracker

pytest.importorskip("sqlalchemy")


async def test_a_file_of_version_1_is_brought_up(tmp_path: Path) -> None:
    """It lacked an index; what is stored stays."""
    url = f"sqlite:///{tmp_path}/p.db"
    async with ProgressTracker.from_url(url) as tracker:
        await tracker.create(id="x", kind="k")
    with sqlite3.connect(tmp_path / "p.db") as link:
        link.execute("DROP INDEX progress_of_kind")
        link.execute("UPDATE progress_schema SET version = 1")
    link.close()
    async with ProgressTracker.from_url(url) as tracker:
        assert (await tracker.get("x")).kind == "k"
    with sqlite3.connect(tmp_path / "p.db") as link:
        rows = link.execute("SELECT name FROM sqlite_master WHERE type = 'index'").fetchall()
        version = link.execute("SELECT version FROM progress_schema").fetchone()
    link.close()
    assert ("progress_of_kind",) in rows
    assert version == (2,)
