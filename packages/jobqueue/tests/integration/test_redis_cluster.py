"""One queue on a Redis Cluster: all keys on one node, found by way of any other."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from _common.processes import free_port
from _common.redis_server import REDIS, run_redis
from _common.services import demanded, locate_program
from jobqueue.testing import claim, finish, record

redis = pytest.importorskip("redis")
pytestmark = [pytest.mark.integration, pytest.mark.slow]

from jobqueue.adapters.redis.broker import RedisBroker  # noqa: E402  it may not be installed

SLOTS = 16384
OPTIONS = ("--cluster-enabled", "yes", "--cluster-node-timeout", "15000")


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture
def ports() -> Iterator[list[int]]:
    """Three nodes that know each other (their bus is at their port + 10,000)."""
    with ExitStack() as stack, demanded(REDIS):
        program = locate_program(REDIS)
        found: list[int] = []
        while len(found) < 3:
            bus = ("--cluster-port", str(free_port()))
            newer = bus if int(program.version.partition(".")[0]) >= 7 else ()
            server = stack.enter_context(run_redis(program, *OPTIONS, *newer))
            assert server.port is not None
            found.append(server.port)
        nodes = [redis.Redis(port=port, socket_timeout=60) for port in found]
        buses = [int(node.config_get("cluster-port").get("cluster-port", 0)) for node in nodes]
        for i, node in enumerate(nodes):
            stack.callback(node.close)
            first, last = i * SLOTS // 3, (i + 1) * SLOTS // 3
            node.execute_command("CLUSTER ADDSLOTS", *range(first, last))
            node.execute_command("CLUSTER SET-CONFIG-EPOCH", i + 1)
        for node in nodes[1:]:
            node.execute_command(
                "CLUSTER MEET", "127.0.0.1", found[0], buses[0] or found[0] + 10_000
            )
        until(lambda: all(_is_whole(node) for node in nodes))
        yield found


def _is_whole(node: "redis.Redis") -> bool:
    info = node.execute_command("CLUSTER INFO")
    return info["cluster_state"] == "ok" and info["cluster_known_nodes"] == "3"


async def test_a_queue_lives_on_one_node(ports: list[int]) -> None:
    names = ("one", "two", "three", "four")
    for port in ports:
        for name in names:
            broker = RedisBroker(f"redis://127.0.0.1:{port}/0", prefix=f"{name}{port}")
            parent = record()
            await broker.enqueue([parent, record("child", depends_on=(parent.id,))])
            [job] = (await claim(broker)).claimed
            await finish(broker, job)
            assert [each.name for each in (await claim(broker)).claimed] == ["child"]
            waiting = asyncio.create_task(broker.wait(60.0))
            await asyncio.sleep(0.05)
            await broker.enqueue([record()])
            async with asyncio.timeout(50):
                await waiting
            assert (await broker.stats(None)).pending == 1
            await broker.aclose()
