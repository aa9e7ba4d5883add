"""Commands that change nothing: stats, list, show, cron."""

import argparse
import asyncio
import dataclasses
from datetime import datetime

from ..errors import JobNotFound
from ..models import JobFilters, JobStatus
from ..models.wire import to_json
from ..service import JobQueue
from ..worker.scheduler import CronEntry
from .parsing import Commands, add_statuses, moment, name, whole
from .printing import job_line, json_line, json_text, printable, stamp, table
from .targets import check_shared, load, opened

_PAGE = 500
_LATE = 60.0


def add_to(commands: Commands) -> None:
    """Add the commands of this module."""
    stats = commands.add("stats", _stats, "print the figures of the queue")
    stats.add_argument("--queue", type=name)
    listing = commands.add("list", _list, "list jobs, newest first")
    add_statuses(listing)
    listing.add_argument("--name", type=name)
    listing.add_argument("--queue", type=name)
    listing.add_argument("--since", type=moment, metavar="TIME", help="enqueued then or later")
    listing.add_argument("--until", type=moment, metavar="TIME", help="enqueued before")
    listing.add_argument("--limit", type=whole(1, 1_000_000), default=50, help="jobs at most; 50")
    show = commands.add("show", _show, "print one job as JSON")
    show.add_argument("job_id", type=name)
    cron = commands.add("cron", _cron, "list cron entries with their ticks", url=False)
    cron.add_argument("target", help="module:queue, for example app.jobs:queue")
    cron.add_argument("--check", action="store_true", help="exit with 1 if an entry is late")
    for each, text in ((stats, "as JSON"), (listing, "a line each"), (cron, "a line each")):
        each.add_argument("--json", action="store_true", help=f"JSON, {text}")


async def _stats(arguments: argparse.Namespace) -> int:
    async with opened(arguments) as queue:
        stats = await queue.get_stats(arguments.queue)
        latencies = await queue.get_latencies(JobFilters(queue=arguments.queue))
    if arguments.json:
        print(json_line({**to_json(stats), "latencies": to_json(latencies)}))
        return 0
    figures = {**dataclasses.asdict(stats), **dataclasses.asdict(latencies)}
    figures["ended_lately"] = figures.pop("count")
    for each, value in figures.items():
        print(f"{each:20} {'-' if value is None else value}")
    return 0


async def _list(arguments: argparse.Namespace) -> int:
    filters = JobFilters(
        name=arguments.name,
        queue=arguments.queue,
        status=[JobStatus(each) for each in arguments.status or ()],
        created_after=arguments.since,
        created_before=arguments.until,
    )
    left, cursor = arguments.limit, None
    async with opened(arguments) as queue:
        while left > 0:
            page = await queue.get_jobs(filters, min(left, _PAGE), cursor)
            for job in page:
                print(json_line(to_json(job)) if arguments.json else job_line(job))
            left, cursor = left - len(page), page.next_cursor
            if cursor is None:
                break
    return 0


async def _show(arguments: argparse.Namespace) -> int:
    async with opened(arguments) as queue:
        job = await queue.get_job(arguments.job_id)
    if job is None:
        raise JobNotFound(f"no job {arguments.job_id!r}")
    print(json_text(to_json(job)))
    return 0


@dataclasses.dataclass(frozen=True, slots=True)
class Tick:
    """How far a cron entry has come.

    Attributes:
        entry: Which.
        last: The last tick that a scheduler saw; None before the first scheduler ran.
        next: The tick to come.
        late: Whether a tick was due over a minute ago and no scheduler has seen it.
    """

    entry: CronEntry
    last: datetime | None
    next: datetime | None
    late: bool


async def ticks(queue: JobQueue) -> list[Tick]:
    """Return the cron entries of a queue, in the order of their names."""
    entries = sorted(queue.cron_entries, key=lambda each: each.name)
    now = await queue.get_time()
    lasts = await asyncio.gather(*(queue.broker.last_tick(each.name) for each in entries))
    return [_tick(entry, last, now) for entry, last in zip(entries, lasts, strict=True)]


def _tick(entry: CronEntry, last: float | None, now: float) -> Tick:
    coming, missed = next(entry.after(now), None), None
    if last is not None:
        missed = next(entry.after(last), None)
    return Tick(
        entry,
        None if last is None else datetime.fromtimestamp(last, entry.place),
        None if coming is None else datetime.fromtimestamp(coming, entry.place),
        missed is not None and missed < now - _LATE,
    )


async def _cron(arguments: argparse.Namespace) -> int:
    queue = load(arguments.target)
    async with queue:
        check_shared(queue)
        found = await ticks(queue)
    if arguments.json:
        for each in found:
            print(json_line(_cron_json(each)))
    elif found:
        print(table([("NAME", "WHEN", "ZONE", "LAST", "NEXT", ""), *map(_cron_row, found)]))
    else:
        print(f"{arguments.target} has no cron entries")
    return 1 if arguments.check and any(each.late for each in found) else 0


def _cron_json(tick: Tick) -> dict[str, object]:
    entry = tick.entry
    return {
        "name": entry.name,
        "expression": entry.expression,
        "timezone": str(entry.place),
        "catchUp": entry.catch_up,
        "lastTick": tick.last,
        "nextTick": tick.next,
        "late": tick.late,
    }


def _cron_row(tick: Tick) -> tuple[str, ...]:
    last = "never" if tick.last is None else stamp(tick.last)
    coming = "never" if tick.next is None else stamp(tick.next)
    entry = tick.entry
    late = "LATE: is a worker running?" if tick.late else ""
    return (printable(entry.name), entry.expression, str(entry.place), last, coming, late)
