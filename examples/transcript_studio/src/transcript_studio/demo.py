"""``studio demo``: the whole way of a recording and a transcript, each result checked."""

import asyncio
import contextlib
import csv
import io
import os
import tempfile
import time
import zipfile
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path

from rich.console import Console
from rich.table import Table

from progress_tracker.terminal import show

from .library import Entry, chunks_of
from .mailbox import Mailbox
from .profile import Profile
from .readers import read_transcript
from .services import Services, build
from .steps import exporting, finding, tracking, working
from .supervisor import Supervisor

SAMPLES = ("product_meeting.wav", "garden_podcast.en.srt")
USER = "demo"
_PATIENCE = 240.0


@dataclass(slots=True)
class Report:
    """What was checked and made.

    Attributes:
        failures: What did not hold; empty if all is well.
        made: Files with their sizes.
    """

    console: Console
    failures: list[str] = field(default_factory=list)
    made: list[tuple[str, int]] = field(default_factory=list)

    def check(self, what: str, good: object) -> None:
        """Note one result and print it."""
        mark = "[green]ok[/]  " if good else "[red]FAILED[/]"
        self.console.print(f"  {mark} {what}")
        if not good:
            self.failures.append(what)


async def run(keep: Path | None = None) -> int:
    """Run the demo and return the exit code: 0 if every check held.

    Args:
        keep: Where the data and files stay; a temporary folder that is deleted if None.
    """
    console = Console()
    report, begun = Report(console), time.monotonic()
    folder = (
        nullcontext(str(keep))
        if keep is not None
        else tempfile.TemporaryDirectory(prefix="studio-")
    )
    with folder as name, Mailbox().listening() as mailbox:
        root = Path(name)
        profile = Profile.from_env(os.environ, folder=root, mail=mailbox.url)
        services = build(profile)
        try:
            await services.setup()
            async with Supervisor(profile).running() as workers:
                console.print(
                    f"[bold]Transcript studio[/] in {root}, worker process {workers.pids[0]}"
                )
                async with asyncio.timeout(_PATIENCE):
                    entries = await _upload(services)
                    await _watch(services, entries, report)
                    await _check_all(services, entries, mailbox, report)
                _restarts(workers, report)
        except TimeoutError:
            report.check(f"everything ends within {_PATIENCE:.0f} s", good=False)
        finally:
            await services.aclose()
        if keep is None:
            console.print("[dim]The files were temporary: studio demo --keep FOLDER keeps them.[/]")
    return _summary(report, time.monotonic() - begun)


async def _upload(services: Services) -> list[Entry]:
    entries = []
    for name in SAMPLES:
        with as_file(files(__package__) / "samples" / name) as path:
            entries.append(await services.library.add(USER, name, chunks_of(path)))
        await working.enqueue(services.queue, entries[-1])
        await tracking.announce(services.tracker, entries[-1])
    return entries


async def _watch(services: Services, entries: list[Entry], report: Report) -> None:
    ended = await show(services.tracker, [entry.id for entry in entries])
    report.console.print("\n[bold]Checks[/]")
    for entry in entries:
        last = ended[entry.id]
        report.check(
            f"{entry.title}: completed", last.status == "completed" and last.progress == 100
        )


async def _check_all(
    services: Services, entries: list[Entry], mailbox: Mailbox, report: Report
) -> None:
    await _check_transcripts(services, entries, report)
    await _check_alerts(services, entries, mailbox, report)
    await _check_search(services, report)
    await _check_exports(services, entries, report)


async def _check_transcripts(services: Services, entries: list[Entry], report: Report) -> None:
    for entry in entries:
        first = await services.reader.read(entry.id)
        segments = (first or {}).get("segments", [])
        report.check(f"{entry.title}: {len(segments)} segments", len(segments) >= 5)
        is_cached = await _is_cached(services, entry.id)
        report.check(f"{entry.title}: what is read again comes from the cache", is_cached)
    stats = await services.cache.get_stats()
    report.console.print(f"       cache: {stats.hits} hits, {stats.misses} misses")


