"""``jobqueue top``: queues, latencies, running jobs and failures, drawn anew every other second."""

import argparse
import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any

from .._common.extras import require
from ..errors import BackendError
from ..models import Job, JobFilters, JobStatus, Latencies, QueueStats
from ..service import JobQueue
from .parsing import Commands, interval
from .printing import duration, first_line, printable
from .targets import opened

_BARS = "▁▂▃▄▅▆▇█"
_MOST_QUEUES = 20
_MOST_JOBS = 8
_HISTORY = 60
_FIGURES = ("pending", "delayed", "processing", "failed")


def add_to(commands: Commands) -> None:
    """Add the command."""
    top = commands.add("top", _top, "watch the queues; prints once where there is no terminal")
    top.add_argument("--interval", type=interval, default=2.0, metavar="TIME", help="2")
    top.add_argument("--once", action="store_true", help="print once, then end")


@dataclass(frozen=True, slots=True)
class Look:
    """What is drawn.

    Attributes:
        total: Over all queues.
        queues: Name, whether it is paused, and figures; at most twenty.
        left_out: How many queues there are beside those.
        latencies: Of the jobs that ended in the last minute.
        running: Some of the running jobs.
        failed: The newest dead letters.
        now: The broker's time.
    """

    total: QueueStats
    queues: list[tuple[str, bool, QueueStats]]
    left_out: int
    latencies: Latencies
    running: list[Job]
    failed: list[Job]
    now: float


async def look(queue: JobQueue) -> Look:
    """Ask the broker for everything that is drawn."""
    paused = await queue.get_queues()
    names = sorted(paused)
    return Look(
        await queue.get_stats(),
        [(each, paused[each], await queue.get_stats(each)) for each in names[:_MOST_QUEUES]],
        max(0, len(names) - _MOST_QUEUES),
        await queue.get_latencies(),
        await queue.get_jobs(JobFilters(status=JobStatus.PROCESSING), _MOST_JOBS),
        await queue.get_jobs(JobFilters(status=JobStatus.FAILED), _MOST_JOBS),
        await queue.get_time(),
    )


async def _top(arguments: argparse.Namespace) -> int:
    console: Any = require("rich.console", dist="jobqueue", extra="cli").Console()
    async with opened(arguments) as queue:
        picture = Picture()
        if arguments.once or not console.is_terminal:
            console.print(picture.draw(await look(queue)))
            return 0
        live: Any = require("rich.live", dist="jobqueue", extra="cli")
        with live.Live(console=console, screen=True, auto_refresh=False) as screen:
            while True:
                screen.update(await _drawn(picture, queue), refresh=True)
                await asyncio.sleep(arguments.interval)


async def _drawn(picture: "Picture", queue: JobQueue) -> Any:
    try:
        return picture.draw(await look(queue))
    except BackendError as exc:
        return picture.trouble(str(exc))


class Picture:
    """Draws looks; remembers the throughput of the ones before."""

    def __init__(self) -> None:
        """Begin without history."""
        self._rates: deque[float] = deque(maxlen=_HISTORY)
        self._table: Any = require("rich.table", dist="jobqueue", extra="cli").Table
        self._text: Any = require("rich.text", dist="jobqueue", extra="cli").Text
        self._group: Any = require("rich.console", dist="jobqueue", extra="cli").Group

    def draw(self, seen: Look) -> Any:
        """Return what rich prints."""
        self._rates.append(seen.total.throughput)
        return self._group(
            self._head(seen),
            self._text(""),
            self._queues(seen),
            self._text(""),
            self._running(seen),
            self._text(""),
            self._failed(seen),
        )

    def trouble(self, text: str) -> Any:
        """Return a picture of a broker that does not answer."""
        return self._text(f"the broker does not answer: {printable(text)}", style="bold red")

    def _head(self, seen: Look) -> Any:
        total, times = seen.total, seen.latencies
        made = self._text()
        for title, value, style in (
            ("pending", total.pending, "yellow"),
            ("delayed", total.delayed, ""),
            ("running", total.processing, "cyan"),
            ("completed", total.completed, "green"),
            ("failed", total.failed, "bold red" if total.failed else ""),
            ("workers", total.workers, "" if total.workers else "bold red"),
        ):
            made.append(f"{title} ").append(f"{value:,}  ", style=style or "bold")
        made.append(f"\n{total.throughput:.1f}/s ").append(sparkline(self._rates), style="green")
        made.append(f"  waited {duration(times.wait_p50)} (p95 {duration(times.wait_p95)})")
        made.append(f"  ran {duration(times.run_p50)} (p95 {duration(times.run_p95)})")
        return made

    def _queues(self, seen: Look) -> Any:
        made = self._new("queue", *_FIGURES, "oldest", "completed/s")
        for name, paused, stats in seen.queues:
            title = self._text(printable(name))
            if paused:
                title.append(" paused", style="yellow")
            numbers = [f"{getattr(stats, each):,}" for each in _FIGURES]
            oldest = duration(stats.oldest_pending_age)
            made.add_row(title, *numbers, oldest, f"{stats.throughput:.1f}")
        if seen.left_out:
            made.add_row(self._text(f"and {seen.left_out} more", style="dim"))
        return made

    def _new(self, first: str, *figures: str) -> Any:
        made = self._table(box=None, pad_edge=False, header_style="dim", expand=False)
        made.add_column(first, min_width=20)
        for each in figures:
            made.add_column(each, justify="right", no_wrap=True)
        return made

    def _running(self, seen: Look) -> Any:
        made = self._new("running", "attempt", "for", "progress")
        for job in seen.running:
            began = job.started_at.timestamp() if job.started_at else seen.now
            made.add_row(
                self._title(job),
                f"{job.attempts}/{job.max_attempts}",
                duration(max(0.0, seen.now - began)),
                f"{job.progress:.0f} %",
            )
        return made

    def _failed(self, seen: Look) -> Any:
        made = self._new("failed", "ago")
        made.add_column("error", overflow="ellipsis", no_wrap=True)
        for job in seen.failed:
            ended = job.failed_at.timestamp() if job.failed_at else seen.now
            error = self._text(printable(first_line(job.error, 200)), style="red")
            made.add_row(self._title(job), duration(max(0.0, seen.now - ended)), error)
        return made

    def _title(self, job: Job) -> Any:
        return self._text(printable(job.name)).append(f" {printable(job.id)}", style="dim")


def sparkline(values: "deque[float]") -> str:
    """Return values as bars, the highest of them a full one."""
    highest = max(values, default=0.0)
    if highest <= 0:
        return ""
    return "".join(_BARS[min(7, int(each / highest * 7.99))] for each in values)
