"""Plans: what is done in one transaction, apart from who runs the statements.

A plan is a generator that yields statements and is sent their rows. SQLite runs it in the driver's
thread, servers over their connection, and ``insert`` on the caller's own connection.
"""

import secrets
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from ..._common.sql_lanes import Row
from ..._common.sql_statements import Params
from .tables import DUE, KEPT, OWING, READY, UNFINISHED

T = TypeVar("T")
Ask = tuple[str, Params | list[Params]]
"""A statement with its parameters, or with a list of them to run it for each."""
Plan = Generator[Ask, list[Row], T]


def asked(asks: Iterable[Ask]) -> Plan[None]:
    """Yield statements whose rows do not matter."""
    for ask in asks:  # noqa: UP028  a list cannot be sent rows
        yield ask


class TakenError(Exception):
    """An id or a unique key was taken by another transaction meanwhile."""


class Time(Protocol):
    """Who knows the time of a plan."""

    def now(self) -> Plan[float]:
        """Return the seconds since the epoch."""
        ...


@dataclass(frozen=True)
class Words:
    """How a database says what the others say in another way.

    Attributes:
        lock: Ends a SELECT whose rows stay ours until the transaction ends.
        skip: The same, leaving out rows that others hold.
        ready: The jobs of ``:queue`` that can be claimed.
        due: The delayed jobs that are due at ``:now``.
        next_due: The earliest of them, as a subquery.
        expired: The leases that ended before ``:now``.
        next_expiry: The earliest of them, as a subquery.
        owing: The jobs whose end or retreat others have not been told of.
        keyed: Begins the test for unfinished jobs of unique keys.
        over: The completed and cancelled jobs whose time was over at ``:moment``.
        noting: Notes as ``:note`` when to look at the leases of ``:seqs``; empty where an index
            tells. ``draw`` makes its number.
        noted: Bring these notes up to date at ``:now``, once expired leases were taken back.
        scanning: Lets the rest of the transaction read large parts of a table.
        bulk: New jobs can be inserted together: a conflict undoes all of them.
        new: Ends the INSERT of a job; with RETURNING a conflict returns nothing.
        once: INSERT … of a row that may be there, with ``{}`` for table, columns and values.
        again: The same, where the columns after the first are then updated.
    """

    lock: str = ""
    skip: str = ""
    ready: str = f"{READY} AND queue = :queue"
    due: str = f"{DUE} AND run_at <= :now"
    next_due: str = f"SELECT min(run_at) FROM jobqueue_jobs WHERE {DUE}"  # noqa: S608  our own
    expired: str = "status = 'processing' AND lease_until < :now"
    next_expiry: str = "SELECT min(lease_until) FROM jobqueue_jobs WHERE status = 'processing'"
    owing: str = OWING
    keyed: str = f"{UNFINISHED} AND unique_key"
    over: str = f"{KEPT} AND finished_at + result_ttl < :moment"
    noting: str = ""
    noted: tuple[str, ...] = ()
    scanning: str = ""
    bulk: bool = True
    new: str = ""
    once: str = "INSERT INTO {} ({}) VALUES ({}) ON CONFLICT DO NOTHING"
    again: str = "INSERT INTO {} ({}) VALUES ({}) ON CONFLICT ({}) DO UPDATE SET {}"

    def draw(self) -> int:
        """Return the number of a new note."""
        return secrets.randbits(62)

    def insert_once(self, table: str, *columns: str) -> str:
        """Return the INSERT that leaves a row alone that is there."""
        values = ", ".join(f":{name}" for name in columns)
        return self.once.format(table, ", ".join(columns), values)

    def upsert(self, table: str, first: str, *columns: str) -> str:
        """Return the INSERT that updates ``columns`` of a row that is there."""
        values = ", ".join(f":{name}" for name in (first, *columns))
        changes = ", ".join(f"{name} = :{name}" for name in columns)
        return self.again.format(table, ", ".join((first, *columns)), values, first, changes)

    def finishing(self, sql: str, rows: list[Params]) -> list[Ask]:
        """Return the statements that do ``sql`` for each of ``rows``."""
        return [(sql, rows)] if rows else []


def among(name: str, values: Sequence[Any]) -> tuple[str, dict[str, Any]]:
    """Return ``IN (…)`` and its parameters.

    The number of values is rounded up to a power of two, so that there are few such statements to
    compile and to prepare.
    """
    size = 1
    while size < len(values):
        size *= 2
    padded = [*values, *[values[-1]] * (size - len(values))]
    params = {f"{name}{i}": value for i, value in enumerate(padded)}
    return f"IN ({', '.join(f':{each}' for each in params)})", params


def parts(values: Sequence[T], size: int = 1024) -> list[Sequence[T]]:
    """Return ``values`` in parts that one statement can take."""
    return [values[start : start + size] for start in range(0, len(values), size)]
