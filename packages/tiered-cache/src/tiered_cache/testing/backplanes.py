"""What every backplane passes."""

import asyncio
from collections.abc import Callable

import pytest

from .._common.clock import settle
from ..ports import Backplane, Message, TagVersion


class BackplaneSuite:
    """The behaviour of a backplane. The fixture makes two that hear each other."""

    @pytest.fixture
    def pair(self) -> tuple[Backplane, Backplane]:
        """Return two backplanes on one medium; subclasses override this."""
        raise NotImplementedError("override the fixture 'pair'")

    @staticmethod
    async def until(true: Callable[[], bool]) -> None:
        """Wait until ``true()``; a minute at most, for a machine may be busy."""
        async with asyncio.timeout(60):
            while not true():  # noqa: ASYNC110  the medium may be another process
                await asyncio.sleep(0.005)

    async def test_others_hear_and_we_do_not(self, pair: tuple[Backplane, Backplane]) -> None:
        """A message arrives whole at the other one, once, and not at its sender."""
        ours, theirs = list[Message](), list[Message]()
        await pair[0].start(ours.append, lambda: None)
        await pair[1].start(theirs.append, lambda: None)
        message = Message(["k", "ü"], {"t": TagVersion(5, 3)}, ready=["r"])
        await pair[0].publish(message)
        await self.until(lambda: bool(theirs))
        await pair[1].publish(Message(["back"]))
        await self.until(lambda: bool(ours))
        assert [(list(m.keys), dict(m.tags)) for m in theirs] == [(["k", "ü"], {"t": (5, 3)})]
        assert [list(m.ready) for m in theirs] == [["r"]]
        assert [list(m.keys) for m in ours] == [["back"]]

    async def test_order_is_kept(self, pair: tuple[Backplane, Backplane]) -> None:
        """Messages of one sender arrive in their order."""
        heard: list[str] = []
        await pair[1].start(lambda message: heard.extend(message.keys), lambda: None)
        await pair[0].start(lambda _: None, lambda: None)
        for n in range(50):
            await pair[0].publish(Message([str(n)]))
        await self.until(lambda: len(heard) == 50)
        assert heard == [str(n) for n in range(50)]

    async def test_listening_is_a_sign_of_life(self, pair: tuple[Backplane, Backplane]) -> None:
        """``last_alive`` is in the past before ``start`` and moves while listening."""
        await pair[0].start(lambda _: None, lambda: None)
        first = pair[0].last_alive
        assert first > float("-inf")
        await self.until(lambda: pair[0].last_alive > first)

    async def test_starting_twice_is_starting_once(self, pair: tuple[Backplane, Backplane]) -> None:
        """A second ``start`` does not make messages arrive twice."""
        heard: list[Message] = []
        for _ in range(2):
            await pair[1].start(heard.append, lambda: None)
        await pair[0].start(lambda _: None, lambda: None)
        await pair[0].publish(Message(["a"]))
        await pair[0].publish(Message(["b"]))
        await self.until(lambda: len(heard) >= 2)
        assert len(heard) == 2

    async def test_closing_ends_listening(self, pair: tuple[Backplane, Backplane]) -> None:
        """After ``aclose`` nothing arrives any more; closing twice is fine."""
        heard: list[Message] = []
        await pair[1].start(heard.append, lambda: None)
        await pair[1].aclose()
        await pair[1].aclose()
        await pair[0].start(lambda _: None, lambda: None)
        await pair[0].publish(Message(["late"]))
        await settle()
        assert not heard
