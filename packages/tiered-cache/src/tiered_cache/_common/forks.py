"""Forks wait for what they must not cut in two: a library's locks are copied as they stand."""

import contextlib
import os
import threading
import time
from collections.abc import Generator

_PATIENCE = 2.0
"""Seconds that a fork waits at most: a call may itself wait for another process."""


class ForkGate:
    """Counts the threads inside a call; a fork waits for them, and new calls for the fork.

    For C libraries whose mutexes a child would inherit locked, with nobody to unlock them.
    """

    def __init__(self) -> None:
        """Nobody is inside; watch the forks of this process."""
        self._idle = threading.Condition()
        self._inside = 0
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._before, after_in_parent=self._in_parent, after_in_child=self._in_child
            )

    @contextlib.contextmanager
    def inside(self) -> Generator[None, None, None]:
        """Hold forks off during the block. The block must not fork."""
        with self._idle:
            self._inside += 1
        try:
            yield
        finally:
            with self._idle:
                self._inside -= 1
                self._idle.notify_all()

    def _before(self) -> None:
        # kept until the fork is over, so that nobody enters meanwhile
        self._idle.acquire()
        deadline = time.monotonic() + _PATIENCE
        while self._inside and (left := deadline - time.monotonic()) > 0:
            self._idle.wait(left)

    def _in_parent(self) -> None:
        self._idle.release()

    def _in_child(self) -> None:
        self._idle, self._inside = threading.Condition(), 0
