"""Several Redis servers that belong together: a cluster of three, and a master with a Sentinel."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from _common.directories import temporary_directory
from _common.processes import wait_until
from _common.redis_server import REDIS
from _common.server import Daemon, Recipe, running
from _common.services import demanded, locate_program

SLOTS = 16384


def recipe(program: Path, directory: Path, *options: str, sentinel: bool = False) -> Recipe:
    """Say how to run one server of a group."""

    def command(port: int) -> list[str | Path]:
        start: list[str | Path] = [program]
        if sentinel:
            start.append(directory / "sentinel.conf")
        own = [] if sentinel else ["--save", "", "--appendonly", "no"]
        return [*start, "--port", str(port), "--bind", "127.0.0.1", *own, *options]

    return Recipe(
        directory=directory,
        command=command,
        # a Sentinel says no more than that it runs
        ready=b"Sentinel ID is" if sentinel else b"Ready to accept connections",
        end_signal=signal.SIGKILL,
        stop_signal=signal.SIGTERM,
    )


def as_it_is(made: Recipe) -> Recipe:
    """Change nothing."""
    return made


@contextlib.contextmanager
def run_cluster(
    program: Path | None = None, server: Callable[[Recipe], Recipe] = as_it_is, **options: Any
) -> Iterator[list[Daemon]]:
    """Give the three nodes of a cluster, made by hand: redis-cli is not everywhere.

    ``server`` changes how they run; ``options`` are what a client then needs.
    """
    program = program or locate_program(REDIS).path
    told = ("--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",
            "--cluster-node-timeout", "2000")  # fmt: skip
    with contextlib.ExitStack() as stack:
        folders = [stack.enter_context(temporary_directory("node")) for _ in range(3)]
        made = [server(recipe(program, folder, *told)) for folder in folders]
        daemons = [stack.enter_context(running(each)) for each in made]
        clients = [stack.enter_context(client(daemon, **options)) for daemon in daemons]
        share = SLOTS // 3 + 1
        for number, each in enumerate(clients):
            slots = range(number * share, min(SLOTS, (number + 1) * share))
            each.execute_command("CLUSTER", "ADDSLOTS", *slots)
            each.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for daemon in daemons[1:]:
            clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", daemon.port)
        wait_until(lambda: all(map(is_joined, clients)), timeout=30, what="the cluster is whole")
        yield daemons


def is_joined(each: Any) -> bool:
    """Whether a node sees all others and every slot."""
    found = each.execute_command("CLUSTER", "INFO")
    text = str(found)
    return all(part in text for part in ("cluster_state", "ok", "cluster_known_nodes")) and (
        _figure(found, "cluster_state") == "ok" and _figure(found, "cluster_known_nodes") == "3"
    )


def _figure(found: Any, name: str) -> str:
    if isinstance(found, dict):
        return str(found[name])
    rows = bytes(found).decode() if isinstance(found, bytes) else str(found)
    return dict(row.split(":") for row in rows.splitlines() if ":" in row).get(name, "")


def client(daemon: Daemon, **options: Any) -> Any:
    """Return a blocking client of one server."""
    import redis

    return redis.Redis(port=daemon.port, socket_timeout=5, **options)


@pytest.fixture(scope="session")
def cluster_nodes() -> Iterator[list[Daemon]]:
    """Give a cluster for the whole session."""
    with demanded(REDIS), run_cluster() as daemons:
        yield daemons


@pytest.fixture
def cluster_url(cluster_nodes: list[Daemon]) -> str:
    """Return the URL of a cluster."""
    return "redis+cluster://" + ",".join(f"127.0.0.1:{each.port}" for each in cluster_nodes)


@contextlib.contextmanager
def run_sentinel(
    program: Path | None = None,
    server: Callable[[Recipe], Recipe] = as_it_is,
    watcher: Callable[[Recipe], Recipe] = as_it_is,
    **options: Any,
) -> Iterator[tuple[Daemon, Daemon, Daemon]]:
    """Give a master, its replica, and a Sentinel that alone decides.

    ``server`` and ``watcher`` change how they run; ``options`` are what a client of the Sentinel
    then needs.
    """
    program = program or locate_program(REDIS).path
    with contextlib.ExitStack() as stack:
        folders = [stack.enter_context(temporary_directory("redis")) for _ in range(3)]
        master = stack.enter_context(running(server(recipe(program, folders[0]))))
        follow = ("--replicaof", "127.0.0.1", str(master.port))
        replica = stack.enter_context(running(server(recipe(program, folders[1], *follow))))
        (folders[2] / "sentinel.conf").write_text(
            f"sentinel monitor chief 127.0.0.1 {master.port} 1\n"
            "sentinel down-after-milliseconds chief 500\n"
            "sentinel failover-timeout chief 3000\n"
        )
        looking = watcher(recipe(program, folders[2], "--sentinel", sentinel=True))
        sentinel = stack.enter_context(running(looking))
        with client(sentinel, **options) as asked:
            wait_until(lambda: knows_replica(asked), timeout=30, what="the replica is known")
        yield master, replica, sentinel


def knows_replica(asked: Any) -> bool:
    """Whether a Sentinel could promote somebody."""
    found = asked.execute_command("SENTINEL", "REPLICAS", "chief")
    return bool(found)


@pytest.fixture(scope="session")
def sentinel_group() -> Iterator[tuple[Daemon, Daemon, Daemon]]:
    """Give a master, a replica and a Sentinel for the whole session."""
    with demanded(REDIS), run_sentinel() as group:
        yield group


@pytest.fixture
def sentinel_url(sentinel_group: tuple[Daemon, Daemon, Daemon]) -> str:
    """Return the URL of a master behind a Sentinel."""
    return f"redis+sentinel://127.0.0.1:{sentinel_group[2].port}/chief/0"
