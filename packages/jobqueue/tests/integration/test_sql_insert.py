"""Jobs that exist if and only if the caller's own transaction commits."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from jobqueue.errors import UnsupportedOperationError
from jobqueue.ports import Broker
from jobqueue.registry import broker_from_url
from jobqueue.testing import FakeClock, claim, record

sa = pytest.importorskip("sqlalchemy")


@pytest.fixture
async def broker(url: str) -> AsyncIterator[Broker]:
    broker = broker_from_url(url, clock=FakeClock())
    await broker.setup()
    yield broker
    await broker.aclose()


async def test_commit_makes_the_job_and_rollback_leaves_nothing(
    broker: Broker, engine: Any
) -> None:
    with engine.connect() as link:
        [made] = broker.insert(link, [record("kept", data=b'{"\xc3\xa4":1}', priority=3)])
        assert made.reason == "created"
        link.commit()
        [lost] = broker.insert(link, [record("lost")])
        link.rollback()
    assert await broker.get(lost.record.id) is None
    [job] = (await claim(broker)).claimed
    assert (job.id, job.name, job.data) == (made.record.id, "kept", b'{"\xc3\xa4":1}')


async def test_the_job_is_invisible_before_the_commit(broker: Broker, engine: Any) -> None:
    if "sqlite" in str(engine.url):
        pytest.skip("a SQLite file has one writer: the worker would wait for the caller")
    with engine.begin() as link:
        broker.insert(link, [record()])
        assert not (await claim(broker)).claimed
    assert len((await claim(broker)).claimed) == 1


async def test_a_session_of_the_orm(broker: Broker, engine: Any) -> None:
    orm = pytest.importorskip("sqlalchemy.orm")
    with orm.Session(engine) as session, session.begin():
        broker.insert(session.connection(), [record("orm")])
    assert [each.name for each in (await claim(broker)).claimed] == ["orm"]


async def test_an_async_session(broker: Broker, async_url: str) -> None:
    module = pytest.importorskip("sqlalchemy.ext.asyncio")
    engine = module.create_async_engine(async_url)
    async with module.AsyncSession(engine) as session, session.begin():
        link = await session.connection()
        await link.run_sync(lambda sync: broker.insert(sync, [record("async")]))
    await engine.dispose()
    assert [each.name for each in (await claim(broker)).claimed] == ["async"]


async def test_duplicates_and_parents_are_reported(broker: Broker, engine: Any) -> None:
    first = record(unique_key="k")
    await broker.enqueue([first])
    child = record(depends_on=(first.id,))
    jobs = [record(id=first.id), record(unique_key="k"), child, record(depends_on=("nobody",))]
    with engine.begin() as link:
        made = broker.insert(link, jobs)
    assert [each.reason for each in made] == ["same_id", "same_key", "created", "no_parent"]
    assert made[0].record.name == first.name
    assert made[2].record.status == "delayed"


async def test_the_callers_work_goes_on_after_a_duplicate(broker: Broker, engine: Any) -> None:
    there = record()
    await broker.enqueue([there])
    with engine.begin() as link:
        link.execute(sa.text("CREATE TABLE own (x INTEGER)"))
        assert broker.insert(link, [record(id=there.id)])[0].reason == "same_id"
        link.execute(sa.text("INSERT INTO own VALUES (1)"))
    with engine.connect() as link:
        assert link.execute(sa.text("SELECT count(*) FROM own")).scalar() == 1


async def test_a_waiting_worker_is_woken(broker: Broker, engine: Any) -> None:
    await claim(broker)
    waiting = asyncio.create_task(broker.wait(3600.0))
    await asyncio.sleep(0.3)
    with engine.begin() as link:
        broker.insert(link, [record()])
    async with asyncio.timeout(60):
        await waiting
    assert len((await claim(broker)).claimed) == 1


async def test_brokers_without_transactions_say_so(engine: Any) -> None:
    with engine.connect() as link, pytest.raises(UnsupportedOperationError):
        broker_from_url("memory://", clock=FakeClock()).insert(link, [record()])


CRASH = """
import sys, time
import sqlalchemy
from jobqueue.registry import broker_from_url
from jobqueue.testing import FakeClock, record
engine = sqlalchemy.create_engine(sys.argv[2])
with engine.connect() as link:
    broker_from_url(sys.argv[1], clock=FakeClock()).insert(link, [record(id="crashed")])
    print("inserted", flush=True)
    time.sleep(60)
"""


async def test_a_crash_before_the_commit_leaves_nothing(
    broker: Broker, engine: Any, url: str
) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CRASH, url, engine.url.render_as_string(hide_password=False)],
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"inserted\n"
        os.kill(process.pid, signal.SIGKILL)
    assert await broker.get("crashed") is None
    assert (await broker.enqueue([record(id="crashed")]))[0].reason == "created"
