"""The tables of a SQL adapter: created, versioned, checked and printed."""

import contextlib
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import ConfigurationError
from .extras import require
from .sql_lanes import Lane
from .sql_statements import code_of

if TYPE_CHECKING:
    from sqlalchemy import MetaData
    from sqlalchemy.engine import Dialect

_LOCK = {
    "postgresql": "SELECT pg_advisory_xact_lock(hashtext($1))",
    "mysql": "SELECT GET_LOCK(%s, 86400)",  # the call has a limit of its own
}
_EXISTS = {
    "sqlite": "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?",
    "postgresql": "SELECT 1 WHERE to_regclass($1) IS NOT NULL",
    "mysql": "SELECT 1 FROM information_schema.tables "
    "WHERE table_schema = DATABASE() AND table_name = %s",
}
_LONG = 86_400.0
_INDEX_IS_THERE = 1061  # MySQL's transactions do not hold what makes tables: half may be there
Lend = AbstractAsyncContextManager[Lane]


class _Owner(Protocol):
    is_sqlite: bool
    kind: str
    dist: str

    @property
    def dialect(self) -> "Dialect": ...


@dataclass(frozen=True)
class Schema:
    """Tables and their version.

    A release reads and writes what the previous minor wrote, and the other way round: a database
    names the oldest version that may still use it.

    Attributes:
        name: Prefix of the version table, ``<name>_schema``.
        metadata: Makes the tables, lazily because SQLAlchemy is an extra. Serves Alembic. What
            follows a table, statements in its ``info["then"]``, it listens for as well.
        version: The version that this release writes.
        oldest: The oldest version whose code may use tables of ``version``.
        command: What upgrades a server's tables, for messages: ``"jobqueue schema upgrade"``.
        migrations: From each older version on, the statements that lead to the next one.
    """

    name: str
    metadata: "Callable[[], MetaData]"
    version: int
    command: str
    oldest: int = 1
    migrations: Sequence[Sequence[str]] = ()

    def statements(self, owner: _Owner) -> list[str]:
        """Return what creates the tables and indexes that are not there yet."""
        ddl = require("sqlalchemy.schema", dist=owner.dist, extra="sql")
        found: list[Any] = []
        for table in self.metadata().sorted_tables:
            found.append(ddl.CreateTable(table, if_not_exists=True))
            ordered = sorted(table.indexes, key=lambda index: str(index.name))
            # MySQL cannot ask; upgrade() passes over an index that is there
            ask = owner.kind != "mysql"
            found += [ddl.CreateIndex(index, if_not_exists=ask) for index in ordered]
            found += [ddl.DDL(then) for then in table.info.get("then", ())]
        return [str(item.compile(dialect=owner.dialect)).strip() for item in found]

    def script(self, owner: _Owner) -> str:
        """Return the whole schema as SQL, for people who apply it themselves."""
        steps = [*self.statements(owner), self._version_table(), self._insert()]
        return "".join(f"{step};\n\n" for step in steps)

    async def bring_up(self, lend: "Callable[..., Lend]", owner: _Owner) -> None:
        """Create or upgrade the tables over connections that ``lend(seconds)`` lends."""
        async with lend() as lane:
            stored = await self._stored(lane, owner)
            if stored is None or stored == self.version:
                await self.upgrade(lane, owner)
                return
        async with lend(_LONG) as lane:  # an index of a large table takes longer than a call may
            await self.upgrade(lane, owner)

    async def upgrade(self, lane: Lane, owner: _Owner) -> None:
        """Create missing tables and bring older ones up to ``version``, in one transaction."""
        if await self._stored(lane, owner) == self.version:
            return
        try:
            await lane.begin()
            if owner.kind in _LOCK:
                await lane.fetch(_LOCK[owner.kind], (self.name,))
            stored = await self._stored(lane, owner)
            if stored is None:
                steps = [*self.statements(owner), self._version_table(), self._insert()]
            else:
                steps = [step for each in self.migrations[stored - 1 :] for step in each]
                steps.append(
                    f"UPDATE {self.name}_schema "  # noqa: S608  our own name and numbers
                    f"SET version = {self.version}, oldest = {self.oldest}"
                )
            for step in steps if stored is None or stored < self.version else ():
                await self._apply(lane, step)
        except BaseException:
            with contextlib.suppress(Exception):  # in the middle of an answer, or gone
                await lane.end(commit=False)
            raise
        await lane.end(commit=True)
        if owner.kind == "mysql":
            await lane.fetch("SELECT RELEASE_LOCK(%s)", (self.name,))

    async def _apply(self, lane: Lane, step: str) -> None:
        try:
            await lane.fetch(step, ())
        except Exception as exc:
            if code_of(exc) != _INDEX_IS_THERE:
                raise

    async def check(self, lane: Lane, owner: _Owner) -> None:
        """Raise ConfigurationError unless the tables are there in a version that we can use."""
        stored = await self._stored(lane, owner)
        if stored is None:
            raise ConfigurationError(
                f"the tables of {self.name!r} are missing; run: {self.command}"
            )
        if stored < self.version:
            raise ConfigurationError(
                f"the tables of {self.name!r} have version {stored}, this release needs "
                f"{self.version}; run: {self.command}"
            )

    async def _stored(self, lane: Lane, owner: _Owner) -> int | None:
        table = f"{self.name}_schema"
        if not await lane.fetch(_EXISTS[owner.kind], (table,)):
            return None
        rows = await lane.fetch(f"SELECT version, oldest FROM {table}", ())  # noqa: S608  checked name
        if not rows:
            return None
        version, oldest = int(rows[0][0]), int(rows[0][1])
        if oldest > self.version:
            raise ConfigurationError(
                f"the tables of {self.name!r} have version {version} and need a newer release "
                f"(this one writes {self.version}); upgrade {owner.dist}"
            )
        return version

    def _version_table(self) -> str:
        return (
            f"CREATE TABLE IF NOT EXISTS {self.name}_schema "
            "(version INTEGER NOT NULL, oldest INTEGER NOT NULL)"
        )

    def _insert(self) -> str:
        return f"INSERT INTO {self.name}_schema VALUES ({self.version}, {self.oldest})"  # noqa: S608
