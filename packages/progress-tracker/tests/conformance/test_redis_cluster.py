"""A Redis Cluster passes the suites, whichever of its nodes the URL names."""

from collections.abc import AsyncIterator

import pytest

from progress_tracker.ports import Backplane, ProgressStore
from progress_tracker.testing import BackplaneSuite, ProgressStoreSuite
from redis_cluster import MASTERS, Cluster

pytest.importorskip("redis")
pytestmark = pytest.mark.integration

from progress_tracker.adapters.redis.backplane import RedisBackplane  # noqa: E402  may be absent
from progress_tracker.adapters.redis.store import RedisStore  # noqa: E402


class TestRedisClusterStore(ProgressStoreSuite):
    """All is kept by the second master; calls begin at the first."""

    @pytest.fixture
    async def store(self, cluster: Cluster, redis_prefix: str) -> AsyncIterator[ProgressStore]:
        prefix = cluster.prefix_on(1, salt=redis_prefix)
        async with RedisStore(cluster.url(0), prefix=prefix) as store:
            yield store


class TestRedisClusterBackplane(BackplaneSuite):
    @pytest.fixture
    async def backplane(self, cluster: Cluster, redis_prefix: str) -> AsyncIterator[Backplane]:
        prefix = cluster.prefix_on(2, salt=redis_prefix)
        async with RedisBackplane(cluster.url(0), prefix=prefix) as backplane:
            yield backplane


@pytest.mark.parametrize("node", range(MASTERS))
async def test_keys_lie_on_one_node(cluster: Cluster, node: int, redis_prefix: str) -> None:
    """Also those of hostile ids: what stands in braces in an id is no part of the hash tag."""
    from progress_tracker import ProgressTracker

    prefix = cluster.prefix_on(node, salt=redis_prefix)
    url = f"{cluster.url(0)}?prefix={prefix}"
    async with ProgressTracker.from_url(url) as tracker:
        for id in ("x", "{y}", "}{", "{progress}:o:x"):
            await tracker.create(id=id, user_id=id, kind=id)
            await tracker.create(id=f"{id}/part", parent_id=id)
            await tracker.complete(f"{id}/part")
            assert (await tracker.get(id)).progress == 100
    for number, client in enumerate(cluster.clients[:MASTERS]):
        keys = list(client.scan_iter(match=f"{{{prefix}}}*", count=1000))
        assert bool(keys) == (number == node)
