"""Messages of the Redis backplanes: what is a gap, and what is not."""

import msgspec
import pytest

from tiered_cache.adapters.redis.messages import Receiver
from tiered_cache.ports import Message


class Ear:
    def __init__(self) -> None:
        self.heard: list[str] = []
        self.gaps = 0
        self.receiver = Receiver("me", self.hear, self.gap)

    def hear(self, message: Message) -> None:
        self.heard += message.keys

    def gap(self) -> None:
        self.gaps += 1

    def send(self, seq: int, key: str, *, node: str = "you", version: int = 1) -> None:
        body = [version, node, seq, [key], ["t", 2, 1], []]
        self.receiver.receive(msgspec.msgpack.encode(body))


def test_numbers_without_a_gap() -> None:
    ear = Ear()
    ear.receiver.begin(7)
    for seq in (8, 9, 10):
        ear.send(seq, str(seq))
    ear.send(11, "own", node="me")
    ear.send(12, "12")
    assert (ear.heard, ear.gaps) == (["8", "9", "10", "12"], 0)


def test_what_was_sent_while_we_began_is_no_gap() -> None:
    ear = Ear()
    ear.receiver.begin(7)  # subscribed before message 6, asked for the number after 7
    for seq in (6, 7, 8):
        ear.send(seq, str(seq))
    assert (ear.heard, ear.gaps) == (["6", "7", "8"], 0)


@pytest.mark.parametrize("missing", ["between", "last", "counted anew", "given again"])
def test_what_is_a_gap(missing: str) -> None:
    ear = Ear()
    ear.receiver.begin(7)
    ear.send(8, "a")
    if missing == "between":
        ear.send(10, "b")
    elif missing == "last":
        ear.receiver.expect(9)
        assert not ear.gaps, "it may be on its way"
        ear.receiver.expect(9)
    elif missing == "given again":
        ear.send(8, "b")
    else:
        ear.receiver.expect(1)
    assert ear.gaps == 1


def test_a_number_from_before_is_no_gap_only_in_the_beginning() -> None:
    ear = Ear()
    ear.receiver.begin(7)
    ear.receiver.expect(7)
    ear.send(2, "a")  # by a server that lost its data
    assert ear.gaps == 1


def test_a_new_connection_that_missed_something() -> None:
    ear = Ear()
    ear.receiver.begin(7)
    ear.receiver.begin(7)
    assert not ear.gaps
    ear.receiver.begin(9)
    assert ear.gaps == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"\xc1", b"\x93\x01\x02\x03", msgspec.msgpack.encode([1, "n", 1, [], ["t", "x", 1], []])],
)
def test_what_cannot_be_read_is_a_gap(body: bytes) -> None:
    ear = Ear()
    ear.receiver.receive(body)
    assert ear.gaps == 1
    ear.send(1, "k", version=2)
    assert ear.gaps == 2
