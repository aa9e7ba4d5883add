"""The studio's own data: uploaded files and finished transcripts, one folder each.

Files have names of our own; what a stranger called them is only shown.
"""

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from .editing import Edit, edited, revision_of
from .errors import BadCursor, EditConflict, UnreadableFile
from .names import RECORDINGS, TRANSCRIPTS, kept_name, safe_title, suffix_of
from .transcript import Transcript

MAX_UPLOAD = 500 * 1024 * 1024
_ABANDONED: Final = 3600.0  # seconds
_DIGITS: Final = 30  # of a time in nanoseconds, at most


class Entry(msgspec.Struct, frozen=True):
    """What is known of an upload.

    Attributes:
        id: 32 hexadecimal digits, unguessable; also the id of its progress and its job.
        user_id: Whose it is.
        name: What its owner called it.
        title: A title made of that.
        suffix: Of the stored file.
    """

    id: str
    user_id: str
    name: str
    title: str
    suffix: str


class Page(NamedTuple):
    """Some of a user's uploads, and the cursor of those after them; None if there are no more."""

    entries: list[Entry]
    next: str | None


@dataclass(frozen=True, slots=True)
class Library:
    """Uploads and transcripts below one folder. Blocking, quick; safe for several processes."""

    folder: Path

    async def add(self, user_id: str, name: str, chunks: AsyncIterator[bytes]) -> Entry:
        """Store an upload as it arrives, and return its entry.

        Raises:
            UnreadableFile: Its kind is unknown, it is empty or over 500 MB; nothing is kept.
        """
        suffix = suffix_of(name)
        if suffix not in RECORDINGS | TRANSCRIPTS:
            known = ", ".join(sorted(RECORDINGS | TRANSCRIPTS))
            raise UnreadableFile(
                f"{safe_title(name)!r} is no recording or transcript; known: {known}"
            )
        entry = Entry(secrets.token_hex(16), user_id, kept_name(name), safe_title(name), suffix)
        folder = self.folder / entry.id
        folder.mkdir(parents=True)
        part = folder / "upload.part"
        try:
            await _store(part, chunks)
            part.replace(self.upload_path(entry))
        except BaseException:
            part.unlink(missing_ok=True)
            folder.rmdir()
            raise
        _write(folder / "entry.json", msgspec.json.encode(entry))
        return entry

    def discard(self, entry: Entry) -> None:
        """Delete an upload and all that was made of it."""
        shutil.rmtree(self.folder / entry.id, ignore_errors=True)

    def upload_path(self, entry: Entry) -> Path:
        """Return where the uploaded file is."""
        return self.folder / entry.id / f"upload{entry.suffix}"

    def entry(self, transcript_id: str) -> Entry | None:
        """Return the entry of an upload, or None."""
        data = self._read(transcript_id, "entry.json")
        return None if data is None else msgspec.json.decode(data, type=Entry)

    def page(self, user_id: str, limit: int | None = None, cursor: str | None = None) -> Page:
        """Return uploads of a user, newest first: all, or ``limit`` of those after ``cursor``.

        A cursor names a place in time: what arrives meanwhile moves nothing.

        Raises:
            BadCursor: It is not the ``next`` of a page.
        """
        before = None if cursor is None else _place(cursor)
        found: list[Entry] = []
        last: tuple[int, str] | None = None
        for place in self._places():
            if before is not None and place >= before:
                continue
            entry = self.entry(place[1])
            if entry is None or entry.user_id != user_id:
                continue
            if last is not None and len(found) == limit:
                return Page(found, f"{last[0]}-{last[1]}")
            found.append(entry)
            last = place
        return Page(found, None)

    def entries(self, user_id: str) -> list[Entry]:
        """Return all uploads of a user, newest first."""
        return self.page(user_id).entries

    def _places(self) -> list[tuple[int, str]]:
        """Return when each upload arrived, in nanoseconds, and its id; newest first."""
        # an upload is written once, an entry anew with each title
        uploads = [
            each
            for folder in _inside(self.folder)
            for each in _inside(folder)
            if each.name.startswith("upload.") and each.suffix != ".part"
        ]
        found = [(since, each.parent.name) for each in uploads if (since := _since(each))]
        return sorted(found, reverse=True)

    def sweep(self, older_than: float = _ABANDONED) -> int:
        """Delete uploads that never arrived whole, as a process that died leaves them.

        Args:
            older_than: Seconds since the last of it came; another process may be receiving it.

        Returns:
            How many.
        """
        gone = [
            folder
            for folder in _inside(self.folder)
            if not (folder / "entry.json").exists() and _age(folder) > older_than
        ]
        for folder in gone:
            shutil.rmtree(folder, ignore_errors=True)
        return len(gone)

    def keep(self, transcript_id: str, transcript: Transcript) -> Transcript:
        """Store a transcript unless there is one, and return the one that is stored.

        So a worker that lost its job, or does one again, overwrites no edit.
        """
        with self._alone(transcript_id):
            found = self.load(transcript_id)
            if found is None:
                self._save(transcript_id, transcript)
        return found or transcript

    def edit(self, transcript_id: str, edit: Edit) -> Transcript | None:
        """Change a transcript and the title of its entry; return it as it is now, or None.

        Of two edits of one revision, in any processes that share the folder, one is refused.

        Raises:
            BadEdit: The change cannot be made.
            EditConflict: The transcript is not that of ``edit.revision`` any more.
        """
        with self._alone(transcript_id):
            entry, found = self.entry(transcript_id), self.load(transcript_id)
            if entry is None or found is None:
                return None
            if revision_of(found) != edit.revision:
                raise EditConflict("this transcript has been changed meanwhile; load it again")
            now = edited(found, edit)
            self._save(transcript_id, now)
            if now.title != entry.title:
                renamed = msgspec.structs.replace(entry, title=now.title)
                _write(self.folder / entry.id / "entry.json", msgspec.json.encode(renamed))
        return now

    def finished(self, user_id: str) -> list[Entry]:
        """Return the uploads of a user that have a transcript, newest first."""
        return [each for each in self.entries(user_id) if self.is_finished(each.id)]

    def is_finished(self, transcript_id: str) -> bool:
        """Return whether an upload has become a transcript."""
        return self._path(transcript_id, "transcript.json").exists()

    def load(self, transcript_id: str) -> Transcript | None:
        """Return a transcript, or None."""
        data = self._read(transcript_id, "transcript.json")
        return None if data is None else Transcript.from_json(data)

    def _save(self, transcript_id: str, transcript: Transcript) -> None:
        _write(self._path(transcript_id, "transcript.json"), transcript.to_json())

    def _read(self, transcript_id: str, name: str) -> bytes | None:
        if len(transcript_id) != 32 or not transcript_id.isalnum():
            return None
        try:
            return self._path(transcript_id, name).read_bytes()
        except FileNotFoundError:
            return None

    def _path(self, transcript_id: str, name: str) -> Path:
        return self.folder / transcript_id / name

    @contextlib.contextmanager
    def _alone(self, transcript_id: str) -> Generator[None, None, None]:
        """Let one process at a time change a transcript; the end of a process frees it."""
        import fcntl  # not on Windows, where transcripts can be made and read, but not edited

        if self.entry(transcript_id) is None:
            yield
            return
        lock = os.open(self._path(transcript_id, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


async def _store(path: Path, chunks: AsyncIterator[bytes]) -> None:
    size = 0
    with path.open("xb") as file:
        async for chunk in chunks:
            size += len(chunk)
            if size > MAX_UPLOAD:
                raise UnreadableFile(f"the file is over {MAX_UPLOAD // 1024 // 1024} MB")
            file.write(chunk)
    if size == 0:
        raise UnreadableFile("the file is empty: 0 bytes")


def _inside(folder: Path) -> list[Path]:
    """Return what is in a folder; nothing if another process has discarded it meanwhile."""
    try:
        return list(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _since(path: Path) -> int | None:
    """Return when a file was written; None if another process has discarded it meanwhile."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def _age(folder: Path) -> float:
    """Return the seconds since anything was written in a folder."""
    written = [since for each in (folder, *_inside(folder)) if (since := _since(each))]
    return time.time() - max(written, default=time.time_ns()) / 1e9


def _place(cursor: str) -> tuple[int, str]:
    since, _, id = cursor.partition("-")
    if not (since.isascii() and since.isdigit() and len(since) < _DIGITS and id):
        raise BadCursor(f"{cursor[:100]!r} is no place in a list; take the next of a page")
    return int(since), id


def _write(path: Path, data: bytes) -> None:
    # a worker that lost its job may still write while its successor does
    part = path.with_suffix(f".{secrets.token_hex(4)}.part")
    part.write_bytes(data)
    part.replace(path)


async def chunks_of(path: Path) -> AsyncIterator[bytes]:
    """Yield the bytes of a file, a megabyte at a time."""
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk
