"""Operations on a store: rules, compare-and-set, retries and bells. Knows no event loop."""

import asyncio
import logging
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from .. import rules
from .._common.clock import Clock, NewId
from ..errors import (
    BackendError,
    ProgressError,
    ProgressNotFound,
)
from ..models import ProgressStatus, Sweep
from ..ports import Backplane, Beat, ProgressStore, Record, Write
from ..rules import Rule, checks
from ..rules.reports import Report, report
from ..settings import Settings
from .history import Durations

T = TypeVar("T")
logger = logging.getLogger(__name__)
_KNOWN = 1024
_BATCH = 500


@dataclass(slots=True)
class Counters:
    """Plain figures; ``+= 1`` is all they cost."""

    operations: int = 0
    outcomes: dict[ProgressStatus, int] = field(default_factory=dict)
    writes: int = 0
    write_seconds: float = 0.0
    store_errors: int = 0


@dataclass(frozen=True, slots=True)
class Operations:
    """Reads and changes operations through one store and one backplane.

    Bound to the event loop of its adapters; the service has one at home and one for its handles.

    Attributes:
        store: Where operations are kept.
        backplane: Whom to tell of changes; None tells nobody.
        settings: Retention, budget and the like.
        clock: Time.
        new_id: Makes the tokens of writes.
        counters: Figures, shared by those of a service.
        sleep: Waits between retries.
        rng: Spreads them.
    """

    store: ProgressStore
    backplane: Backplane | None
    settings: Settings
    clock: Clock
    new_id: NewId
    counters: Counters
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    rng: random.Random = field(default_factory=random.Random)
    durations: Durations = field(init=False)
    _known: OrderedDict[str, Record] = field(default_factory=OrderedDict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "durations", Durations(self.clock))

    async def read(self, id: str, *, user_id: str | None = None, cached: bool = False) -> Record:
        """Return an operation; one that nobody writes any more is failed first.

        Raises:
            ProgressNotFound: There is none, or it is another user's.
        """
        if cached and checks.is_name(id):
            found = await self._asked(self.store.get(id))
        else:
            found = await self.stored(id)
        record = owned(found, id, user_id)
        return await self.settle(record) if self.is_stale(record) else record

    def is_stale(self, record: Record) -> bool:
        """Whether its worker fell silent."""
        return (
            record.status is ProgressStatus.PROCESSING
            and record.stale_at is not None
            and record.stale_at < self.clock.time()
        )

    async def settle(self, record: Record) -> Record:
        """Fail an operation that has stalled, unless its worker writes meanwhile."""

        def rule(current: Record) -> Record:
            if not self.is_stale(current):
                return current
            message = f"stalled: no write for {current.stale_after:g} s"
            return rules.fail(current, self.clock.time(), message, stalled=True)

        settled = await self.change(record.id, rule)
        if settled.state.reason == "stalled":
            logger.warning("progress.stalled", extra={"progress_id": record.id})
        return settled

    async def create(self, record: Record) -> tuple[Record, bool]:
        """Store a new operation; return it, or the one that has the id, and whether it is new.

        Raises:
            ProgressNotFound: The parent is gone.
            BackendError: The store failed beyond the retry budget.
        """
        made = msgspec.structs.replace(record, token=self.new_id())
        if record.kind is not None:
            prior = await self.durations.of(record.kind, self.store)
            state = msgspec.structs.replace(record.state, prior=prior)
            made = msgspec.structs.replace(made, state=state)
        created = await self.patiently(lambda: self._timed(self.store.create(made)))
        if created.record is None:
            raise ProgressNotFound(f"no operation {record.parent_id!r} to be the parent")
        if created.reason == "created":
            self.counters.operations += 1
            self._remember(created.record)
            await self._ring([record.id, *record.ancestors])
        return created.record, created.reason == "created"

    async def change(
        self,
        id: str,
        rule: Rule,
        *,
        user_id: str | None = None,
        patient: bool = False,
        token: str | None = None,
    ) -> Record:
        """Apply ``rule`` to the stored record, atomically, and return what is stored then.

        Starts from what was stored last as far as we know, which saves the read.

        Args:
            id: Which operation.
            rule: From the stored record to the new own state.
            user_id: Whose it must be; anybody's if None.
            patient: Whether to try again, within the retry budget, when the store fails.
            token: The write's name; one with the token of the stored record was applied already.

        Raises:
            ProgressNotFound: There is none, or it is another user's.
            ProgressError: What the rule raises.
            BackendError: The store failed.
        """
        mark = token or self.new_id()

        async def attempt() -> Record:
            return await self._change(id, rule, user_id, mark)

        return await (self.patiently(attempt) if patient else attempt())

    async def _change(self, id: str, rule: Rule, user_id: str | None, mark: str) -> Record:
        base, fresh = self._known.get(id) if checks.is_name(id) else None, False
        if base is None:
            base, fresh = await self.stored(id), True
        while True:
            if fresh and base is not None and base.token == mark:
                return base
            base = owned(base, id, user_id)
            try:
                new = rule(base)
            except ProgressError:
                if fresh:
                    raise
                new = base
            if new is base:
                if fresh:
                    return base
                # what we remember may be old: decide on what is stored
                base, fresh = await self.stored(id), True
                continue
            write = Write(msgspec.structs.replace(new, token=mark), base.status)
            (written,) = await self._timed(self.store.write([write]))
            if written.applied and written.record is not None:
                await self._applied(base, written.record)
                return written.record
            base, fresh = written.record, True

    async def stored(self, id: str) -> Record | None:
        """Return what the store has, whoever's it is and however old."""
        if not checks.is_name(id):
            return None  # nothing can be called so, and a store might choke on it
        return (await self._asked(self.store.get_many([id]))).get(id)

    async def _applied(self, base: Record, record: Record) -> None:
        self._remember(record)
        self.count(base, record)
        await self._ring([record.id, *record.ancestors])

    def count(self, base: Record, record: Record) -> None:
        """Count a write, and the outcome if it is one."""
        self.counters.writes += 1
        if record.status.is_final and not base.status.is_final:
            outcomes = self.counters.outcomes
            outcomes[record.status] = outcomes.get(record.status, 0) + 1

    def _remember(self, record: Record) -> None:
        self._known[record.id] = record
        self._known.move_to_end(record.id)
        while len(self._known) > _KNOWN:
            self._known.popitem(last=False)

    async def report(self, items: Sequence[tuple[Record, Report]]) -> list[Record | ProgressError]:
        """Store the reports of many handles in one batch.

        Returns:
            For each the stored record, or why it was refused.

        Raises:
            BackendError: The store failed; all of it may be sent again.
        """
        outcomes: list[Record | ProgressError | None] = [None] * len(items)
        bases = [base for base, _ in items]
        rung: set[str] = set()
        left = list(range(len(items)))
        while left:
            writes: list[tuple[int, Write]] = []
            for place in left:
                try:
                    new = report(bases[place], self.clock.time(), items[place][1])
                except ProgressError as exc:
                    outcomes[place] = exc
                    continue
                if new is bases[place]:
                    outcomes[place] = new
                    continue
                marked = msgspec.structs.replace(new, token=self.new_id())
                writes.append((place, Write(marked, bases[place].status)))
            left = []
            done = await self._timed(self.store.write([w for _, w in writes])) if writes else ()
            for (place, _), written in zip(writes, done, strict=True):
                record = written.record
                if record is None:
                    outcomes[place] = ProgressNotFound(f"no operation {bases[place].id!r} any more")
                elif written.applied:
                    self.count(bases[place], record)
                    outcomes[place] = record
                    rung.update((record.id, *record.ancestors))
                else:
                    bases[place] = record
                    left.append(place)
        if rung:
            await self._ring(sorted(rung))
        return [each for each in outcomes if each is not None]

    async def touch(self, beats: Sequence[Beat]) -> Sequence[bool | None]:
        """Renew leases; see the port."""
        return await self._asked(self.store.touch(beats))

    async def delete(self, id: str, user_id: str | None) -> bool:
        """Delete an operation with its descendants; return whether there was one."""
        found = await self.stored(id)
        if found is None or (user_id is not None and found.user_id != user_id):
            return False
        gone = await self._asked(self.store.delete(id))
        for each in gone:
            self._known.pop(each, None)
        await self._ring([*gone, *found.ancestors])
        return bool(gone)

    async def sweep(self) -> Sweep:
        """Fail what has stalled and delete what was kept long enough."""
        cleanup, stalled, deleted = self.settings.cleanup, 0, 0
        while True:
            now = self.clock.time()
            due = await self._asked(
                self.store.overdue(
                    now, now - cleanup.retain_completed, now - cleanup.retain_failed, _BATCH
                )
            )
            before = stalled + deleted
            for id in due.stalled:
                stalled += await self._has_stalled(id)
            for id in due.expired:
                gone = await self._asked(self.store.delete(id))
                deleted += len(gone)
                await self._ring(gone)
            full = max(len(due.stalled), len(due.expired)) >= _BATCH
            if not full or stalled + deleted == before:
                return Sweep(stalled, deleted)

    async def _has_stalled(self, id: str) -> bool:
        """Fail an operation if it has stalled; return whether it has."""
        try:
            return (await self.read(id)).state.reason == "stalled"
        except ProgressNotFound:
            return False
        except BackendError as exc:
            if exc.retryable:
                raise
            # one that cannot be read must not keep the others for ever
            logger.warning("progress.not_swept", extra={"progress_id": id}, exc_info=exc)
            return False

    async def patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Await ``attempt()`` again while the store fails, within the retry budget."""
        deadline = self.clock.monotonic() + self.settings.retry_budget
        pause = 0.05
        while True:
            try:
                return await attempt()
            except BackendError as exc:
                left = deadline - self.clock.monotonic()
                if not exc.retryable or left <= 0:
                    raise
                await self.sleep(min(left, pause * self.rng.uniform(0.5, 1.0)))
                pause = min(1.0, pause * 2)

    async def _asked(self, step: Awaitable[T]) -> T:
        try:
            return await step
        except BackendError:
            self.counters.store_errors += 1
            raise

    async def _timed(self, step: Awaitable[T]) -> T:
        begun = self.clock.monotonic()
        made = await self._asked(step)
        self.counters.write_seconds += self.clock.monotonic() - begun
        return made

    async def _ring(self, ids: Sequence[str]) -> None:
        if self.backplane is None or not ids:
            return
        try:
            await self.backplane.publish(ids)
        except BackendError:
            # watchers find the change by their safety poll
            logger.warning("progress.bell_failed", exc_info=True)


def owned(record: Record | None, id: str, user_id: str | None) -> Record:
    """Return the record, if there is one and the user may know of it.

    Raises:
        ProgressNotFound: In the same words for both.
    """
    if record is None or (user_id is not None and record.user_id != user_id):
        shown = ascii(id)[:210] if checks.is_name(id) else checks.shown(id)
        raise ProgressNotFound(f"no operation {shown}")
    return record