async def _is_cached(services: Services, transcript_id: str) -> bool:
    """Return whether reading twice gives one and the same object.

    Soon, if not at once: what is read before the cache hears of changes elsewhere is not kept.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(30):
            last = None
            while (now := await services.reader.read(transcript_id)) is None or now is not last:
                last = now
                await asyncio.sleep(0.02)
            return True
    return False


async def _check_alerts(
    services: Services, entries: list[Entry], mailbox: Mailbox, report: Report
) -> None:
    async with asyncio.timeout(30):
        # the mail leaves the outbox a moment after the job has ended
        while len(mailbox.mails) < len(entries):  # noqa: ASYNC110  the server runs in a thread
            await asyncio.sleep(0.05)
    inbox = await services.notifications.get_user_notifications(USER)
    titles = [each.title for each in inbox]
    report.check(f"the bell shows {len(inbox)} notifications", titles == ["Transcript ready"] * 2)
    to = {str(mail["To"]) for mail in mailbox.mails}
    report.check(
        f"{len(mailbox.mails)} mails to {', '.join(sorted(to))}", to == {f"{USER}@example.com"}
    )
    if inbox:
        await services.notifications.mark_as_read(inbox[0].id, USER)
        unread = await services.notifications.unread_count(USER)
        report.check("reading one leaves one unread", unread == len(inbox) - 1)


async def _check_search(services: Services, report: Report) -> None:
    for text, wanted in (
        ("where do people click to search", "product meeting"),
        ("watering plants", "garden"),
    ):
        found = await finding.find(services.search, USER, text, {}, limit=3)
        titles = [str(hit.metadata["title"]) for hit in found]
        report.check(
            f"search “{text}” finds {wanted!r}", any(wanted in title for title in titles[:1])
        )
        for hit in found[:2]:
            report.console.print(
                f"       {hit.score:.2f}  {hit.metadata['title']}: {hit.content[:70]}"
            )


async def _check_exports(services: Services, entries: list[Entry], report: Report) -> None:
    looks: dict[str, Callable[[bytes], object]] = {
        "pdf": lambda data: data.startswith(b"%PDF-") and data.rstrip().endswith(b"%%EOF"),
        "docx": lambda data: "word/document.xml" in zipfile.ZipFile(io.BytesIO(data)).namelist(),
        "srt": _is_srt,
        "csv": lambda data: len(list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))) > 5,
    }
    for entry in entries:
        for name, looks_right in looks.items():
            job = await exporting.export(services.exports, entry, name)
            data = await services.exports.download(job.id, USER)
            report.made.append((job.filename or "", len(data)))
            report.check(f"{job.filename} ({len(data):,} bytes)", looks_right(data))
    job = await exporting.export_all(services.exports, entries, user_id=USER)
    data = await services.exports.download(job.id, USER)
    names = zipfile.ZipFile(io.BytesIO(data)).namelist()
    report.made.append(("transcripts.zip", len(data)))
    report.check(f"transcripts.zip ({len(data):,} bytes): {len(names)} files", len(names) == 9)
    link = await services.exports.link(job.id, ttl=60, user_id=USER)
    report.check("a signed link was made", len(link) > 40)


def _is_srt(data: bytes) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.srt"
        file.write_bytes(data)
        return len(read_transcript(file).segments) >= 5


def _restarts(workers: Supervisor, report: Report) -> None:
    if workers.restarts:
        report.console.print(f"       the worker died {workers.restarts} time(s) and was replaced")


def _summary(report: Report, seconds: float) -> int:
    table = Table(title="Files", show_edge=False, header_style="bold")
    table.add_column("name")
    table.add_column("bytes", justify="right")
    for name, size in report.made:
        table.add_row(name, f"{size:,}")
    report.console.print(table)
    if report.failures:
        report.console.print(
            f"[red bold]{len(report.failures)} checks failed[/] after {seconds:.1f} s"
        )
        return 1
    report.console.print(f"[green bold]All checks passed[/] in {seconds:.1f} s")
    return 0
