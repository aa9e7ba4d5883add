"""Single statements over connections that are open and free, with the least around each.

What a pool does for a call that may wait for a connection, open one, or hold it over several
statements costs as much as the driver does for a statement. Most calls need none of it.
"""

import asyncio
from typing import Any

from .sql import Database
from .sql_lanes import Args, Lane, Row
from .sql_pool import Pool
from .sql_schema import Schema
from .sql_statements import Params

_LONG = 86_400.0


class QuickPool(Pool):
    """A pool of a server's connections that runs a single statement the short way."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """As any other."""
        super().__init__(*args, **options)
        self._timer: asyncio.TimerHandle | None = None
        self._ends: dict[Lane, float] = {}  # when the time of a call is over, 0 where it was

    async def fetch(self, sql: str, args: Args) -> list[Row]:
        """Run a statement, committed at once, and return its rows."""
        gate = self.gate
        lane = None if gate.locked() else self._ready()
        if lane is None:
            async with self.lane() as lane:
                return await lane.fetch(sql, args)
        await gate.acquire()  # which has room: this neither waits nor lets others go first
        self._held.add(lane)
        self._watch(lane)
        try:
            rows = await lane.fetch(sql, args)
        except BaseException as exc:
            over = isinstance(exc, Exception) and self._ends.get(lane) == 0
            cause = TimeoutError() if over else exc
            fault = self.fault_of(cause)
            self.give_back(lane, cause)
            if fault is None:
                raise
            raise fault from cause
        else:
            self.give_back(lane, None)
            return rows
        finally:
            self._ends.pop(lane, None)
            gate.release()

    def _watch(self, lane: Lane) -> None:
        """Close the connection when the time of a call is over, which ends the call.

        One timer serves all calls: nearly all end long before, and each timer that is set and
        thrown away costs as much as the rest of this.
        """
        loop, timeout = asyncio.get_running_loop(), self.timeout or _LONG
        until = self._ends[lane] = loop.time() + timeout
        if self._timer is None:
            self._timer = loop.call_at(until, self._look)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        # the loop runs timers a little early: by its clock's resolution
        now = loop.time() + 0.001
        for lane in [lane for lane, until in self._ends.items() if until <= now]:
            self._ends[lane] = 0.0
            lane.detach()
        left = [until for until in self._ends.values() if until]
        self._timer = loop.call_at(min(left), self._look) if left else None

    def detach(self) -> None:
        super().detach()
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        self._ends = {}


class QuickDatabase(Database):
    """PostgreSQL, whose single statements go the short way."""

    def __init__(
        self, url: str, schema: Schema, *, lanes: int, timeout: float, **options: Any
    ) -> None:
        """As any other."""
        super().__init__(url, schema, lanes=lanes, timeout=timeout, **options)
        self._pool = self._quick = QuickPool(
            url, self._connect, fault=options["fault"], limit=lanes, timeout=timeout
        )

    async def fetch(self, sql: str, params: Params = {}) -> list[Row]:  # noqa: B006  never written
        if not self._ready:
            await self._check()
        text, args = self.prepare(sql).step(params)
        return await self._quick.fetch(text, args)
