"""A pipe of blocks between two threads, of which either end can break off."""

import threading
from collections.abc import Iterator


class BrokenOff(Exception):
    """The other end of a pipe has gone."""


class Handoff:
    """Takes blocks in one thread and yields them in another; holds one at a time."""

    def __init__(self) -> None:
        """Start open and empty."""
        self._changed = threading.Condition()
        self._block: bytes | None = None
        self._complete = self._broken = False

    def put(self, block: bytes) -> None:
        """Hand ``block`` over; waits until there is room.

        Raises:
            BrokenOff: Nobody takes any more.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._block is None or self._broken)
            if self._broken:
                raise BrokenOff
            self._block = block
            self._changed.notify_all()

    def complete(self) -> None:
        """Say that no block follows."""
        with self._changed:
            self._complete = True
            self._changed.notify_all()

    def break_off(self) -> None:
        """Make both ends stop where they are. Idempotent, from any thread."""
        with self._changed:
            self._broken = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the blocks; waits for each.

        Raises:
            BrokenOff: The writing end broke off.
        """
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._broken or self._block is not None or self._complete
                )
                if self._broken:
                    raise BrokenOff
                if self._block is None:
                    return
                block, self._block = self._block, None
                self._changed.notify_all()
            yield block
