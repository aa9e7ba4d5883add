"""SQL databases: SQLAlchemy for schema and dialects, the driver's own connection for statements."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from .sql_connect import connect, kind_of, open_raw
from .sql_lanes import AsyncpgLane, Lane, Row, Run, Step
from .sql_pool import Pool
from .sql_schema import Schema
from .sql_statements import Compiler, Params, Statement
from .sql_transactions import Transaction
from .sqlite import SqliteLane
from .urls import file_path, scheme_of, without_query

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
        self._session, self._given = session, engine
        self._synchronous, self._busy = synchronous, busy_timeout
        self._compiler = Compiler(dist, self.kind)
        self._pool = Pool(
            url,
            self._connect,
            fault=fault,
            limit=1 if self.is_sqlite else lanes,
            timeout=None if self.is_sqlite else timeout,
            exclusive=not self.is_sqlite,
        )
        self._ready, self._setup = False, asyncio.Lock()

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
        async with self._pool.lane() as lane:
            return await lane.fetch(*self.prepare(sql).step(params))

    async def batch(self, steps: Steps | Callable[[], Steps]) -> list[list[Row]]:
        """Run ``steps`` in one transaction and return the rows of each (SQLite: one hop).

        A function is called when the transaction is open, in any thread: what it asks the clock is
        not older by the wait for other processes, which a lease would miss.
        """

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
        if not self._ready:
            await self._check()
        async with self._pool.lane() as lane:
            try:
                await lane.begin()
                yield Transaction(self._compiler, lane)
            except BaseException:
                await self._pool.undo(lane)
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
        await self.schema.bring_up(self._pool.lane, self)
        self._ready = True

    async def aclose(self) -> None:
        """Close every connection; the next call opens new ones."""
        await self._pool.aclose()
        self.detach()

    def detach(self) -> None:
        """Forget connections and locks that belong to another event loop or process."""
        self._pool.detach()
        # tables of an in-memory database are gone with its connection
        self._ready, self._setup = False, asyncio.Lock()

    async def _with_lane(self, use: Callable[[Lane], Awaitable[T]]) -> T:
        if not self._ready:
            await self._check()
        async with self._pool.lane() as lane:
            return await use(lane)

    async def _check(self) -> None:
        async with self._setup:
            if self._ready:
                return
            await asyncio.to_thread(self._compiler.load)
            async with self._pool.lane() as lane:
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
