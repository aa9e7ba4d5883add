"""PostgreSQL: older tables are upgraded, and leases are found by notes of when to look."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from _common.postgres_client import execute
from jobqueue.adapters.sql.postgres import PostgresBroker
from jobqueue.adapters.sql.postgres_storing import ENQUEUE_QUICK, is_usual
from jobqueue.adapters.sql.tables import metadata
from jobqueue.errors import BackendError, ConfigurationError
from jobqueue.models import JobStatus
from jobqueue.ports import Lease, Outcome, Record, WorkerCall
from jobqueue.testing import LEASE, FakeClock, claim, finish, record

pytest.importorskip("asyncpg")
pytestmark = pytest.mark.integration
OLD = Path(__file__).with_name("jobs_postgres_2.sql")
SHAPE = (
    "SELECT table_name, column_name, data_type, is_nullable, generation_expression "
    "FROM information_schema.columns WHERE table_name LIKE 'jobqueue%'"
)
INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE tablename LIKE 'jobqueue%'"
STORED = (
    "SELECT relname, ARRAY(SELECT unnest(reloptions) ORDER BY 1)::text "
    "FROM pg_class WHERE relname LIKE 'jobqueue%'"
)
NOTES = "SELECT until, seqs FROM jobqueue_claims"


@pytest.fixture
async def broker(postgres_url: str, clock: FakeClock) -> AsyncIterator[PostgresBroker]:
    broker = PostgresBroker(postgres_url, clock=clock)
    await broker.setup()
    yield broker
    await broker.aclose()


async def shape(broker: PostgresBroker) -> list[set[tuple[Any, ...]]]:
    asked = (SHAPE, INDEXES, STORED)
    return [{tuple(row) for row in await broker._db.fetch(text)} for text in asked]


async def test_alembic_makes_the_same_tables(postgres_url: str) -> None:
    asyncio = pytest.importorskip("sqlalchemy.ext.asyncio")
    fresh = PostgresBroker(postgres_url, clock=FakeClock(1000.0))
    await fresh.setup()
    wanted = await shape(fresh)
    assert any("fillfactor=70" in stored for _, stored in wanted[2])
    for table in ("jobs", "edges", "gates", "ticks", "paused", "workers", "claims"):
        execute(postgres_url, f"DROP TABLE jobqueue_{table}")
    engine = asyncio.create_async_engine(
        postgres_url.replace("postgresql:", "postgresql+asyncpg:", 1)
    )
    async with engine.begin() as connection:
        await connection.run_sync(metadata("postgresql").create_all)
    await engine.dispose()
    assert await shape(fresh) == wanted
    await fresh.aclose()


async def test_tables_of_version_2_are_upgraded(postgres_url: str) -> None:
    clock = FakeClock(1000.0)
    fresh = PostgresBroker(postgres_url, clock=clock)
    await fresh.setup()
    wanted = await shape(fresh)
    await fresh.aclose()
    for table in ("jobs", "edges", "gates", "ticks", "paused", "workers", "claims", "schema"):
        execute(postgres_url, f"DROP TABLE jobqueue_{table}")
    for text in OLD.read_text().split(";\n"):
        if text.strip():
            execute(postgres_url, text)
    broker = PostgresBroker(postgres_url, clock=clock)
    with pytest.raises(ConfigurationError, match=r"have version 2, .* schema upgrade"):
        await broker.enqueue([record()])
    await broker.setup()
    assert await shape(broker) == wanted
    [twice] = await broker.enqueue([record(unique_key="k")])
    assert (twice.reason, twice.record.id) == ("same_key", "high")
    assert [each.id for each in (await claim(broker)).claimed] == ["high", "low", "dead-worker"]
    await clock.advance(31.0)
    assert "live-worker" in {each.id for each in (await claim(broker)).claimed}
    await clock.advance(31.0)
    assert "later" in {each.id for each in (await claim(broker)).claimed}
    assert await broker.purge((), 0.0, 100) == 1
    assert await broker.get("done") is None
    assert await broker.purge([JobStatus.COMPLETED], clock.time(), 100) == 1
    await broker.aclose()


async def test_notes_go_with_their_jobs(broker: PostgresBroker) -> None:
    await broker.enqueue([record() for _ in range(4)])
    first = (await claim(broker, 2)).claimed
    second = (await claim(broker, 2)).claimed
    assert sorted(len(row[1]) for row in await broker._db.fetch(NOTES)) == [2, 2]
    await finish(broker, first[0])
    await finish(broker, second[0], "retry", delay=5.0, error="E: x")
    assert len(await broker._db.fetch(NOTES)) == 2
    await finish(broker, second[1])
    assert len(await broker._db.fetch(NOTES)) == 1
    await finish(broker, first[1], "released")
    assert not await broker._db.fetch(NOTES)


async def test_notes_of_others_go_when_their_time_has_come(
    broker: PostgresBroker, clock: FakeClock
) -> None:
    await broker.enqueue([record(), record()])
    first, second = (await claim(broker)).claimed
    twin = broker.twin()
    await finish(twin, first)
    await clock.advance(LEASE / 2)
    held = WorkerCall("w1", LEASE, held=[Lease(second.id, second.fence)])
    assert not await twin.extend(held)
    await clock.advance(LEASE / 2)
    await claim(twin)
    [[until, _]] = await broker._db.fetch(NOTES)
    assert until == clock.time() + LEASE / 2, "the lease that was renewed is looked after"
    await finish(twin, second)
    await clock.advance(LEASE / 2)
    await claim(twin)
    assert not await broker._db.fetch(NOTES)
    await twin.aclose()


async def test_what_a_lost_answer_has_claimed_is_taken_back(
    broker: PostgresBroker, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The step is done, its worker does not know: the note must not be used for other jobs."""
    await broker.enqueue([record(str(n)) for n in range(3)])
    [first] = (await claim(broker, 1)).claimed
    done = [Outcome(Lease(first.id, first.fence), "completed")]
    fetch = broker._db.fetch

    async def lost(text: str, params: Any) -> Any:
        rows = await fetch(text, params)
        if "best AS" in text:
            raise BackendError("connection lost", retryable=True)
        return rows

    with monkeypatch.context() as patch:
        patch.setattr(broker._db, "fetch", lost)
        with pytest.raises(BackendError):
            await broker.step(WorkerCall("w1", LEASE, {"default": 1}, done))
    step = await broker.step(WorkerCall("w1", LEASE, {"default": 1}, done))
    assert step.refused == [first.id]
    [third] = step.claimed
    await finish(broker, third)
    await clock.advance(LEASE + 0.1)
    [second] = (await claim(broker)).claimed
    assert (second.name, second.attempts) == ("1", 2)


