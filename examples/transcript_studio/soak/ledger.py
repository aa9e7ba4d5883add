"""What was promised and is to be kept: nothing acknowledged is lost, nothing is said twice."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from transcript_studio.services import Services
from transcript_studio.steps import exporting

PATIENCE = 600.0  # seconds for the last jobs to end once all is healed


@dataclass(slots=True)
class Upload:
    """An upload that the studio has acknowledged.

    Attributes:
        id: Of the transcript.
        user: Whose it is.
        texts: What its segments may say now: the acknowledged texts, and those of edits whose
            answer was lost, which may have been made or not.
        count: How many segments it has.
    """

    id: str
    user: str
    texts: list[str]
    count: int
    edits: int = 0


@dataclass(slots=True)
class Ledger:
    """What was acknowledged, and what was refused while servers were down."""

    uploads: list[Upload] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    reads: int = 0

    async def check(self, services: Services) -> list[str]:
        """Wait for the last jobs and return all that does not hold; empty if all is well."""
        wrong: list[str] = []
        for upload in self.uploads:
            try:
                job = await services.queue.wait(upload.id, timeout=PATIENCE)
            except Exception as exc:  # noqa: BLE001  each is a finding
                wrong.append(f"{upload.id}: the job: {exc!r}")
                continue
            if job.status != "completed":
                wrong.append(f"{upload.id}: the job is {job.status}: {job.error}")
        await self._indexed(services)
        for upload in self.uploads:
            try:
                wrong += [f"{upload.id}: {each}" async for each in _findings(services, upload)]
            except Exception as exc:  # noqa: BLE001  each is a finding
                wrong.append(f"{upload.id}: {exc!r}")
        return wrong

    async def _indexed(self, services: Services) -> None:
        """Wait until no edit is left to be indexed."""
        async with asyncio.timeout(PATIENCE):
            while True:
                queue = await services.queue.get_stats()
                if not (queue.pending or queue.delayed or queue.processing):
                    return
                await asyncio.sleep(0.2)


async def _findings(services: Services, upload: Upload) -> AsyncIterator[str]:
    progress = await services.tracker.get(upload.id)
    if (progress.status, progress.progress) != ("completed", 100):
        yield f"the progress is {progress.status} at {progress.progress}"
    stored = await asyncio.to_thread(services.library.load, upload.id)
    if stored is None:
        yield "there is no transcript"
        return
    said = stored.segments[0].text
    if said not in upload.texts:
        yield f"it says {said!r}, not one of {upload.texts}"
    about = await _told(services, upload)
    if about != ["Transcript ready"]:
        yield f"its user was told {about}"
    found = await services.search.count({"transcript": upload.id})
    if found != upload.count:
        yield f"{found} segments can be found, of {upload.count}"
    first = await services.search.get(f"{upload.id}:0")
    if first.content != said:
        yield f"the index says {first.content!r}, the transcript {said!r}"
    read = await services.reader.read(upload.id)
    if read is None or read["segments"][0]["text"] != said:
        yield "the cache has an old transcript"
    entry = await asyncio.to_thread(services.library.entry, upload.id)
    if entry is not None and read is not None:
        job = await exporting.export(services.exports, entry, "srt", revision=read["revision"])
        data = await services.exports.download(job.id, upload.user)
        if said.encode() not in data.replace(b"\n", b" "):
            yield "the file has another text"


async def _told(services: Services, upload: Upload) -> list[str]:
    """Return the titles of all that the user was told of an upload."""
    found, cursor = [], None
    while True:
        page = await services.notifications.get_user_notifications(
            upload.user, limit=500, cursor=cursor
        )
        found += [each.title for each in page if each.action_url == f"/#{upload.id}"]
        cursor = page.next_cursor
        if cursor is None:
            return found
