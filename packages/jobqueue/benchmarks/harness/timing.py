"""Drains, enqueueing and idle latency: how one contender does once."""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from peers.stage import Ledger, Orders

from .children import Child, ask, working
from .contenders import OURS, Contender
from .environments import FailedError
from .results import Figure
from .servers import Servers

_FIRST: Final = 30.0
Measure = Callable[["Bench", Contender, Figure], None]


@dataclass(frozen=True)
class Bench:
    """What all measurements share.

    Attributes:
        servers: Where jobs wait.
        jobs: How many are queued for a drain; three tenths of it where they can only be enqueued
            one by one, which is more than those drains get to.
        window: Seconds after which a slow drain is cut short: what ran until then counts.
        seconds: How long enqueueing one by one and latency are watched.
        concurrency: Jobs at once, with tuned settings.
    """

    servers: Servers
    jobs: int
    window: float
    seconds: float
    concurrency: int = 100

    @contextlib.contextmanager
    def stage(self, contender: Contender, count: int, *, keep: bool) -> Iterator[Orders]:
        """Give the orders for an empty, prepared place."""
        with (
            self.servers.place(contender.peer.backend) as url,
            tempfile.TemporaryDirectory(prefix="bench-") as folder,
        ):
            tuned = contender.variant == "tuned"
            orders = Orders("prepare", url, f"{folder}/ledger", count, tuned=tuned, keep=keep)
            orders = replace(orders, concurrency=self.concurrency, seconds=self.seconds)
            if contender.peer.backend in {"postgres", "sqlite"}:
                ask(contender, orders)
            yield orders


def drain_kept(bench: Bench, contender: Contender, figure: Figure) -> None:
    """Measure a drain whose results are kept."""
    _drain(bench, contender, figure, keep=True)


def drain_off(bench: Bench, contender: Contender, figure: Figure) -> None:
    """Measure a drain without results."""
    _drain(bench, contender, figure, keep=False)


def _drain(bench: Bench, contender: Contender, figure: Figure, *, keep: bool) -> None:
    many = contender.peer.name == OURS or contender.peer.has_batches
    with bench.stage(contender, bench.jobs if many else bench.jobs * 3 // 10, keep=keep) as orders:
        memory = contender.peer.backend == "memory"  # whose worker fills its own queue
        if not memory:
            ask(contender, replace(orders, role="fill"), timeout=180)
        ledger = Ledger(orders.ledger, orders.count)
        with working(contender, replace(orders, role="work")) as child:
            whole = watch(child, ledger, bench.window)
        figure.values.append(_rate(ledger))
        figure.duplicates += sum(count - 1 for count in ledger.begun if count > 1)
        if whole:
            figure.missing += ledger.open
        else:
            figure.extra["cut_short"] = orders.count - ledger.open
        if contender.peer.name == OURS and not memory and whole:
            _check_kept(contender, orders)


def _check_kept(contender: Contender, orders: Orders) -> None:
    kept = ask(contender, replace(orders, role="kept"))["kept"]
    if kept != (orders.count if orders.keep else 0):
        raise FailedError(f"{kept} of {orders.count} completed jobs are kept")


def watch(child: Child, ledger: Ledger, window: float, look: float = 0.003) -> bool:
    """Return when every job has begun, or ``window`` seconds after the first; whether all have.

    Raises:
        FailedError: The worker ended, or no job began.
    """
    started, total = time.monotonic(), len(ledger.begun)
    until: float | None = None
    while left := ledger.open:
        now = time.monotonic()
        if not child.is_alive:
            raise FailedError(f"the worker ended: {child.complaint()}")
        if until is None and left < total:
            until = now + window
        if until is not None and now > until:
            return False
        if until is None and now > started + _FIRST:
            raise FailedError(f"no job began within {_FIRST:g} s: {child.complaint()}")
        time.sleep(look)
    return True


def _rate(ledger: Ledger) -> float:
    moments = [moment for moment in ledger.moments if moment]
    return (len(moments) - 1) / max(1, max(moments) - min(moments)) * 1e9


def enqueue_single(bench: Bench, contender: Contender, figure: Figure) -> None:
    """Measure awaited calls of ``enqueue``, one after the other."""
    with bench.stage(contender, 50_000, keep=True) as orders:
        figure.values.append(ask(contender, replace(orders, role="enqueue"))["rate"])


def enqueue_many(bench: Bench, contender: Contender, figure: Figure) -> None:
    """Measure the call for many jobs, a thousand at a time."""
    with bench.stage(contender, bench.jobs, keep=True) as orders:
        figure.values.append(ask(contender, replace(orders, role="batch"))["rate"])


def latency(bench: Bench, contender: Contender, figure: Figure) -> None:
    """Measure from before ``enqueue`` to the begin of the handler, in an idle system."""
    with bench.stage(contender, 10_000, keep=True) as orders:
        Ledger(orders.ledger, orders.count)
        with working(contender, replace(orders, role="work")) as child:
            time.sleep(1.5)  # libraries take their time to import and to connect
            try:
                waits = ask(contender, replace(orders, role="latency"))["waits"]
            except FailedError as exc:
                raise FailedError(f"{exc}; worker: {child.complaint()}") from None
    figure.extra.setdefault("waits", []).extend(waits)
    figure.values.append(percentile(waits, 0.5))


def percentile(values: list[float], part: float) -> float:
    """Return the value below which ``part`` of the values are."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
