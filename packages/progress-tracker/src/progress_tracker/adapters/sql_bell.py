"""Bells by LISTEN and NOTIFY of PostgreSQL: a payload is one id."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection
from typing import Any, Self

from .._common.sql_connect import open_raw
from .._common.sql_statements import Compiler, describe, is_fault
from .._common.transports import abandon, own
from .._common.urls import query_of, without_query
from ..errors import BackendError
from ..ports import Backplane, Capabilities, Ring
from .options import number

logger = logging.getLogger(__name__)
_DIST = "progress-tracker"
_LOOK = 5.0
"""Seconds between two questions whether the connection is still there."""
_LONGEST = 2.0
OPTIONS = frozenset({"timeout", "notify"})


def channel_of(table: str) -> str:
    """Return the channel that tells of changes in ``table``."""
    return f"{table}_bell"


class PostgresBackplane(Backplane):
    """Listens on a connection of its own, and again after each loss, for as long as it is open.

    NOTIFY arrives at commit and keeps nothing for who is away: after a lost connection everything
    rings. A pooler in transaction mode (PgBouncer) cannot carry LISTEN.
    """

    capabilities = Capabilities(shared=True)

    def __init__(
        self, url: str, *, table: str = "progress", timeout: float = 10.0, rung: bool = False
    ) -> None:
        """Use the channel of ``table`` on the server at ``url``; the first call connects.

        Args:
            url: ``postgresql://…``.
            table: Only those with the same one hear each other.
            timeout: Seconds for connecting and for each answer.
            rung: Whether the store rings by itself, so that ``publish`` has nothing to do.
        """
        self._url, self._table, self._timeout, self._rung = url, table, timeout, rung
        self._compiler = Compiler(_DIST, "postgresql")
        self._lane: Any = None  # a connection of asyncpg, to publish
        self._busy = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    @classmethod
    def from_url(cls, url: str, *, table: str = "progress") -> Self:
        """Return a backplane for ``postgresql://…?timeout=10``; the rest is the driver's.

        Raises:
            ConfigurationError: An option's value is out of its range.
        """
        options = query_of(url)
        timeout = number(options, "timeout", 10.0, 0.1, 3600)
        rest = without_query(url, *OPTIONS) if options else url
        return cls(rest, table=table, timeout=timeout)

    def twin(self) -> Self:
        return type(self)(self._url, table=self._table, timeout=self._timeout, rung=self._rung)

    async def publish(self, ids: Collection[str]) -> None:
        if self._rung or not ids:
            return
        text = "SELECT pg_notify($1, id) FROM unnest($2::text[]) AS id"
        async with self._busy:
            try:
                async with asyncio.timeout(self._timeout):
                    if self._lane is None or self._lane.is_closed():
                        self._lane = await self._open()
                    await self._lane.execute(text, channel_of(self._table), list(ids))
            except BaseException as exc:
                # in the middle of an answer, perhaps: never used again
                lane, self._lane = self._lane, None
                _drop(lane)
                raise self._translated(exc) from exc

    async def listen(self, ring: Ring, wanted: Callable[[], Collection[str]]) -> None:
        await self._stop()
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._listen(ring, first), name="progress.postgres_bell")
        try:
            await first
        except BaseException:
            await self._stop()
            raise

    async def _listen(self, ring: Ring, first: "asyncio.Future[None]") -> None:
        pause = 0.05

        def heard() -> None:
            nonlocal pause
            pause = 0.05
            if first.done():
                ring(None)  # what was sent before this moment was missed
            else:
                first.set_result(None)

        while True:
            try:
                await self._listen_once(ring, heard)
            except Exception as exc:
                failure = self._translated(exc)
                if not first.done():
                    first.set_exception(failure)
                    return
                if not isinstance(failure, BackendError):
                    # watchers have their safety poll meanwhile; the next try may do better
                    logger.exception("progress.listen_failed")
            await asyncio.sleep(pause)
            pause = min(_LONGEST, pause * 2)

    async def _listen_once(self, ring: Ring, heard: Callable[[], None]) -> None:
        """Listen, call ``heard`` once the server has acknowledged it, and ring until it fails."""
        lost = asyncio.Event()
        lane: Any = None
        try:
            async with asyncio.timeout(self._timeout):
                lane = await self._open()
                lane.add_termination_listener(lambda *_: lost.set())
                await lane.add_listener(
                    channel_of(self._table), lambda _lane, _pid, _channel, id: ring([id])
                )
            heard()
            while not lost.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK):
                        await lost.wait()
                if not lost.is_set():
                    async with asyncio.timeout(self._timeout):
                        await lane.execute("SELECT 1")
        finally:
            _drop(lane)

    async def _open(self) -> Any:
        await asyncio.to_thread(self._compiler.load)
        dialect = self._compiler.dialect
        lane = await open_raw("postgresql", self._url, dialect=dialect, dist=_DIST)
        own(lane)
        return lane

    def _translated(self, exc: BaseException) -> BaseException:
        if isinstance(exc, TimeoutError) or (isinstance(exc, Exception) and is_fault(exc)):
            return BackendError(describe(self._url, exc), retryable=True)
        return exc

    async def _stop(self) -> None:
        task, self._task = self._task, None
        while task is not None and not task.done():
            task.cancel()
            # again each second: libraries on asyncio.wait_for lose cancellations before 3.12
            await asyncio.wait([task], timeout=1.0)

    async def aclose(self) -> None:
        await self._stop()
        lane, self._lane = self._lane, None
        _drop(lane)

    def detach(self) -> None:
        task, self._task = self._task, None
        if task is not None and not task.get_loop().is_closed():
            with contextlib.suppress(RuntimeError):
                task.get_loop().call_soon_threadsafe(task.cancel)
        lane, self._lane = self._lane, None
        _drop(lane)
        self._busy = asyncio.Lock()


def _drop(lane: Any) -> None:
    """Close a connection without a word to the server, whatever state and loop it is in."""
    if lane is not None and abandon(lane):
        with contextlib.suppress(Exception):
            lane.terminate()
