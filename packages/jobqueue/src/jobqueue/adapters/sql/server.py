"""What the brokers on database servers have in common: their clock, their retries, their waits."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Self, TypeVar

from ..._common.clock import Clock, SystemClock
from ..._common.extras import require
from ..._common.sql import Database
from ..._common.sql_connect import DRIVERS, EXTRAS
from ..._common.sql_statements import Params, code_of, is_conflict, is_lost
from ..._common.urls import query_of, without_query
from ...clocks import told
from ...errors import BackendError, PayloadError, QueueFull
from ...ports import Enqueued, Record, Step, WorkerCall
from ..options import number
from . import stepping
from .broker import SQLBroker
from .enqueuing import enqueue
from .plans import Plan
from .rows import NEWEST
from .tables import Kind
from .versions import schema

T = TypeVar("T")
_TRIES = 5
_OPTIONS = frozenset({"timeout", "pool"})
# PostgreSQL: disk full, out of memory; MySQL: table full, disk full, no room to extend
_FULL = {"53100", "53200", 1114, 1021, 1041}
# PostgreSQL: a value too long for the protocol or the type; MySQL: packet too large, data too long
_TOO_LARGE = {"54000", "22001", 1153, 1301, 1406}


class ServerTime:
    """The server's clock, unless a test's clock says otherwise."""

    def __init__(self, clock: Clock | None, question: str) -> None:
        """``question`` is what the server answers with its time."""
        self._clock, self._question = clock, question

    @property
    def told(self) -> tuple[float | None, float]:
        """What the server is told: an absolute time or None, and seconds to add."""
        return told(self._clock)

    def now(self) -> Plan[float]:
        """Return the seconds since the epoch."""
        absolute, ahead = self.told
        if absolute is None:
            rows = yield self._question, {}
            absolute = float(rows[0][0])
        return absolute + ahead


class ServerBroker(SQLBroker):
    """Jobs on a server; a missing schema is ConfigurationError, which names the command."""

    kind: Kind
    database: Callable[..., Database] = Database
    question: str
    session: str = ""
    _server_time: ServerTime

    def __init__(
        self, url: str, *, clock: Clock | None = None, timeout: float = 10.0, pool: int = 4
    ) -> None:
        """Use the tables at ``url``; the first call connects.

        Args:
            url: ``postgresql://user@host/database``, ``mysql://…`` or ``mariadb://…``.
            clock: Only a test's clock counts; else the server's own decides.
            timeout: Seconds within which each call ends.
            pool: The most connections at once, beside the one that listens.
        """
        self._url, self._clock, self._timeout, self._pool = url, clock, timeout, pool
        self._time = self._server_time = ServerTime(clock, self.question)
        self._real = SystemClock()
        self._bell = asyncio.Event()
        self._short: tuple[str, ...] = ()
        self._db = self.database(
            url,
            schema(self.kind),
            dist="jobqueue",
            fault=_fault,
            lanes=pool,
            timeout=timeout,
            session=self.session,
        )

    @classmethod
    def from_url(cls, url: str, *, clock: Clock | None = None) -> Self:
        """Return a broker for ``postgresql://…?timeout=10&pool=4``; the rest is the driver's.

        Raises:
            ConfigurationError: An option's value is no number in its range.
        """
        options = query_of(url)
        timeout = number(options, "timeout", 10, 0.1, 3600)
        pool = int(number(options, "pool", 4, 1, 100))
        rest = without_query(url, *_OPTIONS) if options else url
        return cls(rest, clock=clock, timeout=timeout, pool=pool)

    def twin(self) -> Self:
        return type(self)(self._url, clock=self._clock, timeout=self._timeout, pool=self._pool)

    async def _run(self, plan: Callable[[], Plan[T]]) -> T:
        return await self._tried(lambda: self._db.run(plan))

    async def _tried(self, work: "Callable[[], Awaitable[T]]", *, lost: bool = False) -> T:
        """Do ``work`` again where the server undid it; where the connection broke, if ``lost``."""
        for attempt in range(_TRIES):
            try:
                return await work()
            except BackendError as exc:
                cause = exc.__cause__
                again = is_conflict(cause) or _is_duplicate(cause) or (lost and is_lost(cause))
                if attempt == _TRIES - 1 or not again or isinstance(cause, TimeoutError):
                    raise
                # a restarting server needs a moment, a conflict almost none
                longest = 0.01 * 2**attempt if not is_lost(cause) else 0.1 * 2**attempt
                await asyncio.sleep(random.uniform(0, longest))
        raise AssertionError("unreachable")  # the last attempt returned or raised

    async def enqueue(self, records: Sequence[Record]) -> Sequence[Enqueued]:
        # ids make it idempotent: should the answer be lost, the second try finds its own jobs
        try:
            made = await self._tried(lambda: self._store(records), lost=True)
        except BackendError as exc:
            raise translated(exc) from exc.__cause__
        self._ring()
        return made

    async def _store(self, records: Sequence[Record]) -> Sequence[Enqueued]:
        return await self._db.run(lambda: enqueue(self.words, self._time, records))

    async def step(self, call: WorkerCall) -> Step:
        made = await self._run(lambda: stepping.step(self.words, self._time, call))
        self._note(call, made)
        return made

    def _note(self, call: WorkerCall, made: Step) -> None:
        """Remember the queues that had no more to give: what is ready there later is news."""
        got: dict[str, int] = {}
        for record in made.claimed:
            got[record.queue] = got.get(record.queue, 0) + 1
        self._short = tuple(
            sorted(name for name, slots in call.slots.items() if got.get(name, 0) < slots)
        )

    def _news(self, now: float) -> tuple[str, Params]:
        """Return the question whether there is something to do that the last step did not see."""
        tests = [f"SELECT 1 FROM jobqueue_jobs WHERE {self.words.due} LIMIT 1"]  # noqa: S608
        params: dict[str, object] = {"now": now}
        for i, name in enumerate(self._short):
            ready = self.words.ready.replace(":queue", f":queue{i}")
            params[f"queue{i}"] = name
            tests.append(
                f"SELECT 1 FROM jobqueue_jobs WHERE {ready} AND version <= {NEWEST} "  # noqa: S608
                f"AND NOT EXISTS (SELECT 1 FROM jobqueue_paused WHERE queue = :queue{i}) LIMIT 1"
            )
        return " UNION ALL ".join(f"({each})" for each in tests), params

    async def _has_news(self) -> bool:
        """Look whether a wait is over."""
        rows = await self._db.fetch(*self._news(await self.time()))
        return bool(rows)

    def preload(self) -> None:
        super().preload()
        for name in (DRIVERS[self.kind], "sqlalchemy.engine"):
            require(name, dist="jobqueue", extra=EXTRAS[self.kind])

    async def setup(self) -> None:
        await self._db.setup()

    def detach(self) -> None:
        self._db.detach()
        self._bell = asyncio.Event()

    def _ring(self) -> None:
        self._bell.set()


def _is_duplicate(exc: BaseException | None) -> bool:
    return code_of(exc) in {1062, "23505"}


def translated(exc: BackendError) -> Exception:
    """Return what a fault at enqueue means: no room, or too large a payload, or itself."""
    code = code_of(exc.__cause__)
    if code in _FULL:
        return QueueFull(str(exc), retryable=True)
    if code in _TOO_LARGE:
        return PayloadError(f"the server refuses a value of this size: {exc}")
    return exc


def _fault(message: str, *, retryable: bool = False) -> Exception:
    return BackendError(message, retryable=retryable)
