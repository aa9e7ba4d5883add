"""How long the machine let this process stand still, for tests of what really takes time."""

import threading
import time
from typing import Self

_STEP = 0.02


class Stalls:
    """Sums the seconds by which a thread that does nothing but sleep is woken late.

    A busy machine makes every call late, and that thread as much; code that blocks the event loop,
    or waits for longer than it may, does not.
    """

    def __init__(self) -> None:
        """Count from the beginning of the block on."""
        self._over, self._late = threading.Event(), 0.0
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._seen = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._over.set()
        self._thread.join()

    @property
    def seconds(self) -> float:
        """What is lost so far, this moment's delay included."""
        return self._late + max(0.0, time.monotonic() - self._seen - _STEP)

    def _watch(self) -> None:
        while not self._over.wait(_STEP):
            now = time.monotonic()
            self._late += max(0.0, now - self._seen - _STEP)
            self._seen = now
