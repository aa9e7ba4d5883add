"""What ``update`` and ``advance`` could not store: the newest for each operation, written later."""

import logging
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from . import rules
from .engine import Engine
from .errors import BackendError, ProgressError
from .ports import Record
from .rules import Rule

logger = logging.getLogger(__name__)
_LIMIT = 10_000
_LONGEST = 5.0


@dataclass(slots=True)
class Waiting:
    """One kept change, and the names of the writes that may have stored it already."""

    key: tuple[str, str | None]
    rule: Callable[[Record, float], Record]
    tokens: set[str] = field(default_factory=set)


class Backlog:
    """Keeps changes while the store is down. Belongs to one event loop."""

    def __init__(
        self, engine: Engine, spawn: Callable[[Coroutine[Any, Any, Any], str], Any]
    ) -> None:
        """Write through ``engine`` when it works again."""
        self._engine, self._spawn = engine, spawn
        self._waiting: OrderedDict[str, list[Waiting]] = OrderedDict()
        self._task: Any = None

    def __len__(self) -> int:
        """How many operations wait."""
        return len(self._waiting)

    def keep(self, id: str, change: Waiting) -> None:
        """Keep ``change``; an older update of the same stage is no longer needed."""
        before = self._waiting.pop(id, [])
        if change.key[0] == "update":
            before = [each for each in before if each.key != change.key]
        self._waiting[id] = [*before, change]
        if len(self._waiting) > _LIMIT:
            lost, _ = self._waiting.popitem(last=False)
            logger.error("progress.update_lost", extra={"progress_id": lost})
        if self._task is None or self._task.done():
            self._task = self._spawn(self._drain(), "progress.backlog")

    def before(self, id: str, rule: Rule, token: str) -> Rule:
        """Return ``rule`` after everything that waits for the operation."""
        waiting = self._waiting.get(id)
        if not waiting:
            return rule
        tried = [(each, frozenset(each.tokens)) for each in waiting]
        for each in waiting:
            each.tokens.add(token)

        def merged(record: Record) -> Record:
            now, last = self._engine.clock.time(), record.token
            for each, tokens in tried:
                if last not in tokens:  # else a write that seemed to fail was stored after all
                    record = _tolerant(each, record, now)
            return rule(record)

        return merged

    def done(self, id: str) -> None:
        """Forget what was stored."""
        self._waiting.pop(id, None)

    async def _drain(self) -> None:
        pause = 0.1
        while self._waiting:
            await self._engine.sleep(pause)
            if await self.flush():
                return
            pause = min(_LONGEST, pause * 2)

    async def flush(self) -> bool:
        """Write what waits; return whether all of it is settled."""
        for id in list(self._waiting):
            token = self._engine.new_id()
            rule = self.before(id, _as_it_is, token)
            try:
                await self._engine.change(id, rule, token=token)
            except BackendError:
                return False
            except ProgressError as exc:
                logger.warning("progress.refused", extra={"progress_id": id, "reason": str(exc)})
            self.done(id)
        return True


def _as_it_is(record: Record) -> Record:
    return record


def _tolerant(change: Waiting, record: Record, now: float) -> Record:
    try:
        return change.rule(record, now)
    except ProgressError:
        # it ended, or went to another epoch, meanwhile: what was kept came too late
        return record


def keep_update(
    progress: float, stage: str | None, message: str | None, epoch: int | None
) -> Waiting:
    """Return an update to be kept."""

    def rule(record: Record, now: float) -> Record:
        return rules.update(record, now, progress, stage, message, epoch)

    return Waiting(("update", stage), rule)


def keep_advance(n: float, stage: str | None, epoch: int | None) -> Waiting:
    """Return an increment to be kept."""

    def rule(record: Record, now: float) -> Record:
        return rules.advance(record, now, n, stage, epoch)

    return Waiting(("advance", stage), rule)
