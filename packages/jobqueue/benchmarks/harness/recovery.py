"""How long a job waits for its next run after its worker was killed; all contenders at once."""

import contextlib
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from peers.stage import Ledger, Orders

from .children import Child, ask
from .contenders import Contender
from .environments import FailedError
from .results import Figure
from .servers import Servers

_FIRST: Final = 30.0
_LOOK: Final = 0.01


@dataclass
class _Trial:
    """One job, whose first run never ends."""

    contender: Contender
    figure: Figure
    orders: Orders
    ledger: Ledger
    begun: float = field(default_factory=time.monotonic)
    child: Child | None = None
    killed: float | None = None
    over: bool = False

    def look(self, limit: float) -> None:
        """Kill the worker once it runs the job, then see when another one does."""
        now = time.monotonic()
        if self.child is None:
            self.child = Child(self.contender, self.orders)
        if self.killed is None:
            if self.ledger.begun[0]:
                self.child.close()
                self.killed = time.monotonic()
                self.child = Child(self.contender, self.orders)
            elif now > self.begun + _FIRST:
                self._end(f"the job did not begin: {self.child.complaint()}")
        elif self.ledger.begun[0] > 1:
            self.figure.values.append(self.ledger.moments[0] / 1e9 - self.killed)
            self._end()
        elif now > self.killed + limit:
            self.figure.extra["not_within"] = limit
            self._end()

    def _end(self, failure: str | None = None) -> None:
        self.figure.failure, self.over = failure, True
        if self.child is not None:
            self.child.close()


def recovery(
    servers: Servers, pairs: Sequence[tuple[Contender, Figure]], limit: float
) -> Iterator[float]:
    """Try all ``pairs`` side by side, at most ``limit`` seconds each; yield the part that is over.

    The processes are idle but for the moment of the kill, so they do not disturb each other.
    """
    with contextlib.ExitStack() as stack:
        trials: list[_Trial] = []
        for contender, figure in pairs:
            backend = contender.peer.backend
            url = stack.enter_context(servers.shared_place(backend))
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
            tuned = contender.variant == "tuned"
            orders = Orders("prepare", url, f"{folder}/ledger", 1, tuned=tuned, concurrency=4)
            try:
                if backend != "redis":
                    ask(contender, orders)
                ask(contender, replace(orders, role="fill"))
            except FailedError as exc:
                figure.failure = str(exc)
                continue
            orders = replace(orders, role="work", block=True)
            trials.append(_Trial(contender, figure, orders, Ledger(orders.ledger, 1)))
        try:
            yield from _watch(trials, limit)
        finally:
            for each in trials:
                if each.child is not None and not each.over:
                    each.child.close()


def _watch(trials: Sequence[_Trial], limit: float) -> Iterator[float]:
    started = time.monotonic()
    for each in trials:
        each.begun = started
    while waiting := [each for each in trials if not each.over]:
        for each in waiting:
            each.look(limit)
        yield (time.monotonic() - started) / (limit + 5)
        time.sleep(_LOOK)
