"""Signed jobs: what nobody with a key has enqueued does not run."""

from typing import Any

import pytest

from jobqueue import ConfigurationError, Job, JobQueue, JobStatus, Settings
from jobqueue.adapters.memory import MemoryBroker
from jobqueue.testing import FakeClock

OLD, NEW = "an older secret of ours", "a newer secret of ours"


def queue_with(broker: MemoryBroker, *keys: str) -> JobQueue:
    return JobQueue(Settings.from_mapping({"signing_keys": list(keys)}), broker=broker)


async def ended(enqueuer: JobQueue, worker: JobQueue, change: Any = None) -> Job:
    """Let one enqueue a job, somebody change it in the broker, and the other one run it."""
    ran: list[Any] = []

    @worker.worker("pay")
    async def pay(job: Job) -> None:
        ran.append(job.data)

    job = await enqueuer.enqueue("pay", {"amount": 1}, headers={"tenant": "acme"})
    broker: Any = enqueuer.broker
    if change is not None:
        change(broker._shared.state.jobs[job.id])
    await worker.run_until_idle()
    found = await worker.get_job(job)
    assert found is not None
    assert (found.status is JobStatus.COMPLETED) == bool(ran)
    assert found.headers["tenant"] == "acme"
    return found


@pytest.fixture
def broker(clock: FakeClock) -> MemoryBroker:
    return MemoryBroker(clock=clock)


async def test_what_one_of_the_keys_has_signed_runs(broker: MemoryBroker) -> None:
    for keys in ([OLD], [NEW, OLD], [OLD, NEW]):
        found = await ended(queue_with(broker, *keys), queue_with(broker, NEW, OLD))
        assert found.status == "completed"


def _flip(record: Any) -> None:
    record.data = bytes([*record.data[:-2], record.data[-2] ^ 1, *record.data[-1:]])


def _rename(record: Any) -> None:
    record.headers = record.headers.replace("jobqueue-signature", "other")


@pytest.mark.parametrize(
    ("keys", "change", "said"),
    [
        ([OLD], _flip, "was changed after it was signed"),
        ([NEW], None, "a key that is none of the signing_keys"),
        ([], None, "is not signed"),
        ([OLD], _rename, "is not signed"),
    ],
)
async def test_what_nobody_with_a_key_has_enqueued_is_a_dead_letter(
    broker: MemoryBroker, keys: list[str], change: Any, said: str
) -> None:
    found = await ended(queue_with(broker, *keys), queue_with(broker, OLD), change)
    assert (found.status, found.attempts) == ("failed", 1)
    assert said in (found.error or "")
    assert OLD not in (found.error or "")
    assert found.data == {"amount": 1 if change is not _flip else 0}  # its bytes are kept


async def test_cron_and_flows_are_signed_too(broker: MemoryBroker) -> None:
    queue, ticks = queue_with(broker, OLD), list[str]()

    @queue.cron("* * * * *", name="tick")
    async def tick(job: Job) -> None:
        ticks.append(job.id)

    @queue.worker("x")
    async def x(job: Job) -> None: ...

    last = (await queue.chain(("x", {}), ("x", {})))[-1]
    await queue.run_until_idle()
    assert (await queue.wait(last, 0)).status == "completed"
    queue.clock.base = broker._clock
    await queue.run_until_idle(advance=61)
    assert ticks


def test_short_keys_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="signing_keys"):
        Settings.from_mapping({"signing_keys": ["secret"]})
