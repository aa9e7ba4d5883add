"""What an item of a loop, and an update, cost the caller."""

import asyncio
import contextlib
import io
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from progress_tracker import ProgressTracker

from ._common.results import Results

LOOP, UPDATE, STREAM = "loop", "update", "stream"


def timed(work: Callable[[], Any], count: int) -> float:
    """Return the nanoseconds for each of ``count``."""
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) / count * 1e9


def bare(count: int) -> float:
    """Measure a loop that tells nobody."""

    def work() -> None:
        for _ in range(count):
            pass

    return timed(work, count)


def of_tqdm(count: int) -> Iterator[tuple[str, float]]:
    """Measure tqdm, drawing to nowhere."""
    from tqdm import tqdm

    with Path("/dev/null").open("w") as nowhere:

        def iterate() -> None:
            for _ in tqdm(range(count), file=nowhere):
                pass

        def update() -> None:
            with tqdm(total=count, file=nowhere) as bar:
                for _ in range(count):
                    bar.update()

        yield LOOP, timed(iterate, count)
        yield UPDATE, timed(update, count)


def of_rich(count: int) -> Iterator[tuple[str, float]]:
    """Measure rich, drawing to nowhere."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(file=io.StringIO())) as progress:

        def iterate() -> None:
            for _ in progress.track(range(count)):
                pass

        task = progress.add_task("x", total=count)

        def update() -> None:
            for _ in range(count):
                progress.advance(task)

        yield LOOP, timed(iterate, count)
        yield UPDATE, timed(update, count)


def of_alive(count: int) -> Iterator[tuple[str, float]]:
    """Measure alive-progress, drawing to nowhere."""
    from alive_progress import alive_bar, alive_it

    nowhere = io.StringIO()

    def iterate() -> None:
        for _ in alive_it(range(count), file=nowhere):
            pass

    def update() -> None:
        with alive_bar(count, file=nowhere) as bar:
            for _ in range(count):
                bar()

    yield LOOP, timed(iterate, count)
    yield UPDATE, timed(update, count)


def of_ours(count: int) -> Iterator[tuple[str, float]]:
    """Measure a handle, with its thread storing in memory."""
    tracker = ProgressTracker.from_url("memory://")
    with tracker.track() as p:

        def iterate() -> None:
            for _ in p.iter(range(count)):
                pass

        def update() -> None:
            for _ in range(count):
                p.advance()

        async def stream() -> None:
            async for _ in p.iter(range(count)):
                pass

        yield LOOP, timed(iterate, count)
        yield UPDATE, timed(update, count)
        yield STREAM, timed(lambda: asyncio.run(stream()), count)
    asyncio.run(tracker.aclose())


def run(results: Results, repetitions: int, count: int) -> None:
    """Measure everybody in turn."""
    titles = {LOOP: "an item of a loop", UPDATE: "an update by one", STREAM: "an item, async for"}
    measures = {name: results.measure(name, title, "ns") for name, title in titles.items()}
    peers = {"tqdm": of_tqdm, "rich": of_rich, "alive-progress": of_alive}
    for _ in range(repetitions):
        measures[LOOP].add("bare loop", bare(count), floor=True)
        for name, value in of_ours(count):
            measures[name].add("progress-tracker", value, ours=True)
        for peer, work in peers.items():
            with contextlib.suppress(ImportError):
                for name, value in work(count):
                    measures[name].add(f"{peer} {version(peer)}", value)
