"""``studio serve`` that ends by SIGKILL, as an out-of-memory killer does it, at its n-th step.

A step is the call of anything that stores something, or that makes the answer; the process ends
before it makes the n-th. Each line of the input, ``N PORT``, begins such a process; when it has
ended, a line says so.
"""

import functools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jobqueue.adapters.celery.chime
import transcript_studio.serve
from jobqueue import JobQueue
from progress_tracker import ProgressTracker
from transcript_studio import cli, library
from transcript_studio.web import downloads, transcripts

ENDED = "ended"
STEPS: tuple[tuple[Any, str], ...] = (
    (library, "_store"),
    (Path, "replace"),
    (library, "_write"),
    (ProgressTracker, "create"),
    (ProgressTracker, "update"),
    (ProgressTracker, "restart"),
    (JobQueue, "enqueue"),
    (JobQueue, "retry_job"),
    (jobqueue.adapters.celery.chime.KombuChime, "_publish"),  # after the job, about it
    (transcripts, "answer"),
    (downloads, "answer"),
)


def mortal(step: Callable[..., Any], left: list[int]) -> Callable[..., Any]:
    """Return ``step``, and end the process where it is the last in ``left``."""

    @functools.wraps(step)
    def counted(*args: Any, **kwargs: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(*args, **kwargs)

    return counted


def serve(steps: int, port: str) -> int:
    """Serve until the last step."""
    left = [steps]
    for owner, name in STEPS:
        setattr(owner, name, mortal(getattr(owner, name), left))
    print(os.getpid(), flush=True)
    return cli.main(["serve", "--port", port, "--workers", "0"])


def main() -> None:
    """Serve in children: what is imported is so once."""
    for line in sys.stdin:
        steps, port = line.split()
        child = os.fork()
        if child == 0:
            sys.exit(serve(int(steps), port))
        os.waitpid(child, 0)
        print(ENDED, flush=True)


if __name__ == "__main__":
    assert transcript_studio.serve  # loaded before the first child
    main()
