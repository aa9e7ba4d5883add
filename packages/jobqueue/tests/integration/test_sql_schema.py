"""Tables: missing ones are named, older ones become ours, and all of it can be printed."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from faults import until_it_works
from jobqueue.adapters.sql.sqlite import SQLiteBroker
from jobqueue.errors import BackendError, ConfigurationError
from jobqueue.ports import Limit, WorkerCall
from jobqueue.registry import broker_from_url
from jobqueue.testing import LEASE, FakeClock, claim, finish, record

pytest.importorskip("sqlalchemy")
OLD = Path(__file__).with_name("jobs_0_1_0.sql")


async def test_a_file_of_0_1_0_is_upgraded(tmp_path: Path, clock: FakeClock) -> None:
    with sqlite3.connect(tmp_path / "jobs.db") as link:
        link.executescript(OLD.read_text())
    link.close()
    broker = SQLiteBroker(f"sqlite:///{tmp_path}/jobs.db", clock=clock)
    done = await broker.get("done")
    assert done is not None
    assert (done.status, done.result, done.depends_on) == ("completed", b'{"x":1}', ())
    child = record("child", depends_on=("high",))
    [made] = await broker.enqueue([child])
    assert made.record.status == "delayed"
    assert (await broker.enqueue([record(unique_key="k")]))[0].reason == "same_key"
    jobs = (await claim(broker)).claimed
    assert [each.id for each in jobs] == ["high", "low"]
    await finish(broker, jobs[0])
    await clock.advance(61)
    names = [each.name for each in (await claim(broker)).claimed]
    assert sorted(names) == ["child", "later", "low", "runs"]
    assert await broker.last_tick("cron") == 100.0
    assert (await broker.queues())["other"] is True
    limit = {"new": Limit(concurrency=1)}
    await broker.enqueue([record("new"), record("new")])
    step = await broker.step(WorkerCall("w", LEASE, {"default": 5}, limits=limit))
    assert len(step.claimed) == 1
    await broker.aclose()


@pytest.mark.integration
@pytest.mark.parametrize("server", ["postgres_url", "mysql_url"])
async def test_missing_tables_name_the_command(
    server: str, request: pytest.FixtureRequest, clock: FakeClock
) -> None:
    url = request.getfixturevalue(server)
    broker = broker_from_url(url, clock=clock)
    with pytest.raises(ConfigurationError, match="jobqueue schema upgrade"):
        await broker.enqueue([record()])
    await broker.setup()
    await broker.setup()
    twin = broker.twin()
    await twin.setup()
    assert (await twin.enqueue([record()]))[0].reason == "created"
    for each in (broker, twin):
        await each.aclose()


@pytest.mark.integration
@pytest.mark.parametrize("server", ["postgres_url", "mysql_url"])
async def test_the_printed_schema_is_what_a_server_takes(
    server: str, request: pytest.FixtureRequest, clock: FakeClock
) -> None:
    url = request.getfixturevalue(server)
    broker = broker_from_url(url, clock=clock)
    lane = await broker._db._connect()  # type: ignore[attr-defined]
    for text in broker.schema_sql().split(";\n\n"):
        if text.strip():
            await lane.fetch(text, ())
    await lane.aclose()
    assert (await broker.enqueue([record()]))[0].reason == "created"
    await broker.aclose()


@pytest.mark.integration
@pytest.mark.parametrize("server", ["postgres_url", "mysql_url"])
async def test_options_of_the_url(server: str, request: pytest.FixtureRequest) -> None:
    url = request.getfixturevalue(server)
    for options in ("timeout=0", "timeout=soon", "pool=0"):
        with pytest.raises(ConfigurationError):
            broker_from_url(f"{url}?{options}", clock=FakeClock())
    broker = broker_from_url(f"{url}?timeout=3&pool=2", clock=FakeClock())
    await broker.setup()
    await broker.aclose()


_AS_BEFORE = {
    "sqlite": (
        "DROP INDEX jobqueue_gated",
        (
            "CREATE INDEX jobqueue_gated ON jobqueue_jobs (gate_key, gate, turn, seq) "
            "WHERE gate_key IS NOT NULL"
        ),
    ),
    "mysql": (
        "DROP INDEX jobqueue_gated ON jobqueue_jobs",
        "CREATE INDEX jobqueue_gated ON jobqueue_jobs (gate_key, gate, turn, seq)",
    ),
}
_AS_BEFORE["postgresql"] = _AS_BEFORE["sqlite"]
_OF_INDEX = {
    "sqlite": "SELECT name FROM pragma_index_info('jobqueue_gated') ORDER BY seqno",
    "postgresql": "SELECT attname FROM pg_attribute WHERE attrelid = "
    "CAST('jobqueue_gated' AS regclass) ORDER BY attnum",
    "mysql": "SELECT column_name FROM information_schema.statistics WHERE table_schema = "
    "DATABASE() AND index_name = 'jobqueue_gated' ORDER BY seq_in_index",
}


@pytest.mark.integration
@pytest.mark.parametrize("kind", ["sqlite", "postgresql", "mysql"])
async def test_gates_of_the_version_before(
    kind: str, request: pytest.FixtureRequest, clock: FakeClock, tmp_path: Path
) -> None:
    """What an older release held back at one gate in several queues is all let out in the end."""
    fixtures = {"postgresql": "postgres_url", "mysql": "mysql_url"}
    url = f"sqlite:///{tmp_path}/jobs.db"
    if kind in fixtures:
        url = request.getfixturevalue(fixtures[kind])
    broker = broker_from_url(url, clock=clock)
    await broker.setup()
    queues = ("a", "a", "b", "b")
    await broker.enqueue([record(queue=queue) for queue in queues])
    limits = {"job": Limit(concurrency=1)}
    call = WorkerCall("w", LEASE, {"a": 5, "b": 5}, limits=limits)
    [running] = (await broker.step(call)).claimed
    database = broker._db  # type: ignore[attr-defined]
    before = database.schema.version - 1
    for text in (*_AS_BEFORE[kind], f"UPDATE jobqueue_schema SET version = {before}"):
        await database.fetch(text)
    # it let out one of them all
    await database.fetch("UPDATE jobqueue_jobs SET gate = 1 WHERE gate = 2")
    await database.fetch("UPDATE jobqueue_jobs SET gate = 2 WHERE seq = 2")
    await broker.aclose()
    newer = broker_from_url(url, clock=clock)
    await newer.setup()
    columns = await newer._db.fetch(_OF_INDEX[kind])  # type: ignore[attr-defined]
    assert [row[0] for row in columns] == ["gate_key", "gate", "queue", "turn", "seq"]
    seen = [running]
    for _ in queues[1:]:
        await finish(newer, seen[-1])
        seen += (await newer.step(call)).claimed
    assert sorted(each.queue for each in seen) == sorted(queues)
    await newer.aclose()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("server", "wait"),
    [("postgres_url", "SELECT pg_sleep(0.6)"), ("mysql_url", "SELECT SLEEP(0.6)")],
)
async def test_an_upgrade_may_take_longer_than_a_call(
    server: str, wait: str, request: pytest.FixtureRequest, clock: FakeClock
) -> None:
    """Large tables take their time; afterwards calls are as limited as before."""
    broker = broker_from_url(request.getfixturevalue(server), clock=clock)
    await broker.setup()
    await broker.aclose()
    broker = broker_from_url(f"{request.getfixturevalue(server)}?timeout=0.3", clock=clock)
    database = broker._db  # type: ignore[attr-defined]
    now = database.schema
    database.schema = replace(now, version=now.version + 1, migrations=(*now.migrations, (wait,)))
    await until_it_works(broker.setup)  # what it asks beside is as limited as ever
    with pytest.raises(BackendError, match="time"):
        await database.fetch(wait)
    await broker.aclose()
