"""Storing many notifications of as many users: each statement once for all of them.

The drivers send such a statement's rows without waiting for answers in between. The next number of
a user is theirs alone, so that no two entries of one call may be of the same user.
"""

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .._common.sql import Plan
from .._common.sql_lanes import Row
from .._common.sql_statements import Params
from ..stored import Added, Entry
from .sql_rows import text_of

if TYPE_CHECKING:
    from .sql_adding import SQLAdding

_FEWEST = 4


def are_apart(entries: Sequence[Entry]) -> bool:
    """Whether they are many, and each of a user of its own."""
    users = {each.record.user_id for each in entries}
    ids = {each.record.id for each in entries}
    return len(entries) >= _FEWEST and len(users) == len(ids) == len(entries)


class Bulk:
    """Stores entries of different users in one transaction."""

    def __init__(self, store: "SQLAdding") -> None:
        """Store into the tables of ``store``, by its statements."""
        self._store = store

    async def add(self, entries: Sequence[Entry]) -> Sequence[Added]:
        """Store ``entries``, all or none; see ``NotificationStore.add``."""
        ticket = secrets.token_hex(8)
        # in one order everywhere, so that two bulks never wait for each other's users
        ordered = sorted(entries, key=lambda each: each.record.user_id)
        rows = await self._store._run(lambda: self._plan(ordered, ticket))  # noqa: SLF001  its other half
        made = {text_of(row[0]): row[1] for row in rows}
        fetch = self._store._fetch  # noqa: SLF001  as above
        found: list[Added] = []
        for each in entries:
            new = each.record.id in made
            first: list[list[Row]] = [[], [], []]
            if new:
                first = [[("",)], [], [(made[each.record.id],)]]
            found.append(await self._store.added(each, first, fetch))
        return found

    def _plan(self, entries: Sequence[Entry], ticket: str) -> Plan[list[Row]]:
        steps: dict[str, list[Params]] = {}
        for each in entries:
            for text, params in self._store.adding(each, ticket):
                steps.setdefault(text.partition(" RETURNING ")[0], []).append(params)
        for text, many in steps.items():
            yield text, many
        users = [each.record.user_id for each in entries if each.visible]
        for text, params in self._store.ringing(users):
            yield text, params
        names = {f"id{i}": each.record.id for i, each in enumerate(entries)}
        read = (
            f"SELECT id, seq FROM {self._store.table} WHERE ticket = :ticket "  # noqa: S608  own words
            f"AND id IN ({', '.join(f':{name}' for name in names)})"
        )
        rows = yield read, {**names, "ticket": ticket}
        return rows
