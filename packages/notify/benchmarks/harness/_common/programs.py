"""Programs in processes of their own, waited for until they can be spoken to."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

PATIENCE = 20.0  # seconds until a program must answer


class StartError(RuntimeError):
    """A program ended, or did not answer in time: what follows would measure nothing."""


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


@contextlib.contextmanager
def program(
    *words: str,
    port: int,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
    patience: float = PATIENCE,
) -> Iterator[int]:
    """Run Python with these words until the end of the block; give the id of the process.

    Raises:
        StartError: Nobody listened on ``port`` within ``patience`` seconds.
    """
    made = subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.DEVNULL,
        cwd=folder,
        env={**os.environ, **(environment or {})},
    )
    try:
        _wait(made, port, patience)
        yield made.pid
    finally:
        made.kill()
        made.wait()


def _wait(process: subprocess.Popen[bytes], port: int, patience: float) -> None:
    called = " ".join(str(word) for word in process.args[1:])  # type: ignore[index,union-attr]  a list
    until = time.monotonic() + patience
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if (code := process.poll()) is not None:
            raise StartError(f"{called!r} ended with {code} before it listened on port {port}")
        if time.monotonic() > until:
            raise StartError(f"{called!r} did not listen on port {port} within {patience:g} s")
        time.sleep(0.05)
