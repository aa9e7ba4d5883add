"""A Redis Cluster of three masters and one replica, made by hand: redis-cli is not everywhere."""

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from _common.directories import temporary_directory
from _common.processes import wait_until
from _common.redis_server import REDIS
from _common.server import Daemon, Recipe, running
from _common.services import demanded, locate_program

SLOTS = 16384
MASTERS = 3
SOON, LATE = 1000, 60_000  # ms after which the others take a silent node for dead
_OPTIONS = (
    "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf",
    "--cluster-node-timeout", str(SOON), "--repl-diskless-sync-delay", "0",
)  # fmt: skip


@dataclass(frozen=True)
class Cluster:
    """The nodes, masters first; the last one is the replica of the third."""

    daemons: list[Daemon]
    clients: list[Any]

    def url(self, node: int) -> str:
        """Return the URL of one node: clients are sent on to others by it."""
        return f"redis://127.0.0.1:{self.daemons[node].port}/0"

    def prefix_on(self, node: int, *, salt: str = "") -> str:
        """Return a prefix whose keys lie on a master."""
        share = SLOTS // MASTERS + 1
        names = (f"p{salt}{number}" for number in range(1000))
        return next(each for each in names if self.slot(each) // share == node)

    def slot(self, prefix: str) -> int:
        """Return the slot of a prefix's keys."""
        return int(self.clients[0].execute_command("CLUSTER", "KEYSLOT", f"{{{prefix}}}"))

    def take_for_dead(self, after: int) -> None:
        """Let the nodes take another for dead when it was silent for so many milliseconds."""
        for each in self.clients:
            each.config_set("cluster-node-timeout", after)

    def id_of(self, node: int) -> str:
        """Return what the nodes call one of them."""
        return _text(self.clients[node].execute_command("CLUSTER", "MYID"))


def _recipe(program: Path, directory: Path) -> Recipe:
    def command(port: int) -> list[str | Path]:
        own = ["--save", "", "--appendonly", "no", *_OPTIONS]
        return [program, "--port", str(port), "--bind", "127.0.0.1", *own]

    return Recipe(
        directory=directory,
        command=command,
        ready=b"Ready to accept connections",
        end_signal=signal.SIGKILL,
        stop_signal=signal.SIGTERM,
    )


@contextlib.contextmanager
def run_cluster() -> Iterator[Cluster]:
    """Give a cluster for the duration of the block."""
    import redis

    program = locate_program(REDIS).path
    with contextlib.ExitStack() as stack:
        daemons = [
            stack.enter_context(
                running(_recipe(program, stack.enter_context(temporary_directory("node"))))
            )
            for _ in range(MASTERS + 1)
        ]
        clients = [
            stack.enter_context(redis.Redis(port=each.port, socket_timeout=30)) for each in daemons
        ]
        share = SLOTS // MASTERS + 1
        for number, each in enumerate(clients[:MASTERS]):
            slots = range(number * share, min(SLOTS, (number + 1) * share))
            each.execute_command("CLUSTER", "ADDSLOTS", *slots)
            each.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for daemon in daemons[1:]:
            clients[0].execute_command("CLUSTER", "MEET", "127.0.0.1", daemon.port)
        made = Cluster(daemons, clients)
        whole = {"cluster_state": "ok", "cluster_known_nodes": str(MASTERS + 1)}
        wait_until(
            lambda: all(whole.items() <= _info(each).items() for each in clients),
            timeout=180,
            what="the cluster is whole",
        )
        clients[-1].execute_command("CLUSTER", "REPLICATE", made.id_of(MASTERS - 1))
        wait_until(lambda: _follows(clients[-1]), timeout=180, what="the replica follows")
        made.take_for_dead(LATE)  # a busy machine may let a node wait
        yield made


def _follows(replica: Any) -> bool:
    return bool(replica.info("replication").get("master_link_status") == "up")


def _info(each: Any) -> dict[str, str]:
    found = each.execute_command("CLUSTER", "INFO")
    if isinstance(found, dict):  # as releases of the client have it
        return {str(name): str(value) for name, value in found.items()}
    return dict(row.split(":") for row in _text(found).split() if ":" in row)


def _text(found: Any) -> str:
    return found.decode() if isinstance(found, bytes) else str(found)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Give a cluster for the whole session: nothing in it is killed or moved."""
    with demanded(REDIS), run_cluster() as made:
        yield made


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """Give a cluster for one test."""
    with demanded(REDIS), run_cluster() as made:
        yield made
