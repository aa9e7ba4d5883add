"""SQL databases: SQLAlchemy for schema and dialects, the driver's own connection for statements."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from .sql_connect import connect, kind_of, open_raw
from .sql_lanes import AsyncpgLane, Lane, Row, Run, Step
from .sql_schema import Schema
from .sql_statements import (
    Compiler,
    Params,
    Statement,
    describe,
    is_fault,
    is_harmless,
    is_lost,
    is_retryable,
)
from .sql_transactions import Transaction
from .sqlite import SqliteLane
from .urls import file_path, redact, scheme_of, without_query

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect
    from sqlalchemy.ext.asyncio import AsyncEngine

T = TypeVar("T")
Steps = Sequence[tuple[str, Params]]
Plan = Generator[tuple[str, Params | list[Params]], list[Row], T]


class Database:
    """A database with one schema. Bound to the event loop of its first call until ``detach``.

    SQLite has one connection, so transactions of one process follow each other; servers have up to
    ``lanes``.
    """

    def __init__(
        self,
        url: str,
        schema: Schema,
        *,
        dist: str,
        fault: Callable[..., Exception],
        engine: "AsyncEngine | None" = None,
        lanes: int = 4,
        synchronous: str = "NORMAL",
        busy_timeout: float = 5.0,
        timeout: float | None = None,
        session: str = "",
    ) -> None:
        """Describe the database; the first call connects.

        Args:
            url: ``sqlite:///file.db``, ``sqlite://`` (in memory), ``postgresql://…``,
                ``mysql://…`` or ``mariadb://…``.
            schema: The tables, and who upgrades them.
            dist: The distribution, for the message about a missing extra.
            fault: Makes the package's backend error: ``fault(message, retryable=True)``.
            engine: A ready engine for PostgreSQL; it is not closed by us.
            lanes: The most connections at once (servers).
            synchronous: SQLite's ``PRAGMA synchronous``: OFF, NORMAL, FULL or EXTRA.
            busy_timeout: Seconds that SQLite waits for the lock of another process.
            timeout: Seconds within which a server must have done a call, and within which one of
                the connections must come free; None waits without limit.
            session: Statements for each new connection to a server.
        """
        self.url, self.schema, self.dist = url, schema, dist
        self.kind = kind_of(scheme_of(url))
        self.is_sqlite = self.kind == "sqlite"
        self._timeout, self._session = timeout, session
        self._fault, self._given = fault, engine
        self._limit = 1 if self.is_sqlite else lanes
        self._synchronous, self._busy = synchronous, busy_timeout
        self._compiler = Compiler(dist, self.kind)
        self._idle: list[Lane] = []
        self._held: set[Lane] = set()
        self._ready = False
        self._gate, self._setup = asyncio.Semaphore(self._limit), asyncio.Lock()

    @property
    def dialect(self) -> "Dialect":
        """SQLAlchemy's dialect of the database."""
        return self._compiler.dialect

    def prepare(self, sql: str) -> Statement:
        """Compile ``sql`` with ``:named`` parameters once for this database."""
        return self._compiler.prepare(sql)

    async def fetch(self, sql: str, params: Params = {}) -> list[Row]:  # noqa: B006  never written
        """Run one statement, committed at once, and return its rows."""
        if not self._ready:
            await self._check()
        text, args = self.prepare(sql).step(params)
        return await self._with_lane(lambda lane: lane.fetch(text, args))

    async def batch(self, steps: Steps | Callable[[], Steps]) -> list[list[Row]]:
        """Run ``steps`` in one transaction and return the rows of each (SQLite: one hop).

        A function is called when the transaction is open, in any thread: what it asks the clock is
        not older by the wait for other processes, which a lease would miss.
        """
        if not self._ready:
            await self._check()

        def bound() -> list[Step]:
            ready = steps() if callable(steps) else steps
            return [self.prepare(sql).step(params) for sql, params in ready]

        return await self._with_lane(lambda lane: lane.batch(bound))

    async def run(self, plan: "Callable[[], Plan[T]]") -> T:
        """Run the statements that a generator yields in one transaction (SQLite: one hop).

        ``plan`` is called when the transaction is open, in any thread, and is sent the rows of each
        statement; a statement with a list of parameters is run for each and gives no rows. Returns
        what the generator returns.
        """
        if not self._ready:
            await self._check()
        return await self._with_lane(lambda lane: lane.run(lambda: self._bound(plan())))

    def _bound(self, plan: "Plan[T]") -> "Run[T]":
        try:
            sql, params = next(plan)
            while True:
                step = self.prepare(sql)
                if isinstance(params, list):
                    rows = yield step.sql, [step.step(each)[1] for each in params]
                else:
                    rows = yield step.step(params)
                sql, params = plan.send(rows)
        except StopIteration as done:
            made: T = done.value
            return made

    @contextlib.asynccontextmanager
    async def transaction(self) -> "AsyncGenerator[Transaction, None]":
        """Open a transaction: committed at the end of the block, rolled back on any exception."""
        async with self._lane() as lane:
            try:
                await lane.begin()
                yield Transaction(self._compiler, lane)
            except BaseException:
                # shielded: a second cancellation must not leave the lane inside a transaction
                await asyncio.shield(lane.end(commit=False))
                raise
            await lane.end(commit=True)

    async def open_raw(self) -> Any:
        """Open a connection of the driver beside the pool, which is the caller's to close."""
        if not self._ready:
            await self._check()
        return await open_raw(self.kind, self.url, dialect=self.dialect, dist=self.dist)

    async def setup(self) -> None:
        """Create or upgrade the tables."""
        await asyncio.to_thread(self._compiler.load)
        async with self._lane(ready=False) as lane:
            await self.schema.upgrade(lane, self)
        self._ready = True

    async def aclose(self) -> None:
        """Close every connection; the next call opens new ones."""
        lanes, self._idle = self._idle, []
        for lane in lanes:
            with contextlib.suppress(Exception):
                await lane.aclose()
        self.detach()

    def detach(self) -> None:
        """Forget connections and locks that belong to another event loop or process."""
        for lane in [*self._idle, *self._held]:
            with contextlib.suppress(Exception):
                lane.detach()
        self._idle, self._held = [], set()
        # tables of an in-memory database are gone with its connection
        self._ready = False
        self._gate, self._setup = asyncio.Semaphore(self._limit), asyncio.Lock()

    async def _with_lane(self, use: Callable[[Lane], Awaitable[T]]) -> T:
        async with self._lane() as lane:
            return await use(lane)

    @contextlib.asynccontextmanager
    async def _lane(self, *, ready: bool = True) -> AsyncGenerator[Lane, None]:
        if ready and not self._ready:
            await self._check()
        gate, lane = self._gate, None
        await self._enter(gate)
        try:
            async with asyncio.timeout(None if self.is_sqlite else self._timeout):
                lane = self._idle.pop() if self._idle else await self._connect()
                self._held.add(lane)
                yield lane
        except BaseException as exc:
            if lane is not None and not self.is_sqlite and not is_harmless(exc):
                # in the middle of an answer, or gone: never used again
                self._drop(lane)
                lane = None
            if not isinstance(exc, Exception) or not is_fault(exc):
                raise
            if is_lost(exc):
                self._drop(*self._idle)
            raise self._fault(describe(self.url, exc), retryable=is_retryable(exc)) from exc
        finally:
            if lane is not None and lane in self._held:
                self._held.discard(lane)
                self._idle.append(lane)
            gate.release()

    async def _enter(self, gate: asyncio.Semaphore) -> None:
        try:
            async with asyncio.timeout(None if self.is_sqlite else self._timeout):
                await gate.acquire()
        except TimeoutError as exc:
            message = f"all {self._limit} connections were in use for {self._timeout:g} s"
            raise self._fault(f"{redact(self.url)}: {message}", retryable=True) from exc

    def _drop(self, *lanes: Lane) -> None:
        for lane in lanes:
            self._held.discard(lane)
            if lane in self._idle:
                self._idle.remove(lane)
            with contextlib.suppress(Exception):
                lane.detach()

    async def _check(self) -> None:
        async with self._setup:
            if self._ready:
                return
            await asyncio.to_thread(self._compiler.load)
            async with self._lane(ready=False) as lane:
                if self.is_sqlite:
                    await self.schema.upgrade(lane, self)
                else:
                    await self.schema.check(lane, self)
            self._ready = True

    async def _connect(self) -> Lane:
        if self.is_sqlite:
            memory = self.url in {"sqlite://", "sqlite:///:memory:"}
            path = ":memory:" if memory else file_path(without_query(self.url))
            return SqliteLane(path, synchronous=self._synchronous, busy_timeout=self._busy)
        if self._given is None:
            return await connect(
                self.kind, self.url, dialect=self.dialect, dist=self.dist, session=self._session
            )
        held = await self._given.connect()
        raw = (await held.get_raw_connection()).driver_connection
        return AsyncpgLane(held, raw)
