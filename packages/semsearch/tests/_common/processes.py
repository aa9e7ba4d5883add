"""Starting child processes that end with their parent, and waiting for them."""

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

LAUNCHER = Path(__file__).with_name("launcher.py")

# Below the ephemeral ports of Linux, macOS and Windows: no outgoing connection takes the port while
# its server restarts, and none can meet itself there (a TCP self-connect passes for a live server).
PORTS = range(20_000, 32_000)


class User(NamedTuple):
    """Whom a child runs as, where that is not ourselves."""

    uid: int
    gid: int


def unprivileged_user() -> User | None:
    """Return ``nobody`` if we are root, for servers that refuse to run as root."""
    if os.geteuid() != 0:
        return None
    import pwd  # not everywhere where a server may still be named by its address

    entry = pwd.getpwnam("nobody")
    return User(entry.pw_uid, entry.pw_gid)


def free_port() -> int:
    """Return a loopback port that was free a moment ago: starting a server there may yet fail."""
    while True:
        port = random.SystemRandom().choice(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def wait_until(check: Callable[[], bool], *, timeout: float, what: str) -> None:
    """Return as soon as ``check()`` is true, looking every five milliseconds.

    Raises:
        TimeoutError: It was not true within ``timeout`` seconds; the message says ``what``.
    """
    deadline = time.monotonic() + timeout
    while not check():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:g} s in vain until {what}")
        time.sleep(0.005)


def spawn(
    command: Sequence[str | Path],
    *,
    directory: Path,
    log: Path,
    user: User | None,
    death_signal: int,
) -> subprocess.Popen[bytes]:
    """Start ``command`` in ``directory``, writing to ``log``, out of reach of Ctrl-C.

    On Linux it receives ``death_signal`` when we end. The kernel ties that to the *thread* that
    starts the child, so a child started outside the main thread goes without.
    """
    lasting = threading.current_thread() is threading.main_thread()
    setup = map(str, (os.getpid(), int(death_signal) if lasting else 0, *(user or (-1, -1))))
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", LAUNCHER, *setup, *command],
            cwd=directory,
            env={k: v for k, v in os.environ.items() if not k.startswith(("PG", "LC_", "LANG"))},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def run(command: Sequence[str | Path], *, directory: Path, log: Path, user: User | None) -> None:
    """Run ``command`` to its end.

    Raises:
        RuntimeError: It failed; the message holds what it wrote.
    """
    child = spawn(command, directory=directory, log=log, user=user, death_signal=signal.SIGKILL)
    try:
        status = child.wait(60)
    finally:
        child.kill()
        child.wait()
    if status:
        raise RuntimeError(f"{command[0]} failed ({status}): {log.read_text(errors='replace')}")


def children_of(pid: int) -> list[int]:
    """Return the direct children of a process; none where there is no /proc."""
    return [
        int(stat.parent.name)
        for stat in Path("/proc").glob("[0-9]*/stat")
        if _parent_in(stat) == pid
    ]


def _parent_in(stat: Path) -> int | None:
    try:
        fields = stat.read_text().rpartition(")")[2].split()  # the name before may hold anything
    except OSError:  # it ended while we looked
        return None
    return int(fields[1])
