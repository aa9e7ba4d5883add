"""Forks wait for what they must not cut in two: a library's locks are copied as they stand."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Generator

_PATIENCE = 2.0
"""Seconds that a fork waits at most: a call may itself wait for another process."""


class ForkGate:
    """Counts the threads inside a call; a fork waits for them, and new calls for the fork.

    For C libraries whose state a child would inherit in the middle of a change, with nobody to
    bring it to an end.
    """

    def __init__(
        self, before: Callable[[], None] | None = None, in_parent: Callable[[], None] | None = None
    ) -> None:
        """Watch the forks of this process.

        Args:
            before: Called before each fork, while nobody is inside (or patience is over).
            in_parent: Called after it in the parent.
        """
        self._idle = threading.Condition()
        self._inside, self._forking = 0, False
        self._prepare, self._resume = before, in_parent
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._before, after_in_parent=self._in_parent, after_in_child=self._in_child
            )

    def enter(self) -> None:
        """Hold forks off until :meth:`leave`; wait for one that is under way."""
        with self._idle:
            # also those that only wait to begin: or a busy writer would starve the fork
            while self._forking:
                self._idle.wait()
            self._inside += 1

    def leave(self) -> None:
        """Let forks pass again."""
        with self._idle:
            self._inside -= 1
            if self._forking:
                self._idle.notify_all()

    @contextlib.contextmanager
    def inside(self) -> Generator[None, None, None]:
        """Hold forks off during the block, which must not fork."""
        self.enter()
        try:
            yield
        finally:
            self.leave()

    def _before(self) -> None:
        self._idle.acquire()
        while self._forking:  # by another thread
            self._idle.wait()
        self._forking = True
        deadline = time.monotonic() + _PATIENCE
        while self._inside and (left := deadline - time.monotonic()) > 0:
            self._idle.wait(left)
        if self._prepare is not None:
            self._prepare()

    def _in_parent(self) -> None:
        if self._resume is not None:
            self._resume()
        self._forking = False
        self._idle.notify_all()
        self._idle.release()

    def _in_child(self) -> None:
        self._idle, self._inside, self._forking = threading.Condition(), 0, False
