"""A Redis Cluster while the keys move, and while the node that keeps them is killed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from helpers import is_now, until
from progress_tracker import BackendError, Progress, ProgressTracker, Settings
from progress_tracker.rules.percent import of_children, units_of
from redis_cluster import MASTERS, SOON, Cluster

pytest.importorskip("redis")
pytestmark = [pytest.mark.slow, pytest.mark.chaos]


def _tracker(cluster: Cluster, *, node: int, kept: int) -> ProgressTracker:
    """Return a tracker whose URL names one node, and whose keys lie on another."""
    url = f"{cluster.url(node)}?prefix={cluster.prefix_on(kept)}&timeout=10"
    return ProgressTracker(
        Settings.from_mapping(
            {
                "storage": {"connection_string": url},
                "min_interval": 0.02,
                "retry_budget": 30,
                "realtime": {"safety_poll": 600},
            }
        )
    )


@pytest.fixture
async def tracker(own_cluster: Cluster) -> AsyncIterator[ProgressTracker]:
    async with _tracker(own_cluster, node=0, kept=2) as made:
        yield made


def _begin_to_move(cluster: Cluster, slot: int, source: int, target: int) -> None:
    """Move some keys of a slot as redis-cli does: half of them are there, half of them here."""
    old, new = cluster.clients[source], cluster.clients[target]
    new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", cluster.id_of(source))
    old.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", cluster.id_of(target))
    _move_keys(cluster, slot, source, target, 10)


def _move_keys(cluster: Cluster, slot: int, source: int, target: int, count: int) -> bool:
    old, port = cluster.clients[source], cluster.daemons[target].port
    keys = old.execute_command("CLUSTER", "GETKEYSINSLOT", slot, count)
    if keys:
        old.execute_command("MIGRATE", "127.0.0.1", port, "", 0, 5000, "KEYS", *keys)
    return bool(keys)


def _end_moving(cluster: Cluster, slot: int, source: int, target: int) -> None:
    while _move_keys(cluster, slot, source, target, 100):
        pass
    new, old = cluster.clients[target], cluster.clients[source]
    for each in (new, old, *cluster.clients[:MASTERS]):
        each.execute_command("CLUSTER", "SETSLOT", slot, "NODE", cluster.id_of(target))


async def test_keys_that_move_lose_nothing(own_cluster: Cluster, tracker: ProgressTracker) -> None:
    """Calls meanwhile are tried again; sums are exact, and the watcher hears the end."""
    ids = [f"c{number}" for number in range(20)]
    await tracker.create(id="p")
    seen: list[Progress] = []

    async def watch() -> None:
        seen.extend([state async for state in tracker.watch("p")])

    async def work(id: str) -> None:
        async with tracker.track(id, parent_id="p", total=50) as p:
            for _ in range(50):
                p.advance()
                await asyncio.sleep(0.02)

    slot = own_cluster.slot(own_cluster.prefix_on(2))
    async with asyncio.timeout(120), asyncio.TaskGroup() as group:
        watching = group.create_task(watch())
        working = [group.create_task(work(id)) for id in ids]
        await until(lambda: tracker.get_stats().active == len(ids))
        await asyncio.to_thread(_begin_to_move, own_cluster, slot, 2, 1)
        late = group.create_task(tracker.create(id="late", parent_id="p"))
        errors = tracker.get_stats().store_errors
        await until(lambda: tracker.get_stats().store_errors > errors + 3)
        assert not late.done()
        await asyncio.to_thread(_end_moving, own_cluster, slot, 2, 1)
        await late
        await tracker.complete("late")
        await asyncio.wait(working)
        await tracker.complete("p")
        await watching
    found = await tracker.store.get_many([*ids, "late", "p"])
    assert {found[id].state.current for id in ids} == {50}
    top = found.pop("p")
    assert top.kids == of_children(found.values())
    assert top.units == units_of(top.status, top.state, top.kids)
    positions = [each.position for each in seen]
    assert positions == sorted(set(positions))
    assert [each.is_final for each in seen].count(True) == 1
    assert own_cluster.clients[1].execute_command("CLUSTER", "COUNTKEYSINSLOT", slot) > len(ids)


async def test_a_replica_takes_over(own_cluster: Cluster, tracker: ProgressTracker) -> None:
    """The node that a cluster sent us to dies: we ask the URL's node again who keeps the keys."""
    async with tracker.track("x", total=100) as p:
        p.advance(10)
        await until(lambda: is_now(tracker, "x", current=10))
        master = own_cluster.clients[2]
        master.set(f"{{{own_cluster.prefix_on(2)}}}:mark", 1)
        # a failover forgets what the replica does not have yet: by then it has all until the mark
        assert await asyncio.to_thread(master.wait, 1, 20_000) == 1
        await asyncio.to_thread(own_cluster.take_for_dead, SOON)
        await asyncio.to_thread(own_cluster.daemons[2].kill)
        p.advance(5)

        async def is_stored() -> bool:
            with contextlib.suppress(BackendError):  # until the others have elected it
                return await is_now(tracker, "x", current=15)
            return False

        await until(is_stored, timeout=120)
    assert own_cluster.clients[MASTERS].info("replication")["role"] == "master"
    assert await is_now(tracker, "x", status="completed", current=15)
