"""What every peer's script does with its library: one role, told on the command line as JSON.

Runs in the environment of the peer, so it needs the standard library only. A script answers with
lines of JSON on its standard output; what the library logs goes to standard error.

What was done is counted outside of the libraries: a handler does nothing but ``mark`` its job in a
ledger, a file that the harness, the enqueuing process and the worker (and its children) map into
their memory. It has, for each job, how often its handler began and when.
"""

import asyncio
import ctypes
import json
import mmap
import os
import random
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

LANES: Final = 100
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


class Ledger:
    """How often and when (monotonic nanoseconds) each of some jobs began."""

    def __init__(self, path: str | Path, count: int) -> None:
        """Map the file at ``path``, which is made if it is not there."""
        moments = -(-count // 8) * 8
        with Path(path).open("r+b" if Path(path).exists() else "w+b") as file:
            file.truncate(moments + 8 * count)
            self._map = mmap.mmap(file.fileno(), moments + 8 * count)
        self._count = count
        self.begun = memoryview(self._map)[:count]
        self.moments = memoryview(self._map)[moments:].cast("Q")

    @property
    def open(self) -> int:
        """How many jobs have not begun."""
        return self._map[: self._count].count(0)

    def mark(self, n: int) -> int:
        """Note that the handler of job ``n`` begins; return how often it has."""
        self.moments[n] = time.monotonic_ns()
        self.begun[n] += 1
        return self.begun[n]


@dataclass(frozen=True)
class Orders:
    """What a script is to do.

    Attributes:
        role: ``prepare``, ``fill``, ``enqueue``, ``batch``, ``latency``, ``work``, ``kept``,
            ``claim``.
        url: The server.
        ledger: The file of the ledger; ``count`` jobs are in it.
        count: How many jobs.
        seconds: How long to go on at most, where that ends it.
        tuned: Whether to use the recommended settings, not the defaults.
        concurrency: Jobs at once, where tuned.
        keep: Whether results are kept.
        block: Whether a job's first run never ends.
    """

    role: str
    url: str
    ledger: str
    count: int
    seconds: float = 2.0
    tuned: bool = True
    concurrency: int = 100
    keep: bool = True
    block: bool = False

    def dump(self) -> str:
        """Return them as JSON."""
        return json.dumps(asdict(self))


class _Scene:
    """What handlers reach without arguments, as libraries find them by name."""

    ledger: Ledger
    block = False


def mark(n: int) -> bool:
    """Note a begun job; return whether its handler must block for ever."""
    return _Scene.ledger.mark(n) == 1 and _Scene.block


def run(n: int) -> int:
    """Be a blocking handler."""
    if mark(n):
        time.sleep(3600)
    return n


async def run_async(n: int) -> int:
    """Be an asynchronous handler."""
    if mark(n):
        await asyncio.sleep(3600)
    return n


class Peer(ABC):
    """A library, as the harness uses it. Blocking libraries block in the asynchronous methods."""

    def __init__(self, orders: Orders) -> None:
        """Do what ``orders`` say; no I/O."""
        self.orders = orders

    async def open(self) -> None:
        """Connect to enqueue."""

    async def close(self) -> None:
        """Disconnect."""

    async def prepare(self) -> None:
        """Create what the server needs."""

    @abstractmethod
    async def enqueue(self, n: int) -> None:
        """Enqueue job ``n`` and return once the server has it."""

    async def enqueue_many(self, numbers: Sequence[int]) -> None:
        """Enqueue jobs by the library's own call for many."""
        raise NotImplementedError("it has no call for many jobs")

    @abstractmethod
    def work(self) -> None:
        """Run jobs in this process until SIGTERM."""

    async def kept(self) -> int | None:
        """Return how many completed jobs the library has kept; None if it cannot tell."""
        return None

    async def claim(self) -> float:
        """Return the milliseconds that a claim of ten jobs takes, which are given back."""
        raise NotImplementedError("it cannot be asked for a claim alone")

    @property
    def has_batches(self) -> bool:
        """Whether the library has a call for many jobs."""
        return type(self).enqueue_many is not Peer.enqueue_many


async def _fill(peer: Peer, count: int) -> None:
    if peer.has_batches:
        for start in range(0, count, 1000):
            await peer.enqueue_many(range(start, min(count, start + 1000)))
        return
    for start in range(0, count, LANES):
        await asyncio.gather(*map(peer.enqueue, range(start, min(count, start + LANES))))


async def _enqueue(peer: Peer, orders: Orders) -> dict[str, Any]:
    for n in range(20):
        await peer.enqueue(n)
    done, begun = 0, time.perf_counter()
    end = begun + orders.seconds
    while time.perf_counter() < end and done < orders.count:
        await peer.enqueue(done)
        done += 1
    return {"rate": done / (time.perf_counter() - begun)}


async def _batch(peer: Peer, orders: Orders) -> dict[str, Any]:
    await peer.enqueue_many(range(1000))
    begun = time.perf_counter()
    await _fill(peer, orders.count)
    return {"rate": orders.count / (time.perf_counter() - begun)}


async def _latency(peer: Peer, orders: Orders) -> dict[str, Any]:
    # the first ones find scripts not loaded and plans not made
    rng, numbers = random.Random(7), iter(range(orders.count))
    for _ in range(5):
        await _delay(peer, next(numbers), rng)
    waits: list[float] = []
    end = time.monotonic() + orders.seconds
    while time.monotonic() < end:
        waits.append(await _delay(peer, next(numbers), rng))
    return {"waits": waits}


async def _delay(peer: Peer, n: int, rng: random.Random) -> float:
    """Return the milliseconds from enqueueing job ``n`` to its begin."""
    # an idle system: the job before is over and the worker has gone back to waiting
    await asyncio.sleep(rng.uniform(0.005, 0.025))
    moments, before = _Scene.ledger.moments, time.monotonic_ns()
    await peer.enqueue(n)
    while not moments[n]:
        await asyncio.sleep(0.0005)
        if time.monotonic_ns() > before + 10e9:
            raise TimeoutError(f"job {n} did not begin within ten seconds")
    return (moments[n] - before) / 1e6


async def _play(peer: Peer, orders: Orders) -> dict[str, Any]:
    answer: dict[str, Any] = {}
    await peer.open()
    try:
        match orders.role:
            case "prepare":
                await peer.prepare()
            case "fill":
                await _fill(peer, orders.count)
            case "enqueue":
                answer = await _enqueue(peer, orders)
            case "batch":
                answer = await _batch(peer, orders)
            case "latency":
                answer = await _latency(peer, orders)
            case "kept":
                answer = {"kept": await peer.kept()}
            case "claim":
                answer = {"milliseconds": await peer.claim()}
            case other:
                raise ValueError(f"no such role: {other}")
    finally:
        await peer.close()
    return answer


def say(**answer: Any) -> None:
    """Answer the harness."""
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main(make: type[Peer]) -> None:
    """Read the orders and follow them."""
    if sys.platform == "linux":  # end with the harness, be it by SIGKILL
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    orders = Orders(**json.loads(sys.argv[1]))
    sys.argv = sys.argv[:1]  # command lines of libraries must not see it
    _Scene.ledger, _Scene.block = Ledger(orders.ledger, orders.count), orders.block
    peer = make(orders)
    if orders.role == "work":
        say(working=os.getpid())
        peer.work()
    else:
        say(**asyncio.run(_play(peer, orders)))
