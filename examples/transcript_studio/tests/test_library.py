"""Uploads and transcripts in a folder that several processes share."""

import os
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from transcript_studio.editing import Edit, revision_of
from transcript_studio.errors import BadCursor, EditConflict, UnreadableFile
from transcript_studio.library import Entry, Library
from transcript_studio.transcript import Segment, Transcript

TALK = Transcript("talk", "en", (Segment(0.0, 1.0, "Hello"),), 1.0, "srt")


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def added(folder: Path) -> Entry:
    return await Library(folder).add("ada", "talk.srt", chunks(b"x"))


async def test_of_many_edits_of_one_revision_one_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = await added(tmp_path)
    Library(tmp_path).keep(entry.id, TALK)
    load, together = Library.load, threading.Barrier(4)

    def load_beside_others(library: Library, transcript_id: str) -> Transcript | None:
        found = load(library, transcript_id)
        with suppress(threading.BrokenBarrierError):  # alone, as it must be
            together.wait(1)
        return found

    def edit(who: int) -> bool:
        change = Edit(revision=revision_of(TALK), texts={0: str(who)})
        try:
            Library(tmp_path).edit(entry.id, change)  # as each process has its own
        except EditConflict:
            return False
        return True

    with monkeypatch.context() as patch, ThreadPoolExecutor(4) as pool:
        patch.setattr(Library, "load", load_beside_others)
        made = list(pool.map(edit, range(4)))
    assert made.count(True) == 1
    found = Library(tmp_path).load(entry.id)
    assert found is not None
    assert found.segments[0].text == str(made.index(True))


@pytest.mark.parametrize("which", ["all uploads", "the upload"])
async def test_a_list_does_without_what_is_discarded_meanwhile(
    which: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library, kept, gone = Library(tmp_path), await added(tmp_path), await added(tmp_path)
    assert library.entries("ada") == [gone, kept]
    looked_into = tmp_path if which == "all uploads" else tmp_path / gone.id
    iterdir = Path.iterdir

    def iterdir_then_discard(folder: Path) -> Iterator[Path]:
        found = list(iterdir(folder))
        if folder == looked_into:
            library.discard(gone)
        return iter(found)

    monkeypatch.setattr(Path, "iterdir", iterdir_then_discard)
    assert library.entries("ada") == [kept]
    assert library.sweep(older_than=-60.0) == 0
    assert not (tmp_path / gone.id).exists()


async def test_what_a_late_worker_heard_does_not_undo_an_edit(tmp_path: Path) -> None:
    library, entry = Library(tmp_path), await added(tmp_path)
    assert library.keep(entry.id, TALK) == TALK
    edited = library.edit(entry.id, Edit(revision=revision_of(TALK), title="Greeting"))
    assert library.keep(entry.id, TALK) == edited == library.load(entry.id)
    assert [each.title for each in library.finished("ada")] == ["Greeting"]


async def test_what_is_not_whole_is_nowhere(tmp_path: Path) -> None:
    library = Library(tmp_path)
    with pytest.raises(UnreadableFile, match="empty"):
        await library.add("ada", "talk.srt", chunks())
    half = tmp_path / ("0" * 32)
    half.mkdir()
    (half / "upload.part").write_bytes(b"still coming")
    assert library.entries("ada") == []
    entry = await added(tmp_path)
    assert [each.id for each in library.entries("ada")] == [entry.id]
    assert library.finished("ada") == []
    library.discard(entry)
    assert library.entries("ada") == []
    assert library.edit(entry.id, Edit(revision="0" * 16)) is None


async def test_pages_lead_through_everything_whatever_arrives(tmp_path: Path) -> None:
    library = Library(tmp_path)
    assert library.page("ada", 3) == ([], None)
    made = [await added(tmp_path) for _ in range(7)]
    await library.add("bob", "talk.srt", chunks(b"x"))
    os.utime(library.upload_path(made[1]), ns=(9, 9))  # two that came in the same moment
    os.utime(library.upload_path(made[0]), ns=(9, 9))
    first, cursor = library.page("ada", 3)
    assert first == made[:3:-1]
    await added(tmp_path)  # while somebody looks
    second, cursor = library.page("ada", 3, cursor)
    assert second[:2] == [made[3], made[2]]
    third, cursor = library.page("ada", 3, cursor)
    assert {each.id for each in (*second[2:], *third)} == {made[0].id, made[1].id}
    assert cursor is None
    assert len(library.entries("ada")) == 8


@pytest.mark.parametrize("cursor", ["", "-", "5", "5-", "x-y", "-5-a", "²-a", "9" * 99 + "-a"])
async def test_a_cursor_that_is_none_is_refused(tmp_path: Path, cursor: str) -> None:
    with pytest.raises(BadCursor, match="no place"):
        Library(tmp_path).page("ada", 3, cursor)


async def test_what_never_arrived_whole_is_swept(tmp_path: Path) -> None:
    library, kept = Library(tmp_path), await added(tmp_path)
    assert Library(tmp_path / "none").sweep() == 0
    for number, name in enumerate(("upload.part", "upload.wav")):
        half = tmp_path / (str(number) * 32)
        half.mkdir()
        (half / name).write_bytes(b"still coming")
    assert library.sweep() == 0  # perhaps somebody receives it
    assert library.sweep(older_than=-60.0) == 2
    assert [each.name for each in tmp_path.iterdir()] == [kept.id]
