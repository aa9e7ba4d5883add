"""A million queued jobs: what a claim costs over them, and whether the worker's memory grows."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from peers.stage import Ledger, Orders

from .children import Child, ask, working
from .contenders import Contender
from .environments import FailedError
from .results import Figure
from .timing import Bench

_FEW: Final = 1000
_PART: Final = 250_000
_LOOK: Final = 0.25
_KIB: Final = 1024
_LONGEST: Final = 20.0


def backlog(bench: Bench, contender: Contender, figure: Figure, count: int) -> Iterator[float]:
    """Measure over ``count`` queued jobs; yield the part that is over."""
    part = min(_PART, count)  # jobs of one number are told apart by how often it was seen
    with bench.stage(contender, part, keep=False) as orders:
        ask(contender, replace(orders, role="fill", count=_FEW))
        few = _claim(contender, orders)
        for begun in range(_FEW, count, part):
            size = min(part, count - begun)
            ask(contender, replace(orders, role="fill", count=size), timeout=180)
            yield 0.5 * begun / count
        many = _claim(contender, orders)
        ledger = Ledger(orders.ledger, part)
        with working(contender, replace(orders, role="work")) as child:
            started = time.monotonic()
            samples: list[tuple[float, float]] = []
            for done, memory in _memory(child, ledger, count):
                samples.append((done, memory))
                yield 0.5 + 0.5 * min(1.0, done / count)
            took = time.monotonic() - started
    figure.values.append(many)
    # what a worker is after its first jobs is the base: before it has imported and connected
    base = next(memory for done, memory in samples if done >= samples[-1][0] / 10)
    figure.extra |= {
        "claim_ms_over_thousand": few,
        "claim_ms_over_all": many,
        "queued": count,
        "drained_per_second": samples[-1][0] / took,
        "memory_mib_early": base,
        "memory_mib_end": samples[-1][1],
        "memory": samples,
    }


def _claim(contender: Contender, orders: Orders) -> float:
    return float(ask(contender, replace(orders, role="claim"))["milliseconds"])


def _memory(child: Child, ledger: Ledger, count: int) -> Iterator[tuple[float, float]]:
    """Yield how many jobs are done and the worker's resident MiB, for some time or to the end."""
    until = time.monotonic() + _LONGEST
    while True:
        if not child.is_alive:
            raise FailedError(f"the worker ended: {child.complaint()}")
        done = sum(ledger.begun)
        yield float(min(done, count)), _resident(child.pid)
        if done >= count or time.monotonic() > until:
            return
        time.sleep(_LOOK)


def _resident(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) / _KIB if found else 0.0
