"""While the store is down: what ``update`` and ``advance`` said is kept, and written later."""

import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from .. import rules
from ..errors import BackendError, ProgressError
from ..ports import Record
from ..rules import Rule
from .operations import Operations

logger = logging.getLogger(__name__)
_OPERATIONS = 10_000
_CHANGES = 1000
_TRIES = 64
"""After so many failed writes of an operation's changes, only the background tries again."""
_LONGEST = 5.0


@dataclass(frozen=True, slots=True)
class KeptChange:
    """An update to ``amount`` percent, or an increment by ``amount``; ``number`` is its order."""

    kind: Literal["update", "advance"]
    amount: float
    stage: str | None = None
    message: str | None = None
    epoch: int | None = None
    number: int = 0

    def apply(self, record: Record, now: float) -> Record:
        """Return the record after the change.

        Raises:
            ProgressConflict: The operation has ended, or is in another epoch.
            InvalidProgress: The stage is unknown.
        """
        if self.kind == "update":
            return rules.update(record, now, self.amount, self.stage, self.message, self.epoch)
        return rules.advance(record, now, self.amount, self.stage, self.epoch)

    def matches(self, other: "KeptChange") -> bool:
        """Whether both speak of the same thing, so that one change can say what both do."""
        mine, its = (self.kind, self.stage, self.epoch), (other.kind, other.stage, other.epoch)
        return mine == its


@dataclass(slots=True)
class _Waiting:
    """The changes of one operation, and which of them each write that failed may have stored.

    ``tried`` says for the name of a write: all up to this number, and this one; ``settled`` are the
    numbers of those that are stored for certain.
    """

    changes: list[KeptChange] = field(default_factory=list)
    tried: dict[str, tuple[int, int]] = field(default_factory=dict)
    settled: set[int] = field(default_factory=set)
    last: int = 0

    def add(self, change: KeptChange) -> int:
        """Add ``change``, or make one of it and what it supersedes; return its number."""
        self.last += 1
        place = self._place_of(change)
        if place is None:
            self.changes.append(replace(change, number=self.last))
            return self.last
        old = self.changes[place]
        if change.kind == "advance":
            change = replace(change, amount=old.amount + change.amount)
        else:
            # smaller percents lose, and a message stays until there is another
            line = old.message if change.message is None else change.message
            change = replace(change, amount=max(old.amount, change.amount), message=line)
        self.changes[place] = replace(change, number=self.last)
        return self.last

    def _place_of(self, change: KeptChange) -> int | None:
        """Return which change ``change`` can be made one with.

        Without a stage both must mean the same one, so nothing may have come between; an increment
        that may be stored already stays by itself.
        """
        end = len(self.changes) - 1
        if change.kind == "update" and change.stage is not None:
            return next((n for n, one in enumerate(self.changes) if one.matches(change)), None)
        if end < 0 or not self.changes[end].matches(change):
            return None
        return end if change.kind == "update" or self._is_untried(self.changes[end]) else None

    def _is_untried(self, change: KeptChange) -> bool:
        return not any(_holds(tried, change) for tried in self.tried.values())


def _holds(tried: tuple[int, int], change: KeptChange) -> bool:
    return change.number <= tried[0] or change.number == tried[1]


class KeptUpdates:
    """Keeps changes while the store is down. Belongs to one event loop."""

    def __init__(
        self, operations: Operations, spawn: Callable[[Coroutine[Any, Any, Any], str], Any]
    ) -> None:
        """Write through ``operations`` when the store works again."""
        self._operations, self._spawn = operations, spawn
        self._waiting: OrderedDict[str, _Waiting] = OrderedDict()
        self._task: Any = None
        self._pid = os.getpid()

    def __len__(self) -> int:
        """How many operations wait."""
        return len(self._waiting)

    def is_hopeless(self, id: str) -> bool:
        """Whether so many writes failed that the next change had better only be kept."""
        waiting = self._waiting.get(id)
        return waiting is not None and len(waiting.tried) >= _TRIES

    def keep(self, id: str, change: KeptChange, token: str | None = None) -> None:
        """Keep ``change``; ``token`` is the write that failed, and may have stored it."""
        waiting = self._waiting.pop(id, None) or _Waiting()
        self._waiting[id] = waiting
        number = waiting.add(change)
        if token is not None:
            upto, _ = waiting.tried.get(token, (0, 0))
            waiting.tried[token] = (upto, number)
        if len(waiting.changes) > _CHANGES:
            del waiting.changes[0]
            logger.error("progress.update_lost", extra={"progress_id": id})
        if len(self._waiting) > _OPERATIONS:
            lost, _ = self._waiting.popitem(last=False)
            logger.error("progress.update_lost", extra={"progress_id": lost})
        self.resume()

    def before(self, id: str, rule: Rule, token: str) -> Rule:
        """Return ``rule`` after everything that waits for the operation."""
        waiting = self._waiting.get(id)
        if waiting is None:
            return rule
        changes = list(waiting.changes)
        waiting.tried[token] = (waiting.last, 0)

        def merged(record: Record) -> Record:
            # looked up now, not when the write began: meanwhile another one may have stored them
            now, stored = self._operations.clock.time(), waiting.tried.get(record.token, (0, 0))
            for each in changes:
                if not (_holds(stored, each) or each.number in waiting.settled):
                    record = _tolerant(each, record, now)
            return rule(record)

        return merged

    def done(self, id: str, token: str) -> None:
        """Forget what the write ``token`` stored; what was kept meanwhile still waits."""
        waiting = self._waiting.get(id)
        if waiting is None or (stored := waiting.tried.pop(token, None)) is None:
            return
        waiting.settled |= {each.number for each in waiting.changes if _holds(stored, each)}
        waiting.changes = [each for each in waiting.changes if not _holds(stored, each)]
        if not waiting.changes:
            del self._waiting[id]

    def refused(self, id: str, token: str) -> None:
        """Know that the write ``token`` was not stored: a rule forbade it."""
        if (waiting := self._waiting.get(id)) is not None:
            waiting.tried.pop(token, None)

    def resume(self) -> None:
        """Let the background write what waits, if it does not already."""
        if self._waiting and (self._task is None or self._task.done()):
            self._task = self._spawn(self._drain(), "progress.kept_updates")

    def reset(self) -> None:
        """Forget the task of another event loop; in a fork also what the parent will write."""
        self._task = None
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._waiting.clear()

    async def _drain(self) -> None:
        pause = 0.1
        while self._waiting:
            await self._operations.sleep(pause)
            if await self.flush():
                return
            pause = min(_LONGEST, pause * 2)

    async def flush(self) -> bool:
        """Write what waits; return whether all of it is settled."""
        for id in list(self._waiting):
            token = self._operations.new_id()
            try:
                # a read first: a write that fails may have been stored, and must be remembered
                await self._operations.stored(id)
                await self._operations.change(id, self.before(id, _as_it_is, token), token=token)
            except BackendError:
                return False
            except ProgressError as exc:
                logger.warning("progress.refused", extra={"progress_id": id, "reason": str(exc)})
            self.done(id, token)
        return not self._waiting

    async def close(self) -> None:
        """Write what waits; what the store does not take now is lost, and the log says so."""
        if not await self.flush():
            for id in self._waiting:
                logger.error("progress.update_lost", extra={"progress_id": id})
            self._waiting.clear()


def _as_it_is(record: Record) -> Record:
    return record


def _tolerant(change: KeptChange, record: Record, now: float) -> Record:
    try:
        return change.apply(record, now)
    except ProgressError:
        # it ended, or went to another epoch, meanwhile: what was kept came too late
        return record
