"""The SQL store on MySQL 8 and MariaDB 10.6 or newer, in their words.

They have no ``RETURNING`` for updates: rows are locked and read first, then changed, in the same
transaction.
"""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from .._common.sql import Plan
from .._common.sql_lanes import Row
from .._common.sql_statements import Params
from ..errors import BackendError
from ..models import DeliveryStatus
from ..stored import DeliveryRecord
from . import sql_tables as sql
from .sql import SQLStore
from .sql_adding import Fetch
from .sql_lists import Step
from .sql_rows import delivery_of

T = TypeVar("T")
_CASTS = {"TEXT": "CHAR", "DOUBLE PRECISION": "DOUBLE", "BIGINT": "SIGNED"}
_CAST = re.compile(r" AS (TEXT|DOUBLE PRECISION|BIGINT)\)")
_BEFORE = re.compile(r"(?<![:\w])before\b")  # a reserved word there
_UPDATE = re.compile(r"UPDATE (\S+) SET .*?(?= WHERE )( WHERE .*) RETURNING (.*)", re.DOTALL)
_DELETE = re.compile(r"DELETE FROM (\S+)( WHERE .*) RETURNING (.*)", re.DOTALL)
_TRIES = 5


@functools.cache
def translated(text: str) -> tuple[tuple[str, bool], ...]:
    """Return the statements that do what ``text`` does, and which of them gives its rows."""
    text = _BEFORE.sub("`before`", _CAST.sub(lambda found: f" AS {_CASTS[found[1]]})", text))
    text = re.sub(r"ON CONFLICT \([^)]*\) DO UPDATE SET", "ON DUPLICATE KEY UPDATE", text)
    text = re.sub(r"excluded\.(\w+)", r"VALUES(\1)", text)
    if " ON CONFLICT DO NOTHING" in text:
        insert = text.partition(" ON CONFLICT DO NOTHING")[0].replace("INSERT", "INSERT IGNORE", 1)
        return (insert, False), ("SELECT 1 WHERE ROW_COUNT() > 0", True)
    if text.endswith(" RETURNING seq"):
        # the number is known after the change; the ticket tells our row
        update = text.removesuffix(" RETURNING seq")
        table = update.split(" ", 2)[1]
        read = f"SELECT seq FROM {table} WHERE id = :id AND ticket = :ticket"  # noqa: S608
        return (update, False), (read, True)
    for pattern in (_UPDATE, _DELETE):
        if found := pattern.fullmatch(text):
            read = f"SELECT {found[3]} FROM {found[1]}{found[2]} FOR UPDATE"  # noqa: S608
            return (read, True), (text.rpartition(" RETURNING ")[0], False)
    return ((text, True),)


class MySQLStore(SQLStore):
    """Notifications in MySQL or MariaDB. Texts are kept as bytes: no collation makes two one."""

    session = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"

    async def _fetch(self, text: str, params: Params = {}) -> list[Row]:  # noqa: B006  never written
        if len(translated(text)) == 1:
            return await self._db.fetch(translated(text)[0][0], params)
        return (await self._batch([(text, params)]))[0]

    async def _batch(self, steps: Sequence[Step]) -> list[list[Row]]:
        def plan() -> Plan[list[list[Row]]]:
            found: list[list[Row]] = []
            for text, params in steps:
                rows = yield text, params
                found.append(rows)
            return found

        return await self._run(plan)

    async def _run(self, plan: Callable[[], Plan[T]]) -> T:
        for left in reversed(range(_TRIES)):
            try:
                return await self._db.run(lambda: _following(plan()))
            except BackendError as exc:
                # a deadlock undoes one of the two: it begins anew
                if not left or "1213" not in str(exc):
                    raise
        raise AssertionError("unreachable")  # the last try returned or raised

    def _joined(self, fetch: Fetch) -> Fetch:
        async def each(text: str, params: Params) -> list[Row]:
            rows: list[Row] = []
            for step, gives in translated(text):
                found = await fetch(step, params)
                rows = found if gives else rows
            return rows

        return each

    def _claiming(
        self, wanted: Mapping[str, int], now: float, until: float
    ) -> Plan[list[DeliveryRecord]]:
        taken = list[DeliveryRecord]()
        table, columns = f"{self._sql.table}_deliveries", ", ".join(sql.DELIVERY)
        bundle = (
            f"SELECT {columns} FROM {table} d WHERE d.bundle = :bundle "  # noqa: S608
            f"AND d.{sql.OPEN} AND d.due_at <= :now FOR UPDATE"
        )
        lease = (
            f"UPDATE {table} SET status = 'sending', attempts = attempts + 1, "  # noqa: S608
            "fence = fence + 1, due_at = :until, updated_at = :now WHERE id = :id"
        )
        due = self._sql.due_first.replace("SELECT d.id", f"SELECT {columns}", 1)
        for channel, count in wanted.items():
            rows = yield due, {"channel": channel, "slots": count, "now": now}
            found = {each.id: each for each in map(delivery_of, rows)}
            for name in sorted({each.bundle for each in found.values() if each.bundle}):
                rows = yield bundle, {"bundle": name, "now": now}
                found |= {each.id: each for each in map(delivery_of, rows)}
            if found:
                yield lease, [{"id": each, "now": now, "until": until} for each in found]
            for each in found.values():
                each.status, each.due_at, each.updated_at = DeliveryStatus.SENDING, until, now
                each.attempts, each.fence = each.attempts + 1, each.fence + 1
                taken.append(each)
        return taken


def _following(plan: Plan[T]) -> Plan[T]:
    """Follow a plan, with each of its statements in the words of these databases."""
    try:
        text, params = next(plan)
        while True:
            rows: list[Row] = []
            for step, gives in translated(text):
                found = yield step, params
                rows = found if gives else rows
            text, params = plan.send(rows)
    except StopIteration as done:
        made: T = done.value
        return made