async def test_a_job_claimed_again_before_its_old_outcome_keeps_its_note(
    broker: PostgresBroker, clock: FakeClock
) -> None:
    await broker.enqueue([record()])
    [old] = (await claim(broker)).claimed
    await clock.advance(LEASE + 0.1)
    twin = broker.twin()
    await claim(twin, 0)
    await twin.aclose()
    [new] = (await claim(broker)).claimed
    assert len(await broker._db.fetch(NOTES)) == 1
    assert (await finish(broker, old)).refused == [old.id]
    await clock.advance(LEASE + 0.1)
    [again] = (await claim(broker)).claimed
    assert (again.id, again.fence) == (new.id, new.fence + 1)


async def test_many_alike_with_one_that_is_there(broker: PostgresBroker) -> None:
    """Stored by the fast statement, which is undone as a whole, and then by the careful one."""
    [there] = await broker.enqueue([record("same")])
    twice = record("same")
    records = [record("same"), there.record, twice, record("same"), twice]
    made = await broker.enqueue(records)
    assert [each.reason for each in made] == ["created", "same_id", "created", "created", "same_id"]
    assert len((await claim(broker, 10)).claimed) == 4
    many = await broker.enqueue([record("same", priority=7) for _ in range(50)])
    ids = [each.record.id for each in many]
    assert [each.id for each in (await claim(broker, 50)).claimed] == ids


async def test_an_id_that_is_taken_makes_its_name_careful(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fast statement for one job fails once; later calls of that name do not try it."""
    broker = PostgresBroker(postgres_url)
    await broker.setup()
    asked: list[str] = []
    fetch = broker._db.fetch

    async def noted(text: str, params: Any) -> Any:
        asked.append(text)
        return await fetch(text, params)

    monkeypatch.setattr(broker._db, "fetch", noted)
    first = record("mine")
    assert [each.reason for each in await broker.enqueue([first])] == ["created"]
    assert [text == ENQUEUE_QUICK for text in asked] == [True]
    for tries in (2, 1):
        asked.clear()
        [again] = await broker.enqueue([record("mine", id=first.id)])
        assert (again.reason, again.record.id) == ("same_id", first.id)
        assert len(asked) == tries
    asked.clear()
    await broker.enqueue([record("other")])
    assert asked == [ENQUEUE_QUICK]
    await broker.aclose()


def test_only_what_is_stored_whole_is_stored_quickly() -> None:
    """Each field that a job may be enqueued with is in the fast statement, or keeps it out."""
    other: dict[str, Any] = {
        "delay": 1.0, "run_at": 1.0, "backoff": "{}", "unique_key": "k", "headers": '{"a":"b"}',
        "version": 2, "aging": 1.0, "depends_on": ("p",), "on_parent_failure": "run",
        "limit_key": "l",
    }  # fmt: skip
    given = {"id", "name", "queue", "data", "priority", "max_attempts", "timeout", "result_ttl"}
    # set by the broker and by workers
    later = {
        "status", "attempts", "fence", "created_at", "started_at", "finished_at", "lease_until",
        "worker", "result", "error", "progress",
    }  # fmt: skip
    assert {*other, *given, *later} == set(Record.__struct_fields__)
    assert is_usual(record())
    assert all(f":{name}" in ENQUEUE_QUICK for name in given)
    for name, value in other.items():
        assert not is_usual(record(**{name: value})), name


async def test_a_job_of_its_own_waits_for_its_parents(postgres_url: str) -> None:
    broker = PostgresBroker(postgres_url)  # the server's clock: stored the way it is in use
    await broker.setup()
    [lost] = await broker.enqueue([record(depends_on=("nobody",))])
    assert lost.reason == "no_parent"
    [parent] = await broker.enqueue([record()])
    [child] = await broker.enqueue([record(depends_on=(parent.record.id,))])
    assert (child.reason, child.record.status) == ("created", JobStatus.DELAYED)
    await broker.aclose()
