"""Jobs in PostgreSQL: a worker's step is one statement, one round trip, one commit."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from ..._common.sql_lanes import Row
from ..._common.sql_statements import Params, describe, is_conflict, is_fault, is_lost, is_retryable
from ...errors import BackendError
from ...models import JobStatus
from ...ports import Capabilities, Enqueued, Record, Step, WorkerCall
from . import stepping
from .derived import derived
from .deriving import DerivingDatabase
from .enqueuing import enqueue
from .joining import run_on
from .listening import RING, Listener
from .plans import Plan, Time, Words, asked
from .postgres_storing import is_usual, store_quickly, stored
from .postgres_words import CLAIMED, LOOK, PostgresWords, step
from .remembering import Memory
from .rows import claimed_record
from .server import ServerBroker, translated
from .settling import END, delete, settle
from .tables import LEFT
from .taking import Taken, in_order, unreadable

if TYPE_CHECKING:
    from sqlalchemy import Connection

logger = logging.getLogger(__name__)
T = TypeVar("T")
_LOOKS = 0.05
_REAL = (None, 0.0)
_MOST_WARY = 1000
_RING = f"SELECT {RING}"
_INFO = 5


class PostgresBroker(ServerBroker):
    """Jobs in PostgreSQL.

    A step looks for what is due, what has expired and whom nobody has told of an end only when it
    has slots to spare, and under load twenty times a second: this bounds how late they come, and
    a busy step pays nothing for it.
    """

    capabilities = Capabilities(
        durable=True,
        shared=True,
        distributed=True,
        transactional=True,
        push=True,
        server_clock=True,
    )
    kind = "postgresql"
    database = DerivingDatabase
    words = PostgresWords()
    question = "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS float8)"
    session = (
        # plans are made once, perhaps of empty tables: they must suit full ones
        "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; "
        "SET enable_mergejoin = off; SET jit = off; "
        "SET plan_cache_mode = force_generic_plan; "
        # a client that is frozen within a transaction must not hold up others
        "SET idle_in_transaction_session_timeout = '10s'; SET lock_timeout = '5s'"
    )

    def __init__(self, url: str, **options: Any) -> None:
        """As the other servers; see there."""
        super().__init__(url, **options)
        self._listener = Listener(self._connect, self._timeout)
        self._memory = Memory(self.words.draw)
        self._wary: set[str] = set()
        self._looked = self._beaten = 0.0
        self._put_off = float("inf")  # when a look was first left to a later step

    async def enqueue(self, records: Sequence[Record]) -> Sequence[Enqueued]:
        if len(records) == 1 and is_usual(record := records[0]) and record.name not in self._wary:
            made = await self._quickly(record)
            if made is not None:
                return (made,)
        return await super().enqueue(records)

    async def _quickly(self, record: Record) -> Enqueued | None:
        """Store a job the cheapest way; None where that is not possible, or not known to have been.

        Names whose ids were taken before, by calls that are repeated, are left to the careful way:
        it asks once, and the server logs no error.
        """
        if self._server_time.told != _REAL:
            return None
        try:
            if await store_quickly(self._db, record):
                self._ring()
                return Enqueued(record, "created")
        except BackendError as exc:
            cause = exc.__cause__
            if isinstance(cause, TimeoutError) or not (is_conflict(cause) or is_lost(cause)):
                raise translated(exc) from cause
            return None
        if len(self._wary) < _MOST_WARY:
            self._wary.add(record.name)
        return None

    async def _store(self, records: Sequence[Record]) -> Sequence[Enqueued]:
        if any(record.depends_on for record in records):
            return await self._db.run(lambda: _rung(enqueue(self.words, self._time, records)))
        made = await stored(self._db, self._moment(), records)
        if rest := [i for i in range(len(records)) if i not in made]:
            some = [records[i] for i in rest]
            found = await self._db.run(lambda: _rung(enqueue(self.words, self._time, some)))
            made |= dict(zip(rest, found, strict=True))
        return [made[i] for i in range(len(records))]

    def _moment(self) -> dict[str, float | None]:
        absolute, ahead = self._server_time.told
        return {"now": absolute, "ahead": ahead}

    async def step(self, call: WorkerCall) -> Step:
        if call.limits:
            # several statements: who may run now is decided here, while the gate is locked
            made = await self._run(lambda: _rung(stepping.step(self.words, self._time, call)))
        else:
            made = await self._tried(lambda: self._step(call))
        self._note(call, made)
        slots = sum(call.slots.values())
        self._listener.note(busy=0 < slots <= len(made.claimed))
        return made

    async def _step(self, call: WorkerCall) -> Step:
        await self._beat(call)
        memory, outcomes = self._memory, call.outcomes
        notes = memory.notes(outcomes)
        values: dict[str, Any] = {**memory.reported(outcomes), **self._moment(), "note": notes[0]}
        values |= {"queues": list(call.slots), "slots": list(call.slots.values())}
        values |= {"lease": call.lease, "worker": call.worker}
        values |= {"held": [each.id for each in call.held]}
        values |= {"held_fences": [each.fence for each in call.held]}
        text = step(
            ends=bool(outcomes),
            unusual=any(each.kind != "completed" for each in outcomes),
            fleeting=any(values["fleeting"]),
            held=bool(call.held),
        )
        rows = await self._db.fetch(text, values)
        now, owes, doomed, refused, lost = rows[0][:_INFO]
        part = _Part(call, now, bool(owes), list(refused or ()), list(lost or ()))
        for row in rows:
            if row[_INFO] is not None:
                part.take(row[_INFO:])
        memory.settle(outcomes, part.taken, notes)
        return await self._completed(call, part, list(doomed or ()))

    async def _completed(self, call: WorkerCall, part: "_Part", doomed: list[int]) -> Step:
        """Do what the statement left: mostly nothing."""
        loose = sum(call.slots.values()) > len(part.taken) + len(part.bad)
        now, told = time.monotonic(), self._server_time.told[0] is not None
        late = told or now - self._looked > _LOOKS
        # a job that has come to an idle worker starts first: the next step looks, soon
        later = loose and part.taken and not (part.owes or told) and now < self._put_off + _LOOKS
        due: float | None = None
        try:
            if doomed or part.bad:
                await self._db.run(lambda: _tidy(self.words, doomed, part.bad))
            if later:
                due, self._put_off = _LOOKS, min(now, self._put_off)
            elif loose or late or part.owes:
                due = await self._look(call, part)
        except BackendError as exc:
            # what is claimed is claimed: better to run it than to leave it to its lease
            if not part.taken:
                raise
            logger.warning("sql.upkeep_failed", extra={"reason": str(exc)})
        return Step(
            claimed=in_order(part.taken), refused=part.refused, lost=part.lost, next_due=due
        )

    async def _look(self, call: WorkerCall, part: "_Part") -> float | None:
        values = {**self._moment(), "reclaims": call.reclaims, "spare": self._memory.spare()}
        [(due, owing)] = await self._db.fetch(LOOK, values)
        self._looked = time.monotonic()
        self._put_off = float("inf")
        if not owing and not part.owes and (due is None or due > 0):
            return None if due is None else float(due)
        got: dict[str, int] = {}
        for each in part.taken:
            got[each.record.queue] = got.get(each.record.queue, 0) + 1
        left = {name: slots - got.get(name, 0) for name, slots in call.slots.items()}
        again = WorkerCall(call.worker, call.lease, left, reclaims=call.reclaims)
        taken, later = await self._db.run(lambda: _rung(_upkeep(self.words, self._time, again)))
        part.taken += taken
        self._memory.keep(taken)
        return later

    async def _beat(self, call: WorkerCall) -> None:
        """Note that the worker lives: not at every step, for that is a row to write."""
        now = time.monotonic()
        if self._server_time.told[0] is None and self._beaten > now - call.lease / 4:
            return
        text = self.words.upsert("jobqueue_workers", "id", "until")
        moment = await self.time()
        await self._db.fetch(text, {"id": call.worker, "until": moment + call.lease})
        self._beaten = now

    async def wait(self, timeout: float) -> None:
        try:
            await self._listener.wait(timeout, self._has_news)
        except Exception as exc:
            if not is_fault(exc):
                raise
            retryable = is_retryable(exc)
            raise BackendError(describe(self._url, exc), retryable=retryable) from exc

    async def _connect(self) -> Any:
        return await self._db.open_raw()

    async def _write(self, plan: Callable[[], Plan[T]]) -> T:
        made = await self._run(lambda: _rung(plan()))
        self._ring()
        return made

    def insert(self, connection: "Connection", records: Sequence[Record]) -> Sequence[Enqueued]:
        plan = _rung(enqueue(self.words, self._time, records))
        return run_on(connection, plan, derived)

    def _ring(self) -> None:
        self._listener.rung.set()

    async def aclose(self) -> None:
        await self._listener.aclose()
        await super().aclose()

    def detach(self) -> None:
        self._listener.detach()
        super().detach()
        self._listener = Listener(self._connect, self._timeout)


@dataclass
class _Part:
    """What the statement of a step has done."""

    call: WorkerCall
    now: float
    owes: bool
    refused: list[str]
    lost: list[str]
    taken: list[Taken] = field(default_factory=list)
    bad: list[Params] = field(default_factory=list)

    def take(self, row: Row) -> None:
        """Read a claimed job: seq, turn, gate, then ``CLAIMED``."""
        try:
            record = claimed_record(CLAIMED, row[3:])
            record.started_at, record.lease_until = self.now, self.now + self.call.lease
            record.status, record.worker = JobStatus.PROCESSING, self.call.worker
            self.taken.append(Taken(row[1], row[0], record))
        except BackendError as exc:
            self.bad.append(unreadable(row[0], exc, self.now))
        self.owes = self.owes or row[2] == LEFT


def _rung(plan: Plan[T]) -> Plan[T]:
    made = yield from plan
    yield _RING, {}
    return made


def _tidy(words: Words, doomed: Sequence[int], bad: list[Params]) -> Plan[None]:
    yield from delete(doomed)
    yield from asked(words.finishing(END, bad))


def _upkeep(words: Words, when: Time, call: WorkerCall) -> Plan[tuple[list[Taken], float | None]]:
    now = yield from when.now()
    yield from stepping.upkeep(words, now, reclaims=call.reclaims)
    taken = yield from stepping.claim(words, call, now)
    if taken:
        yield from settle(words, now)
    return taken, (yield from stepping.next_due(words, now, leases=call.reclaims))
