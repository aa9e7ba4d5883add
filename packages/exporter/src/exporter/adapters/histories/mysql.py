"""The list of exports in MySQL 8 or MariaDB 10.6 and later."""

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar

from ..._common.sql_statements import code_of, is_conflict
from ...errors import BackendError
from ...ports import JobRecord
from .sql import COLUMNS, SQLHistory, params_of, record_of

_TRIES, _DUPLICATE = 5, 1062
_VALUES = ", ".join(f":{name}" for name in COLUMNS)
_INSERT = f"INSERT INTO exporter_jobs ({', '.join(COLUMNS)}) VALUES ({_VALUES})"  # noqa: S608  our names
_BY_KEY = "SELECT body, fence FROM exporter_jobs WHERE owner = :owner AND idempotency_key = :key"
_SAVE = (
    "UPDATE exporter_jobs SET status = :status, lease_until = :lease_until, "
    "delete_at = :delete_at, fence = fence + 1, body = :body WHERE id = :id AND fence = :fence"
)
_DELETE = "DELETE FROM exporter_jobs WHERE id = :id"
_USE = "INSERT INTO exporter_used (token, until) VALUES (:token, :until)"


class MySQLHistory(SQLHistory):
    """One row an export. There is no RETURNING: writes are counted in their transaction."""

    kinds: ClassVar[frozenset[str]] = frozenset({"mysql", "mariadb"})
    session: ClassVar[str] = (
        "SET SESSION innodb_lock_wait_timeout = 5, "
        "sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'; "
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
    )

    async def create(self, record: JobRecord) -> JobRecord:
        params = params_of(record)
        key = record.idempotency_key
        # two of 500 characters are longer than what MySQL can index
        params["owner"] = _digest(params["owner"])
        params["idempotency_key"] = None if key is None else _digest(key)
        if await self._changed(_INSERT, params):
            return record
        found = {"owner": params["owner"], "key": params["idempotency_key"]}
        if key is not None and (rows := await self._db.fetch(_BY_KEY, found)):
            return record_of(rows[0])
        raise BackendError(f"the id {record.id!r} is taken", retryable=True)

    async def save(self, record: JobRecord) -> bool:
        values = params_of(record)
        names = ("id", "status", "lease_until", "delete_at", "fence", "body")
        if not await self._changed(_SAVE, {name: values[name] for name in names}):
            return False
        record.fence += 1
        return True

    async def delete(self, job_id: str) -> bool:
        return await self._changed(_DELETE, {"id": job_id})

    async def use_once(self, token: str, until: float) -> bool:
        return await self._changed(_USE, {"token": token, "until": until})

    async def _changed(self, sql: str, params: Mapping[str, Any]) -> bool:
        """Run a statement, again after a deadlock; return whether it changed a row."""
        for left in reversed(range(_TRIES)):
            try:
                rows = await self._db.batch([(sql, params), ("SELECT ROW_COUNT()", {})])
            except BackendError as exc:
                if code_of(exc.__cause__) == _DUPLICATE:
                    return False
                if not left or not is_conflict(exc.__cause__):
                    raise
            else:
                return bool(rows[1][0][0])
        raise AssertionError  # the last try returns or raises


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
