"""Two real processes, a backplane that is cut and delayed, a server that dies: nothing stale."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("redis")

import soak_worker
from _common.proxy import Proxy
from _common.server import Server
from _common.services import demanded
from memcached_server import MEMCACHED, run_memcached

pytestmark = [pytest.mark.chaos, pytest.mark.integration, pytest.mark.slow]
SECONDS = float(os.environ.get("TIERED_CACHE_SOAK", "10"))


@pytest.fixture
def ways(own_redis: Server) -> Iterator[list[Proxy]]:
    """Give the ways of two processes to Redis: commands and messages of the one, of the other."""
    assert own_redis.port is not None
    made = [Proxy(own_redis.port) for _ in range(4)]
    for each in made:
        each.__enter__()
    yield made
    for each in made:
        each.__exit__()


def disturb(
    ways: list[Proxy], server: Server | None, rng: random.Random, over: Callable[[], bool]
) -> list[str]:
    """Do something bad all the time, and let things heal in between."""
    done: list[str] = []
    while not over():
        time.sleep(rng.uniform(0.2, 0.7))
        # mostly the way of messages: without commands nothing is confirmed
        messages = ways[1::2] if len(ways) > 2 else ways
        proxy = rng.choice(messages if rng.random() < 0.7 else ways)
        kind = rng.choice(["drop", "drop", "hole", "delay", "cut", "kill"])
        done.append(kind)
        if kind == "drop":
            proxy.mode = "drop_replies"
        elif kind == "hole":
            proxy.mode = "blackhole"
        elif kind == "delay":
            proxy.delay = 0.2
        elif kind == "cut":
            proxy.cut()
        elif kind == "kill" and server is not None and done.count("kill") < max(3, SECONDS / 20):
            server.kill()
            time.sleep(rng.uniform(0.1, 0.5))
            server.restart()
        time.sleep(rng.uniform(0.5, 4.0) if kind in {"drop", "hole", "delay"} else 0.1)
        proxy.mode, proxy.delay = "pass", 0.0
        if kind in {"drop", "hole"}:
            proxy.cut()  # half of an answer is worse than none
    return done


def start(kind: str, commands: str, messages: str, world: Path, seed: int) -> subprocess.Popen[str]:
    script = Path(soak_worker.__file__)
    args = [kind, commands, messages, str(world), str(seed), str(SECONDS)]
    command = [sys.executable, "-W", "ignore", str(script), *args]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def end(processes: list[subprocess.Popen[str]]) -> tuple[dict[str, int], list[object]]:
    total: dict[str, int] = {}
    violations: list[object] = []
    for each in processes:
        assert each.stdout is not None
        found = json.loads(each.stdout.read().splitlines()[-1])
        each.stdout.close()
        assert each.wait(20) == 0
        violations += found["violations"]
        for name, count in found["done"].items():
            total[name] = total.get(name, 0) + count
    return total, violations


@pytest.fixture
def world(tmp_path: Path) -> Path:
    path = tmp_path / "world"
    path.write_bytes(b"\0" * soak_worker.SIZE)
    return path


# a Redis that is killed loses everything, or nothing
EMPTIED, KEPT = (), ("--appendonly", "yes", "--appendfsync", "always")


@pytest.mark.parametrize(
    ("kind", "own_redis"),
    [
        pytest.param("pubsub", EMPTIED, id="pubsub"),
        pytest.param("streams", EMPTIED, id="streams"),
        pytest.param("tracking", EMPTIED, id="tracking"),
        pytest.param("pubsub", KEPT, id="pubsub-kept"),
        pytest.param("streams", KEPT, id="streams-kept"),
    ],
    indirect=["own_redis"],
)
def test_nothing_stale(kind: str, ways: list[Proxy], own_redis: Server, world: Path) -> None:
    urls = [f"redis://127.0.0.1:{way.port}" for way in ways]
    total = soak(kind, [(urls[0], urls[1]), (urls[2], urls[3])], ways, own_redis, world)
    assert total["get"] + total["ask"] > 500


def test_nothing_stale_in_memcached(world: Path) -> None:
    """It forgets everything whenever it is killed, and nobody is told of changes."""
    pytest.importorskip("aiomcache")
    with demanded(MEMCACHED), run_memcached() as server:
        assert server.port is not None
        with Proxy(server.port) as first, Proxy(server.port) as second:
            urls = [(f"memcached://127.0.0.1:{way.port}", "") for way in (first, second)]
            soak("memcached", urls, [first, second], server, world)


def soak(
    kind: str, urls: list[tuple[str, str]], ways: list[Proxy], server: Server, world: Path
) -> dict[str, int]:
    """Let two processes work while everything is disturbed; return what they did."""
    seed = int(os.environ.get("TIERED_CACHE_SEED", random.randrange(10_000)))
    processes = [start(kind, *both, world, seed + n) for n, both in enumerate(urls)]
    for each in processes:
        assert each.stdout is not None
        assert each.stdout.readline().strip() == "ready"
    over = lambda: any(each.poll() is not None for each in processes)
    until = time.monotonic() + SECONDS - 2
    rng = random.Random(seed)
    faults = disturb(ways, server, rng, lambda: over() or time.monotonic() > until)
    total, violations = end(processes)
    print(f"seed {seed}: {total}, faults {faults}")
    assert not violations, f"seed {seed}: {violations[:5]}"
    assert total["confirmed"] > 2  # many more, on a machine that has time
    return total


def test_nothing_stale_in_a_file(world: Path, tmp_path: Path) -> None:
    seed = random.randrange(10_000)
    url = f"sqlite:///{tmp_path}/c.db"
    processes = [start("sqlite", url, "", world, seed + n) for n in range(2)]
    for each in processes:
        assert each.stdout is not None
        assert each.stdout.readline().strip() == "ready"
    total, violations = end(processes)
    print(f"seed {seed}: {total}")
    assert not violations, f"seed {seed}: {violations[:5]}"
    assert total["confirmed"] > 2  # many more, on a machine that has time
