"""The queue's own side of transactional enqueueing: sessions of every kind, and the outbox."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from jobqueue import ConfigurationError, Job, JobOptions, JobQueue, sync
from jobqueue.adapters.memory import MemoryBroker
from jobqueue.adapters.outbox import SQLOutbox
from jobqueue.errors import BackendError, UnsupportedOperationError
from jobqueue.ports import Enqueued, Record
from jobqueue.testing import claim, record
from jobqueue.worker import Worker

sa = pytest.importorskip("sqlalchemy")
orm = pytest.importorskip("sqlalchemy.orm")


@pytest.fixture
async def queue(url: str) -> AsyncIterator[JobQueue]:
    made = JobQueue.from_url(url)
    await made.setup()
    yield made
    await made.aclose()


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.integration)])
async def boxed(url: str, request: pytest.FixtureRequest) -> AsyncIterator[JobQueue]:
    broker = "memory://"
    if request.param == "redis":
        pytest.importorskip("redis")
        broker = f"{request.getfixturevalue('redis_url')}?prefix=boxed"
    made = JobQueue.from_url(broker, outbox=url)
    await made.setup()
    yield made
    await made.aclose()


async def test_a_session_decides_whether_there_is_a_job(queue: JobQueue, engine: Any) -> None:
    with orm.Session(engine) as session:
        kept = await queue.enqueue("mail", {"to": "ä"}, session=session)
        session.commit()
        lost = await queue.enqueue("mail", None, session=session)
        session.rollback()
    assert kept.status == "pending"
    [found] = await queue.get_jobs()
    assert (found.id, found.data) == (kept.id, {"to": "ä"})
    assert lost.id != kept.id


async def test_many_jobs_over_a_connection(queue: JobQueue, engine: Any) -> None:
    with engine.begin() as connection:
        jobs = await queue.enqueue_many([("n", n) for n in range(5)], session=connection)
        assert [each.data for each in jobs] == [0, 1, 2, 3, 4]
    assert (await queue.get_stats()).pending == 5


async def test_an_asynchronous_session(queue: JobQueue, async_url: str) -> None:
    module = pytest.importorskip("sqlalchemy.ext.asyncio")
    engine = module.create_async_engine(async_url)
    async with module.AsyncSession(engine) as session:
        job = await queue.enqueue("a", 1, session=session)
        await session.commit()
        await queue.enqueue_many([("b", 2)], session=session)
        await session.rollback()
    async with engine.begin() as connection:
        more = await queue.enqueue("c", 3, session=connection)
    await engine.dispose()
    assert {each.id for each in await queue.get_jobs()} == {job.id, more.id}


def test_the_blocking_queue_uses_blocking_sessions(url: str, engine: Any) -> None:
    with sync.JobQueue.from_url(url) as queue:
        queue.setup()
        with orm.Session(engine) as session, session.begin():
            one = queue.enqueue("a", 1, session=session)
            [two] = queue.enqueue_many([("b", 2)], session=session)
        with orm.Session(engine) as session:
            queue.enqueue("lost", session=session)
        assert {each.id for each in queue.get_jobs()} == {one.id, two.id}


async def test_what_is_no_session_is_named(queue: JobQueue, url: str) -> None:
    with pytest.raises(ConfigurationError, match="session must be a Session"):
        await queue.enqueue("a", session=object())

    class Asynchronous:
        run_sync = None

    def blocking() -> None:
        with sync.JobQueue.from_url(url) as facade:
            facade.enqueue("a", session=Asynchronous())

    with pytest.raises(ConfigurationError, match="needs the asynchronous queue"):
        await asyncio.to_thread(blocking)


async def test_without_an_outbox_the_broker_must_be_a_database(engine: Any) -> None:
    async with JobQueue.from_url("memory://") as queue:
        with (
            engine.begin() as connection,
            pytest.raises(UnsupportedOperationError, match=r"broker\.outbox"),
        ):
            await queue.enqueue("a", session=connection)


async def test_the_relay_takes_what_was_committed(boxed: JobQueue, engine: Any) -> None:
    assert boxed.outbox is not None
    with orm.Session(engine) as session:
        kept = await boxed.enqueue("kept", 1, session=session)
        later = await boxed.enqueue("later", 2, delay=60, session=session)
        session.commit()
        await boxed.enqueue("lost", 3, session=session)
        session.rollback()
    assert (kept.status, later.status) == ("pending", "delayed")
    assert await boxed.get_jobs() == []
    assert await boxed.outbox.relay(boxed.broker) == 2
    assert await boxed.outbox.relay(boxed.broker) == 0
    assert {(each.name, each.status) for each in await boxed.get_jobs()} == {
        ("kept", "pending"),
        ("later", "delayed"),
    }


async def test_running_until_idle_relays(boxed: JobQueue, engine: Any) -> None:
    @boxed.worker("double")
    async def double(job: Job) -> int:
        return int(job.data) * 2

    with engine.begin() as connection:
        job = await boxed.enqueue("double", 21, session=connection)
    await boxed.run_until_idle()
    assert await boxed.result(job.id, timeout=60) == 42


async def test_an_id_of_other_content_is_kept_and_told(
    boxed: JobQueue, engine: Any, caplog: pytest.LogCaptureFixture
) -> None:
    await boxed.enqueue("a", 1, id="taken")
    with engine.begin() as connection:
        await boxed.enqueue("a", 1, id="taken", session=connection)
        await boxed.enqueue("a", 2, id="taken", session=connection)
    assert boxed.outbox is not None
    assert await boxed.outbox.relay(boxed.broker) == 2
    with engine.begin() as connection:
        [kept] = connection.execute(sa.text("SELECT refused FROM jobqueue_outbox")).fetchall()
    assert kept[0] == "its id belongs to a job of other content"
    assert [each.message for each in caplog.records] == ["outbox.refused"]


async def test_a_worker_relays(boxed: JobQueue, engine: Any) -> None:
    @boxed.worker("double")
    async def double(job: Job) -> int:
        return int(job.data) * 2

    with engine.begin() as connection:
        job = await boxed.enqueue("double", 21, session=connection)
    worker = Worker(boxed)
    running = asyncio.create_task(worker.run())
    try:
        async with asyncio.timeout(60):
            while not await boxed.get_jobs():
                await asyncio.sleep(0.01)
        assert await boxed.result(job.id, timeout=60) == 42
    finally:
        worker.stop()
        await running


class Failing(MemoryBroker):
    """Stores the jobs, and then seems not to have."""

    broken = True

    async def enqueue(self, records: Sequence[Record]) -> Sequence[Enqueued]:
        made = await super().enqueue(records)
        if self.broken:
            raise BackendError("the connection was cut", retryable=True)
        return made


async def test_a_relay_that_was_cut_off_makes_no_second_job(url: str, engine: Any) -> None:
    broker, outbox = Failing(), SQLOutbox(url)
    await outbox.setup()
    with engine.begin() as connection:
        [made] = outbox.insert(connection, [record("once")])
    with pytest.raises(BackendError):
        await outbox.relay(broker)
    broker.broken = False
    assert await outbox.relay(broker) == 1
    assert [each.id for each in (await claim(broker, 5)).claimed] == [made.record.id]
    await outbox.aclose()


async def test_what_cannot_be_relayed_is_kept_and_does_not_stand_in_the_way(
    boxed: JobQueue, engine: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert boxed.outbox is not None
    spoil = sa.text("INSERT INTO jobqueue_outbox (record) VALUES (:record)")
    with engine.begin() as connection:
        connection.execute(spoil, [{"record": b"\x80\x04cos\nsystem\n"}, {"record": b"{}"}])
        await boxed.enqueue("child", depends_on=["nobody"], session=connection)
        await boxed.enqueue("good", session=connection)
    assert await boxed.outbox.relay(boxed.broker) == 4
    assert await boxed.outbox.relay(boxed.broker) == 0
    assert [each.name for each in await boxed.get_jobs()] == ["good"]
    with engine.begin() as connection:
        kept = connection.execute(sa.text("SELECT refused FROM jobqueue_outbox")).fetchall()
    assert sorted(row[0] for row in kept) == [
        "it depends on a job that is not there",
        "unreadable",
        "unreadable",
    ]
    assert [each.message for each in caplog.records].count("outbox.refused") == 3


async def test_a_held_key_drops_the_second_job(boxed: JobQueue, engine: Any) -> None:
    assert boxed.outbox is not None
    with engine.begin() as connection:
        first = await boxed.enqueue("a", options=JobOptions(unique_key="k"), session=connection)
        await boxed.enqueue("a", options=JobOptions(unique_key="k"), session=connection)
    assert await boxed.outbox.relay(boxed.broker) == 2
    assert [each.id for each in await boxed.get_jobs()] == [first.id]


async def test_several_relays_share_the_work(url: str, engine: Any) -> None:
    broker, outboxes = MemoryBroker(), [SQLOutbox(url) for _ in range(3)]
    await outboxes[0].setup()
    with engine.begin() as connection:
        outboxes[0].insert(connection, [record() for _ in range(1200)])
    relayed = 0
    while done := sum(await asyncio.gather(*(each.relay(broker) for each in outboxes))):
        relayed += done
    assert relayed == 1200
    assert (await broker.stats(None)).pending == 1200
    for each in outboxes:
        await each.aclose()


async def test_a_database_without_the_tables_is_named(url: str, engine: Any) -> None:
    queue = JobQueue.from_url(url)  # nobody has called setup()
    with orm.Session(engine) as session, pytest.raises(ConfigurationError) as caught:
        await queue.enqueue("mail", session=session)
    await queue.aclose()
    assert "jobqueue schema upgrade" in str(caught.value)
    assert caught.value.__cause__ is not None
