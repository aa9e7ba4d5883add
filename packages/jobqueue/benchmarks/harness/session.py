"""One run: every measurement of every contender, interleaved, with a bar that tells how far."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .backlog import backlog
from .bars import judge
from .contenders import OURS, RAW, Contender
from .environments import FailedError, interpreter
from .imports import imports
from .recovery import recovery
from .results import Figure, Results
from .servers import Servers
from .timing import (
    Bench,
    Measure,
    drain_kept,
    drain_off,
    enqueue_many,
    enqueue_single,
    latency,
    percentile,
)

_TIMED: Final[dict[str, Measure]] = {
    "drain": drain_kept,
    "drain-off": drain_off,
    "enqueue": enqueue_single,
    "enqueue-many": enqueue_many,
    "latency": latency,
}
NAMES: Final = (*_TIMED, "recovery", "import", "backlog")
_IMPORTS: Final = 5
Step = tuple[str, Callable[[], Iterable[float] | None], Figure]


@dataclass(frozen=True)
class Plan:
    """What to measure, how often and how much."""

    names: Sequence[str]
    repetitions: int
    jobs: int
    window: float
    seconds: float
    limit: float
    queued: int


def suits(name: str, contender: Contender) -> bool:
    """Whether a measurement makes sense for a contender."""
    peer, tuned = contender.peer, contender.variant == "tuned"
    memory, raw = peer.backend == "memory", peer.name == RAW
    fitting = {
        "drain": True in peer.keeps,
        "drain-off": tuned and False in peer.keeps,
        "enqueue": tuned and not memory,
        "enqueue-many": tuned and not memory and peer.has_batches,
        "latency": not memory and (not raw or peer.backend == "redis"),
        "recovery": not memory and not raw,
        "import": tuned and not raw,
        "backlog": tuned and not memory and peer.name == OURS,
    }
    return fitting[name]


class Session:
    """Runs a plan and collects its results."""

    def __init__(
        self,
        plan: Plan,
        servers: Servers,
        contenders: Sequence[Contender],
        console: Console,
        so_far: Path,
    ) -> None:
        """Measure ``contenders`` on ``servers``; what there is so far is kept in ``so_far``."""
        self._plan, self._servers, self._console = plan, servers, console
        self._contenders, self._so_far = contenders, so_far
        self._bench = Bench(servers, plan.jobs, plan.window, plan.seconds)
        self.results = Results()

    def run(self) -> Results:
        """Measure everything; a contender that fails is told with its reason."""
        ready = list(self._installed())
        steps = [*self._timed(ready), *self._once(ready)]
        columns = (TextColumn("{task.description:44}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeElapsedColumn(), console=self._console) as progress:
            whole = progress.add_task("all", total=len(steps))
            for title, call, figure in steps:
                progress.update(whole, description=title)
                if figure.failure is None:
                    self._step(progress, call, figure)
                    self.results.save(self._so_far)
                progress.advance(whole)
        self._close()
        return self.results

    def _installed(self) -> Iterator[Contender]:
        for contender in self._contenders:
            try:
                with self._console.status(f"preparing {contender.peer.name}"):
                    interpreter(contender.peer)
            except FailedError as exc:
                for name in self._plan.names:
                    if suits(name, contender):
                        self.results.figure(name, contender).failure = f"not installed: {exc}"
            else:
                yield contender

    def _timed(self, contenders: Sequence[Contender]) -> Iterator[Step]:
        for name in self._plan.names:
            if name not in _TIMED:
                continue
            for turn in range(self._plan.repetitions):
                for each in contenders:
                    if suits(name, each) and turn < self._turns(name, each):
                        figure = self.results.figure(name, each)
                        call = partial(_TIMED[name], self._bench, each, figure)
                        yield f"{name} {turn + 1}: {each.title}, {each.peer.backend}", call, figure

    def _turns(self, name: str, contender: Contender) -> int:
        """Return how often to measure: it is the best of each of the others that counts."""
        if contender.peer.name == OURS:
            return self._plan.repetitions
        if contender.variant == "default":
            return 1
        return min(2, self._plan.repetitions) if name == "latency" else self._plan.repetitions

    def _once(self, contenders: Sequence[Contender]) -> Iterator[Step]:
        for name in self._plan.names:
            some = [each for each in contenders if suits(name, each)]
            pairs = [(each, self.results.figure(name, each)) for each in some]
            if name == "recovery" and pairs:
                call = partial(recovery, self._servers, pairs, self._plan.limit)
                yield "recovery of all", call, Figure.of(pairs[0][0])
            for each, figure in pairs:
                if name == "import":
                    if each.peer.name == OURS and each.peer.backend != "memory":
                        figure.title = f"{OURS} and its client of {each.peer.backend}"
                    yield f"import {each.title}", partial(imports, each, figure, _IMPORTS), figure
                if name == "backlog":
                    what = partial(backlog, self._bench, each, figure, self._plan.queued)
                    yield f"{self._plan.queued:,} queued, {each.peer.backend}", what, figure

    def _step(
        self, progress: Progress, call: Callable[[], Iterable[float] | None], figure: Figure
    ) -> None:
        try:
            parts = call()
            if parts is not None:
                bar = progress.add_task("  of which", total=1.0)
                for part in parts:
                    progress.update(bar, completed=part)
                progress.remove_task(bar)
        except Exception as exc:  # noqa: BLE001  whatever it was, it is told and the others go on
            figure.failure = str(exc) or type(exc).__name__
            who = f"{figure.title}, {figure.backend}"
            self._console.print(f"[red]failed[/] {who}: {figure.failure}", highlight=False)

    def _close(self) -> None:
        for figures in self.results.measures.values():
            for figure in figures.values():
                if waits := figure.extra.pop("waits", None):
                    figure.extra |= {
                        "p50": percentile(waits, 0.5),
                        "p99": percentile(waits, 0.99),
                        "count": len(waits),
                    }
        self.results.bars = list(judge(self.results))
