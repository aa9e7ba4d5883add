"""Jobs in MySQL 8 or MariaDB 10.6 and later."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..._common.sql_statements import Params, is_lost
from ...errors import BackendError, PayloadError
from ...ports import Capabilities, Enqueued, Record
from .plans import Ask, Words
from .server import ServerBroker

_LOOK = 0.05
_PART = 256


@dataclass(frozen=True)
class MySQLWords(Words):
    """MySQL's: columns in place of partial indexes, and no RETURNING."""

    lock: str = " FOR UPDATE"
    skip: str = " FOR UPDATE SKIP LOCKED"
    ready: str = "ready_queue = :queue"
    due: str = "due_at <= :now"
    next_due: str = "SELECT min(due_at) FROM jobqueue_jobs"
    expired: str = "held_until < :now"
    next_expiry: str = "SELECT min(held_until) FROM jobqueue_jobs"
    owing: str = "owes = 1"
    keyed: str = "live_key"

    def insert_once(self, table: str, *columns: str) -> str:
        # not INSERT IGNORE: the driver would log a warning for each row that is there
        values = ", ".join(f":{name}" for name in columns)
        return (
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({values}) "  # noqa: S608
            f"ON DUPLICATE KEY UPDATE {columns[0]} = {table}.{columns[0]}"
        )

    def upsert(self, table: str, first: str, *columns: str) -> str:
        changes = ", ".join(f"{name} = VALUES({name})" for name in columns)
        names = (first, *columns)
        values = ", ".join(f":{name}" for name in names)
        return (
            f"INSERT INTO {table} ({', '.join(names)}) VALUES ({values}) "  # noqa: S608
            f"ON DUPLICATE KEY UPDATE {changes}"
        )

    def finishing(self, sql: str, rows: list[Params]) -> list[Ask]:
        """Join the table with the rows' values: one round trip, where UPDATEs would be one each."""
        starts = range(0, len(rows), _PART)
        return [_joined(sql, rows[start : start + _PART]) for start in starts]


def _joined(sql: str, rows: list[Params]) -> Ask:
    """Turn ``UPDATE t SET a = :a … WHERE seq = :seq`` for many rows into one statement."""
    size = 1
    while size < len(rows):
        size *= 2
    names = list(rows[0])
    # repeated rows fill up to a power of two; which of equal rows is joined does not matter
    padded = [*rows, *[rows[-1]] * (size - len(rows))]
    params = {f"{name}_{i}": row[name] for i, row in enumerate(padded) for name in names}
    selects = [
        "SELECT " + ", ".join(f":{name}_{i} AS v_{name}" for name in names) for i in range(size)
    ]
    changes, _, where = sql.partition(" SET ")[2].rpartition(" WHERE ")
    for name in sorted(names, key=len, reverse=True):
        changes = changes.replace(f":{name}", f"v.v_{name}")
        where = where.replace(f":{name}", f"v.v_{name}")
    table = sql.partition(" ")[2].partition(" ")[0]
    values = " UNION ALL ".join(selects)
    text = f"UPDATE {table} JOIN ({values}) v ON {where} SET {changes}"  # noqa: S608  our own words
    return text, params


_WORDS = MySQLWords()


class MySQLBroker(ServerBroker):
    """Jobs in MySQL or MariaDB: claims by SKIP LOCKED, polls every 50 ms while idle."""

    capabilities = Capabilities(
        durable=True, shared=True, distributed=True, transactional=True, server_clock=True
    )
    kind = "mysql"
    words = _WORDS
    question = "SELECT UNIX_TIMESTAMP(NOW(6)) + 0e0"
    session = (
        "SET SESSION time_zone = '+00:00', innodb_lock_wait_timeout = 5, "
        "collation_connection = utf8mb4_bin, "
        "sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION' "
        # a client that is frozen within a transaction must not hold up others
        "/*M!, idle_transaction_timeout = 10 */; "
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
    )

    def _joining(self) -> Words:
        return replace(_WORDS, bulk=False)

    async def enqueue(self, records: Sequence[Record]) -> Sequence[Enqueued]:
        try:
            return await super().enqueue(records)
        except BackendError as exc:
            if is_lost(exc.__cause__):
                await self._refuse_giants(records, exc)
            raise

    async def _refuse_giants(self, records: Sequence[Record], fault: BackendError) -> None:
        """Say what a server means that hangs up in the middle of a packet which is too large."""
        try:
            rows = await self._db.fetch("SELECT @@max_allowed_packet", {})
        except BackendError:
            return
        largest, most = max(len(record.data) for record in records), int(rows[0][0])
        if largest >= most:
            raise PayloadError(
                f"the server takes {most} bytes at once (max_allowed_packet), not {largest}"
            ) from fault

    async def wait(self, timeout: float) -> None:
        deadline = self._real.monotonic() + timeout
        while not self._bell.is_set() and (left := deadline - self._real.monotonic()) > 0:
            if await self._has_news():
                break
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, _LOOK)):
                    await self._bell.wait()
        self._bell.clear()
