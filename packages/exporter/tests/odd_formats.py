"""Formats that misbehave, in a module that worker processes can import."""

import os
import signal
from typing import Any

from exporter import Document, Renderer


class Plain(Renderer):
    """Writes one line a record."""

    format = "plain"
    content_type = "text/plain"

    def begin(self, document: Document) -> None:
        self.put(f"{os.getpid()}\n")

    def write(self, record: Any) -> None:
        self.put("x\n")

    def end(self) -> None:
        pass


class Killer(Plain):
    """Takes its process with it."""

    format = "killer"

    def end(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class Greedy(Plain):
    """Leaves a lot of memory behind."""

    format = "greedy"
    held: bytes = b""

    def end(self) -> None:
        Greedy.held = b"x" * (300 << 20)


class NeedsTwo(Exception):
    """Cannot be made again of what it holds."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")


class Failing(Plain):
    """Raises what does not come back whole from another process."""

    format = "failing"

    def write(self, record: Any) -> None:
        raise NeedsTwo("one", "two")
