"""Calls that are cancelled while a server works for them."""

import asyncio

import pytest

from jobqueue.registry import broker_from_url
from jobqueue.testing import FakeClock

pytest.importorskip("sqlalchemy")

SERVERS = {
    "postgres_url": (
        "SELECT pg_sleep(60)",
        (
            "SELECT count(*) FROM pg_stat_activity "
            "WHERE strpos(query, 'pg_sleep(60)') > 0 AND pid <> pg_backend_pid()"
        ),
    ),
    "mysql_url": (
        "SELECT SLEEP(60)",
        (
            "SELECT count(*) FROM information_schema.processlist "
            "WHERE INSTR(info, 'SLEEP(60)') > 0 AND id <> CONNECTION_ID()"
        ),
    ),
}


@pytest.mark.integration
@pytest.mark.parametrize("server", SERVERS)
async def test_a_transaction_in_the_middle_of_an_answer(
    server: str, request: pytest.FixtureRequest, clock: FakeClock
) -> None:
    """MySQL's driver refuses to roll back there; a worker that heard of it would never end."""
    wait, waits = SERVERS[server]
    broker = broker_from_url(request.getfixturevalue(server), clock=clock)
    await broker.setup()
    database = broker._db  # type: ignore[attr-defined]

    async def work() -> None:
        async with database.transaction() as transaction:
            await transaction.fetch(wait)

    task = asyncio.create_task(work())
    async with asyncio.timeout(30):
        while await database.fetch(waits) == [(0,)]:
            await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    async with database.transaction() as transaction:
        assert await transaction.fetch("SELECT 1") == [(1,)]
    await broker.aclose()
