"""Processes of peers: started with orders, ended with their children."""

import contextlib
import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from peers.stage import Orders

from .contenders import Contender
from .environments import FailedError, interpreter

_SCRIPTS: Final = Path(__file__).parents[1] / "peers"
_STOPPING: Final = 5.0


class Child:
    """A running script of a peer, in a process group of its own."""

    def __init__(self, contender: Contender, orders: Orders) -> None:
        """Start it.

        Raises:
            FailedError: The peer cannot be installed.
        """
        python = interpreter(contender.peer)
        path = _SCRIPTS / f"on_{contender.peer.name}.py"
        env = {**os.environ, "BENCH_BACKEND": contender.peer.backend}
        for name in ("JOBQUEUE_URL", "JOBQUEUE_CONFIG", "VIRTUAL_ENV", "PYTHONPATH"):
            env.pop(name, None)
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  closed by `close`
        self._process = subprocess.Popen(
            [python, path, orders.dump()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=env,
            start_new_session=True,
        )
        self.pid = self._process.pid

    def answer(self, timeout: float) -> dict[str, Any]:
        """Return what it says at its end.

        Raises:
            FailedError: It failed or took longer than ``timeout`` seconds.
        """
        try:
            output, _ = self._process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise FailedError(f"nothing within {timeout:g} s; {self.complaint()}") from None
        if self._process.returncode:
            raise FailedError(self.complaint())
        lines = [line for line in output.decode().splitlines() if line.startswith("{")]
        return dict(json.loads(lines[-1])) if lines else {}

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def complaint(self) -> str:
        """Return the error in what it wrote to standard error, else its last line."""
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - 2000))
        text = self._errors.read().decode(errors="replace").strip()
        lines = [line.strip(" |") for line in text.splitlines()]
        # the exception that a traceback, or a drawn group of them, ends with
        errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Exit)\b", line)]
        told = errors or [line for line in lines if line]
        return told[-1][-300:] if told else "it said nothing"

    def kill(self) -> None:
        """End it and its children at once."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """Ask it to end, and end it if it does not."""
        if self.is_alive:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOPPING)
        self.close()

    def close(self) -> None:
        """End it and forget it."""
        self.kill()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._errors.close()


@contextlib.contextmanager
def working(contender: Contender, orders: Orders) -> Iterator[Child]:
    """Run a worker for the duration of the block; it ends in good order."""
    child = Child(contender, orders)
    try:
        yield child
    finally:
        child.stop()


def ask(contender: Contender, orders: Orders, timeout: float = 90.0) -> dict[str, Any]:
    """Run a script to its end and return its answer.

    Raises:
        FailedError: It failed.
    """
    child = Child(contender, orders)
    try:
        return child.answer(timeout)
    finally:
        child.close()
