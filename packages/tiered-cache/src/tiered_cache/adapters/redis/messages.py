"""Messages of the backplanes: msgpack [format, node, number, keys, tags, ready].

Tags are flat: name, version, hard version, name, ... The scripts write the same.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ...ports import Message, TagVersion

FORMAT = 1


class _Body(msgspec.Struct, array_like=True):
    format: int
    node: str
    seq: int
    keys: list[str]
    tags: list[str | int]
    ready: list[str]


_decode = msgspec.msgpack.Decoder(_Body).decode


def arguments(message: Message) -> list[Any]:
    """Return the arguments of ``SEND`` for a message."""
    flat: list[Any] = []
    for tag, version in message.tags.items():
        flat += [tag, version.version, version.hard]
    return [len(message.keys), len(message.tags), *message.keys, *flat, *message.ready]


class Receiver:
    """Reads messages in the order of their numbers and tells where one is missing.

    Numbers are given by the server, for all nodes together: who sees them without a gap has missed
    nothing, whoever sent it.
    """

    def __init__(
        self, node: str, on_message: Callable[[Message], None], on_gap: Callable[[], None]
    ) -> None:
        """Hand on what others than ``node`` sent."""
        self._node, self._on_message, self._on_gap = node, on_message, on_gap
        self.seq: int | None = None
        self._expected, self._begins = 0, False

    def begin(self, seq: int) -> None:
        """Listen from now on, where ``seq`` was the last number given."""
        if self.seq is not None and self.seq != seq:
            self._on_gap()
        self.seq = self._expected = seq
        self._begins = True

    def receive(self, data: bytes) -> None:
        """Take a message."""
        try:
            body = _decode(data)
            tags = _versions(body.tags)
        except (msgspec.MsgspecError, TypeError, ValueError, IndexError):
            self._on_gap()  # whatever it said
            return
        if body.format != FORMAT:
            self._on_gap()
        if self.seq is None or body.seq > self.seq or not self._begins:
            missed = self.seq is not None and body.seq != self.seq + 1
            self.seq, self._begins = body.seq, False
            if missed:
                self._on_gap()
        if body.node != self._node:
            self._on_message(Message(body.keys, tags, body.ready))

    def expect(self, seq: int) -> None:
        """Say that ``seq`` was given meanwhile: by the next time it must have arrived."""
        self._begins = False  # what was sent while we were beginning has arrived
        if self.seq is not None and (self.seq < self._expected or seq < self.seq):
            # lost on its way to us; or the server lost its data, and counts anew
            self.seq = self._expected = seq
            self._on_gap()
            return
        self._expected = seq


def _versions(flat: list[str | int]) -> Mapping[str, TagVersion]:
    found: dict[str, TagVersion] = {}
    for at in range(0, len(flat), 3):
        found[str(flat[at])] = TagVersion(int(flat[at + 1]), int(flat[at + 2]))
    return found
