"""Statements in an open transaction."""

from collections.abc import Sequence

from .sql_lanes import Lane, Row
from .sql_statements import Compiler, Params


class Transaction:
    """The statements of an open transaction."""

    __slots__ = ("_compiler", "_lane")

    def __init__(self, compiler: Compiler, lane: Lane) -> None:
        """Use ``lane``, on which the transaction is open."""
        self._compiler, self._lane = compiler, lane

    async def fetch(self, sql: str, params: Params = {}) -> list[Row]:  # noqa: B006  never written
        """Run one statement and return its rows."""
        return await self._lane.fetch(*self._compiler.prepare(sql).step(params))

    async def fetch_each(self, sql: str, rows: Sequence[Params]) -> None:
        """Run one statement once for each of ``rows``."""
        statement = self._compiler.prepare(sql)
        await self._lane.fetch_each(statement.sql, [statement.step(row)[1] for row in rows])
