"""Transactions that end before their end: why they do is what their caller hears."""

import asyncio
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from jobqueue._common.sql import Database
from jobqueue._common.sql_lanes import Args, Lane, Row, Step


class _Lane(Lane):
    """Refuses to roll back, as asyncmy does in the middle of an answer."""

    def __init__(self) -> None:
        self.closed = False

    async def fetch(self, sql: str, args: Args) -> list[Row]:
        raise NotImplementedError

    async def fetch_each(self, sql: str, rows: Sequence[Args]) -> None:
        raise NotImplementedError

    async def batch(self, steps: Callable[[], Sequence[Step]]) -> list[list[Row]]:
        raise NotImplementedError

    async def begin(self) -> None:
        pass

    async def end(self, *, commit: bool) -> None:
        if not commit:
            raise ConnectionResetError("Cancelled during execution")

    @property
    def is_gone(self) -> bool:
        return False

    async def aclose(self) -> None:
        self.closed = True

    def detach(self) -> None:
        self.closed = True


@pytest.fixture
def lanes() -> list[_Lane]:
    return []


@pytest.fixture
def database(lanes: list[_Lane]) -> Database:
    schema: Any = SimpleNamespace(name="jobs")  # it is there already

    async def connect() -> _Lane:
        lanes.append(_Lane())
        return lanes[-1]

    made = Database("mysql://u@h/d", schema, dist="jobqueue", fault=RuntimeError)
    made._ready, made._pool._connect = True, connect
    return made


async def test_who_is_cancelled_is_cancelled(database: Database, lanes: list[_Lane]) -> None:
    """Whoever goes on after a fault of the database would never end."""
    begun = asyncio.Event()

    async def work() -> None:
        async with database.transaction():
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert lanes[0].closed


async def test_a_connection_that_cannot_undo_is_never_used_again(
    database: Database, lanes: list[_Lane]
) -> None:
    with pytest.raises(ValueError, match="of the caller"):
        async with database.transaction():
            raise ValueError("of the caller")
    async with database.transaction():
        pass
    assert [each.closed for each in lanes] == [True, False]
