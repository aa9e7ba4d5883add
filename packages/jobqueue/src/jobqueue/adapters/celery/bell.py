"""The bell: a thread that tells Celery's workers that there may be something to do."""

import logging
import os
import threading
from collections.abc import Callable
from typing import Protocol

logger = logging.getLogger(__name__)
ENOUGH = 64
"""So many unanswered rings wake all who could come; more would only lie about."""
_inherited: list[object] = []
"""What a fork left of the parent's connections: to let go of them would shut the parent's."""


class Chime(Protocol):
    """A connection to a message broker."""

    def strike(self, name: str, count: int) -> None:
        """Publish up to ``count`` rings for the queue ``name``; may raise anything."""

    def close(self) -> None:
        """Disconnect; may raise anything."""


class Bell:
    """Rings in the background: what it is asked for while it rings goes together afterwards.

    A ring that cannot be delivered is kept and tried again; nobody waits for it. Safe for threads
    and forks.
    """

    def __init__(self, connect: Callable[[], Chime], *, again: float = 1.0) -> None:
        """Ring over what ``connect`` returns; try again after ``again`` seconds."""
        self._connect, self._again = connect, again
        self._chime: Chime | None = None
        self._reset()

    def _reset(self) -> None:
        if self._chime is not None:
            _inherited.append(self._chime)
        self._chime = None
        self._pid = os.getpid()
        self._wake = threading.Condition()
        self._due: dict[str, int] = {}
        self._thread: threading.Thread | None = None
        self._closing = self._down = False

    def ring(self, name: str, count: int = 1) -> None:
        """Have workers of the queue ``name`` look at the store; returns at once, never raises."""
        if self._pid != os.getpid():
            self._reset()
        with self._wake:
            self._due[name] = min(ENOUGH, self._due.get(name, 0) + count)
            if self._thread is None:
                self._closing = False
                self._thread = threading.Thread(
                    target=self._work, name="jobqueue-bell", daemon=True
                )
                self._thread.start()
            self._wake.notify()

    def close(self, patience: float = 2.0) -> None:
        """Deliver what is due within ``patience`` seconds, and disconnect; blocks.

        A later :meth:`ring` connects again.
        """
        thread = self._thread
        if thread is None or self._pid != os.getpid():
            return
        with self._wake:
            self._closing = True
            self._wake.notify()
        thread.join(patience)

    def _work(self) -> None:
        while (due := self._take()) is not None:
            try:
                self._deliver(due)
            except Exception as exc:  # noqa: BLE001  whatever the libraries of five servers raise
                self._failed(due, exc)
            else:
                if self._down:
                    self._down = False
                    logger.info("bell.restored")
        self._hang_up()

    def _take(self) -> dict[str, int] | None:
        with self._wake:
            while not self._due and not self._closing:
                self._wake.wait()
            due, self._due = self._due, {}
            if not due:
                self._thread = None
                return None
            return due

    def _deliver(self, due: dict[str, int]) -> None:
        """Empty ``due`` as far as it goes."""
        if self._chime is not None:
            try:
                self._strike(self._chime, due)
            except Exception:  # noqa: BLE001  idle since long, or cut: a new connection decides
                self._hang_up()
            else:
                return
        self._chime = self._connect()
        self._strike(self._chime, due)

    def _strike(self, chime: Chime, due: dict[str, int]) -> None:
        for name in list(due):
            chime.strike(name, due[name])
            del due[name]

    def _failed(self, due: dict[str, int], exc: Exception) -> None:
        self._hang_up()
        if not self._down:
            self._down = True
            # without the message: it may hold the password of the URL
            logger.warning("bell.failed", extra={"reason": type(exc).__name__})
        with self._wake:
            if self._closing:
                self._due.clear()
                return
            for name, count in due.items():
                self._due[name] = min(ENOUGH, self._due.get(name, 0) + count)
            self._wake.wait_for(lambda: self._closing, self._again)

    def _hang_up(self) -> None:
        chime, self._chime = self._chime, None
        if chime is not None:
            try:
                chime.close()
            except Exception:  # noqa: BLE001  it is broken, and given up
                logger.debug("bell.close_failed")
