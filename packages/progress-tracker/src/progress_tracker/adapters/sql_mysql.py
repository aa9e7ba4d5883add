"""Operations in MySQL 8 or MariaDB 10.6 and later."""

import json
from collections.abc import Collection, Generator, Sequence
from typing import Any, ClassVar

from .._common.sql_lanes import Row
from .._common.sql_statements import Params, code_of, is_conflict
from ..errors import BackendError
from ..ports import Beat, Created, Record, Write, Written
from . import tallies
from .sql import SQLStore
from .sql_rows import all_params, record_of
from .sql_tables import FIELDS, OWN

Ask = Generator[tuple[str, Params | list[Params]], list[Row], Any]
_FIXED = frozenset(
    {"id", "user_id", "parent_id", "ancestors", "kind", "weight", "metadata", "created_at"}
)
_DUPLICATE = 1062


class MySQLStore(SQLStore):
    """Operations in one table. There is no RETURNING: a write locks its row and its ancestors."""

    kinds: ClassVar[frozenset[str]] = frozenset({"mysql"})
    session: ClassVar[str] = (
        "SET SESSION time_zone = '+00:00', innodb_lock_wait_timeout = 5, "
        "collation_connection = utf8mb4_bin, "
        "sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION' "
        # a client that is frozen within a transaction must not hold up others
        "/*M!, idle_transaction_timeout = 10 */; "
        "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
    )

    def __init__(self, url: str, **options: Any) -> None:
        """Use the server at ``mysql://…`` or ``mariadb://…``; see :class:`SQLStore`."""
        super().__init__(url, **options)
        self._table = str(self._given["table"])
        names = [name for name in (*FIELDS, *OWN) if name not in _FIXED]
        changes = ", ".join(f"{name} = :{name}" for name in names)
        self._change = f"UPDATE {self._table} SET {changes} WHERE id = :id"  # noqa: S608  our table
        stored = (*FIELDS, *OWN)
        values = ", ".join(f":{name}" for name in stored)
        self._insert = f"INSERT INTO {self._table} ({', '.join(stored)}) VALUES ({values})"  # noqa: S608

    async def create(self, record: Record) -> Created:
        def plan() -> Ask:
            rows = yield from self._locked([record.id, *record.ancestors])
            if (known := rows.get(record.id)) is not None:
                return Created("created" if known.token == record.token else "exists", known)
            if record.parent_id is not None and record.parent_id not in rows:
                return Created("no_parent", None)
            found = dict(rows)
            made = tallies.created(found, record)
            yield self._insert, all_params(made)
            yield from self._changed(rows, found)
            return Created("created", made)

        made: Created = await self._tried(lambda: self._run(plan))
        return made

    async def write(self, writes: Sequence[Write]) -> Sequence[Written]:
        def plan() -> Ask:
            new = [each.record for each in writes]
            rows = yield from self._locked(
                [id for each in new for id in (each.id, *each.ancestors)]
            )
            found = dict(rows)
            made = [tallies.written(found, each) for each in new]
            yield from self._changed(rows, found)
            return made

        made: Sequence[Written] = await self._tried(lambda: self._run(plan))
        return made

    async def touch(self, beats: Sequence[Beat]) -> Sequence[bool | None]:
        def plan() -> Ask:
            rows = yield from self._locked([each.id for each in beats])
            answers: list[bool | None] = []
            for beat in beats:
                found = rows.get(beat.id)
                place = None if found is None else (found.epoch, found.writer)
                if found is None or found.status.is_final or place != (beat.epoch, beat.writer):
                    answers.append(None)
                    continue
                params = {"id": beat.id, "stale_at": beat.stale_at}
                yield f"UPDATE {self._table} SET stale_at = :stale_at WHERE id = :id", params  # noqa: S608
                answers.append(found.cancel_requested)
            return answers

        made: Sequence[bool | None] = await self._tried(lambda: self._run(plan))
        return made

    async def _delete(self, id: str) -> Sequence[str]:
        def plan() -> Ask:
            first = yield f"SELECT ancestors FROM {self._table} WHERE id = :id", {"id": id}  # noqa: S608
            above = json.loads(first[0][0]) if first else []
            rows = yield from self._locked([id, *above])
            if (gone := rows.get(id)) is None:
                return []
            found = dict(rows)
            tallies.lift(found, gone, None, gone.ancestors, gone.updated_at)
            yield from self._changed(rows, found)
            tree = (
                f"WITH RECURSIVE tree (id) AS (SELECT id FROM {self._table} WHERE id = :id UNION "  # noqa: S608
                f"SELECT below.id FROM {self._table} AS below "
                "JOIN tree ON below.parent_id = tree.id) SELECT id FROM tree"
            )
            names = [row[0] for row in (yield tree, {"id": id})]
            for start in range(0, len(names), _PART):
                text, params = _among(
                    f"DELETE FROM {self._table} WHERE id IN (%s)",  # noqa: S608
                    names[start : start + _PART],
                )
                yield text, params
            return names

        made: Sequence[str] = await self._run(plan)
        return made

    async def _run(self, plan: Any) -> Any:
        return await self.database.run(plan)

    def _locked(self, ids: Collection[str]) -> Generator[tuple[str, Params], list[Row], Any]:
        """Lock rows in the order of their ids: few of us wait for each other in a circle."""
        found: dict[str, Record] = {}
        names = sorted(set(ids))
        for start in range(0, len(names), _PART):
            text, params = _among(self._sql.by_ids, names[start : start + _PART])
            rows = yield f"{text} ORDER BY id FOR UPDATE", params
            found |= {each.id: each for each in map(record_of, rows)}
        return found

    def _changed(
        self, before: "dict[str, Record]", now: "dict[str, Record]"
    ) -> Generator[tuple[str, Params | list[Params]], list[Row], None]:
        """Store what differs."""
        changed = [now[id] for id, old in before.items() if now[id] is not old]
        rows: list[Params] = [all_params(each) for each in changed]
        if rows:
            yield self._change, rows

    async def _among(self, text: str, ids: Collection[str]) -> list[Row]:
        names, found = list(ids), list[Row]()
        for start in range(0, len(names), _PART):
            found += await self.database.fetch(*_among(text, names[start : start + _PART]))
        return found

    def _is_undone(self, exc: BackendError) -> bool:
        cause = exc.__cause__
        return is_conflict(cause) or code_of(cause) == _DUPLICATE


_PART = 256


def _among(text: str, names: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Return ``text`` with a list of ids, filled up to a power of two: few different statements."""
    size = 1
    while size < len(names):
        size *= 2
    padded = [*names, *[names[-1]] * (size - len(names))]
    params = {f"id_{n}": name for n, name in enumerate(padded)}
    return text % ", ".join(f":{name}" for name in params), params
