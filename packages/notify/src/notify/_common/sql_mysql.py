"""A connection of asyncmy to MySQL or MariaDB."""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from .sql_lanes import Args, Lane, Row, Step
from .transports import abandon, is_gone, own


class AsyncmyLane(Lane):
    """A connection of asyncmy, autocommitting."""

    def __init__(self, raw: Any) -> None:
        """Take the driver's connection."""
        self._raw = raw
        own(raw)

    async def fetch(self, sql: str, args: Args) -> list[Row]:
        cursor = self._raw.cursor()  # closing it after an error would hide the error
        # without arguments the driver would leave %% as it is
        await cursor.execute(sql, args or ())
        rows = list(await cursor.fetchall()) if cursor.description else []
        await cursor.close()
        return rows

    async def fetch_each(self, sql: str, rows: Sequence[Args]) -> None:
        cursor = self._raw.cursor()
        await cursor.executemany(sql, rows)  # one packet where it is an INSERT
        await cursor.close()

    async def batch(self, steps: Callable[[], Sequence[Step]]) -> list[list[Row]]:
        await self.begin()
        try:
            found = [await self.fetch(sql, args) for sql, args in steps()]
        except Exception:
            with contextlib.suppress(Exception):
                await self.end(commit=False)
            raise
        await self.end(commit=True)
        return found

    async def execute(self, sql: str) -> None:
        await self._raw.query(sql)

    async def begin(self) -> None:
        await self._raw.query("BEGIN")

    async def end(self, *, commit: bool) -> None:
        await self._raw.query("COMMIT" if commit else "ROLLBACK")

    @property
    def is_gone(self) -> bool:
        return is_gone(self._raw)

    async def aclose(self) -> None:
        with contextlib.suppress(Exception):
            await self._raw.ensure_closed()

    def detach(self) -> None:
        if abandon(self._raw):
            self._raw.close()
