"""The temporary directories of servers: kept while in use, deleted when their owner is dead."""

import os
from pathlib import Path

import pytest

from _common.directories import MEMORY, PREFIX, temporary_directory


@pytest.fixture(autouse=True)
def parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)  # so that it is read again
    return tmp_path


def test_it_lasts_as_long_as_the_block(parent: Path) -> None:
    with temporary_directory("some") as directory:
        (directory / "file").touch()
        assert directory.parent == parent
    assert not directory.exists()


def test_one_in_use_is_left_alone() -> None:
    with temporary_directory("old") as old:
        os.utime(old, (0, 0))
        with temporary_directory("new"):
            assert old.is_dir()


def test_what_a_killed_process_left_is_deleted(parent: Path) -> None:
    left, fresh = parent / f"{PREFIX}left", parent / f"{PREFIX}fresh"
    for directory in (left, fresh):
        (directory / "data").mkdir(parents=True)
    os.utime(left, (0, 0))
    with temporary_directory("new"):
        assert not left.exists()
        assert fresh.exists()  # its owner may be about to lock it


def test_memory_is_preferred_to_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMPDIR")
    monkeypatch.setattr("_common.directories.ROOM", 0)
    if not os.access(MEMORY, os.W_OK):
        pytest.skip(f"no {MEMORY} here")
    with temporary_directory("one") as one, temporary_directory("two", on_disk=True) as two:
        assert one.parent == MEMORY
        assert two.parent != MEMORY
