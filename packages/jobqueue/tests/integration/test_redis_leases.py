"""Redis: leases stay in a form in which a change does not walk all of them."""

import time
from collections.abc import AsyncIterator

import pytest

from _common.server import Server
from jobqueue.testing import LEASE, FakeClock, claim, finish, record

redis = pytest.importorskip("redis")
pytestmark = pytest.mark.integration

from jobqueue.adapters.redis.broker import RedisBroker  # noqa: E402  it may not be installed


@pytest.fixture
async def broker(redis_server: Server, clock: FakeClock) -> AsyncIterator[RedisBroker]:
    broker = RedisBroker(redis_server.url, prefix=f"t{time.time_ns()}", clock=clock)
    yield broker
    await broker.aclose()


async def test_few_leases_are_no_list(broker: RedisBroker, redis_server: Server) -> None:
    await broker.enqueue([record() for _ in range(3)])
    step = await claim(broker, 2)
    with redis.Redis.from_url(redis_server.url) as client:
        assert client.object("ENCODING", f"{{{broker._prefix}}}:leases") == b"skiplist"
    for each in step.claimed:
        await finish(broker, each)
    assert (await claim(broker, 0)).next_due is None


async def test_what_keeps_them_so_is_no_lease(broker: RedisBroker, clock: FakeClock) -> None:
    """It never expires, is in no listing, and hides no lease that does."""
    await broker.enqueue([record()])
    [job] = (await claim(broker)).claimed
    assert (await claim(broker, 0)).next_due == pytest.approx(LEASE)
    await clock.advance(LEASE + 1)
    [again] = (await claim(broker)).claimed
    assert (again.id, again.attempts) == (job.id, 2)
    await finish(broker, again)
    await clock.advance(1e9)
    step = await claim(broker)
    assert (step.claimed, step.next_due) == ([], None)
