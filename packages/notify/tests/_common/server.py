"""A server that tests may stop, freeze and start again, or one whose address they were given."""

import contextlib
import itertools
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .processes import User, children_of, free_port, spawn, wait_until

ATTEMPTS = 5
_PATIENCE = 180  # seconds: a bound, not a pause; RabbitMQ takes its time on a busy machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to run one kind of server in a directory.

    ``ready`` is what its log says once it accepts connections. ``end_signal`` ends it at once and
    is what the kernel sends when pytest ends; ``stop_signal`` ends it in good order.
    """

    directory: Path
    command: Callable[[int], Sequence[str | Path]]
    ready: bytes
    end_signal: signal.Signals
    stop_signal: signal.Signals
    user: User | None = None


class Daemon:
    """A server process of our own: kept on one port and one directory from start to close."""

    def __init__(self, recipe: Recipe) -> None:
        self.port = 0
        self._recipe = recipe
        self._log = recipe.directory / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The running process, None if there is none."""
        alive = self._process is not None and self._process.poll() is None
        return self._process.pid if self._process is not None and alive else None

    def start(self) -> None:
        """Start on a free port, another one if somebody took it meanwhile."""
        self._start(free_port() for _ in range(ATTEMPTS))

    def restart(self) -> None:
        """Stop in good order if it runs, then start on the same port with the same files."""
        self._end(self._recipe.stop_signal)
        self._start(itertools.repeat(self.port, ATTEMPTS))

    def kill(self) -> None:
        """End it and its children by SIGKILL; ``restart`` brings it back."""
        if pid := self.pid:
            self.pause()  # else a child that it has meanwhile would stay
            self._signal([pid, *children_of(pid)], signal.SIGKILL)
            self._wait()

    def pause(self) -> None:
        """Freeze it: connections stay open and are accepted by the kernel, nothing answers."""
        if not (pid := self.pid):
            raise RuntimeError("the server is not running")
        self._signal([pid], signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED)  # from here on it has no new children
        self._signal(children_of(pid), signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after ``pause``."""
        if pid := self.pid:
            self._signal([*children_of(pid), pid], signal.SIGCONT)

    def close(self) -> None:
        """End it at once, without saving anything."""
        self._end(self._recipe.end_signal)

    def _start(self, ports: Iterable[int]) -> None:
        for attempt, port in enumerate(ports):
            time.sleep(attempt * 0.05)
            if self._is_up(port):
                self.port = port
                return
        raise RuntimeError(f"the server does not start: {self._log.read_text(errors='replace')}")

    def _is_up(self, port: int) -> bool:
        recipe = self._recipe
        self._process = spawn(
            recipe.command(port),
            directory=recipe.directory,
            log=self._log,
            user=recipe.user,
            death_signal=recipe.end_signal,
        )
        try:
            wait_until(self._is_decided, timeout=_PATIENCE, what=f"{self._log} tells of readiness")
        except BaseException:
            self.kill()
            raise
        return self.pid is not None

    def _is_decided(self) -> bool:
        return self.pid is None or self._recipe.ready in self._log.read_bytes()

    def _end(self, signum: signal.Signals) -> None:
        if pid := self.pid:
            self.resume()
            self._signal([pid], signum)
            try:
                self._wait()
            except subprocess.TimeoutExpired:
                self.kill()

    def _wait(self) -> None:
        if self._process is not None:
            self._process.wait(10)

    @staticmethod
    def _signal(pids: Iterable[int], signum: signal.Signals) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signum)


@contextlib.contextmanager
def running(recipe: Recipe) -> Iterator[Daemon]:
    """Give a started server for the duration of the block."""
    daemon = Daemon(recipe)
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.close()


@dataclass(frozen=True, slots=True)
class Server:
    """What a fixture gives to a test: where a server is and what it is.

    The methods that disturb it need a server of our own; for one that the environment names they
    raise, and a test of faults asks for ``own_redis`` or ``own_postgres`` instead.
    """

    url: str
    version: str
    source: str
    daemon: Daemon | None = None

    @property
    def port(self) -> int | None:
        """Its TCP port, None if the URL leaves it to the protocol's default."""
        return urlsplit(self.url).port

    @property
    def pid(self) -> int | None:
        """Its process, None if it is not running."""
        return self._own.pid

    def restart(self) -> None:
        """Stop in good order if it runs, then start on the same port with the same files."""
        self._own.restart()

    def kill(self) -> None:
        """End it and its children by SIGKILL; ``restart`` brings it back."""
        self._own.kill()

    def pause(self) -> None:
        """Freeze it: connections stay open and are accepted by the kernel, nothing answers."""
        self._own.pause()

    def resume(self) -> None:
        """Go on after ``pause``."""
        self._own.resume()

    @property
    def _own(self) -> Daemon:
        if self.daemon is None:
            raise RuntimeError(f"the server of {self.source} is not ours to disturb")
        return self.daemon
