"""The suite of backplanes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection
from typing import Any

import pytest

from .._common.clock import settle
from ..ports import Backplane

_PATIENCE = 60.0  # seconds: a bound, not a pause


class BackplaneSuite:
    """The behaviour of a backplane. Each docstring says what to mend when the test fails."""

    @pytest.fixture
    def backplane(self) -> Backplane:
        """Return a backplane; subclasses override this."""
        raise NotImplementedError

    @pytest.fixture
    async def change(self, backplane: Backplane) -> AsyncIterator[Callable[[str], Any]]:
        """Give a coroutine function that changes an operation elsewhere.

        The default publishes by a twin, as another tracker would; a backplane that looks at a store
        overrides this with a write to it.
        """
        twin = backplane.twin()

        async def publish(id: str) -> None:
            await twin.publish([id])

        yield publish
        await twin.aclose()

    async def test_a_change_rings(self, backplane: Backplane, change: Any) -> None:
        """After ``listen`` has returned, a change of a wanted id must ring."""
        ears = _Ears({"x"})
        await backplane.listen(ears.ring, ears.wanted)
        await ears.quiet()
        await change("x")
        await ears.hears("x")

    async def test_publish_rings_our_own_listener(self, backplane: Backplane) -> None:
        """What this process publishes must ring here too."""
        ears = _Ears({"x"})
        await backplane.listen(ears.ring, ears.wanted)
        await ears.quiet()
        await backplane.publish(["x"])
        await ears.hears("x")

    async def test_every_change_rings_again(self, backplane: Backplane, change: Any) -> None:
        """A bell that rang must ring again for the next change."""
        ears = _Ears({"x", "y"})
        await backplane.listen(ears.ring, ears.wanted)
        for id in ("x", "y", "x"):
            await ears.quiet()
            await change(id)
            await ears.hears(id)

    async def test_a_second_listener_replaces_the_first(
        self, backplane: Backplane, change: Any
    ) -> None:
        """``listen`` again must move the bell to the new listener."""
        old, new = _Ears({"x"}), _Ears({"x"})
        await backplane.listen(old.ring, old.wanted)
        await backplane.listen(new.ring, new.wanted)
        await old.quiet()
        await new.quiet()
        await change("x")
        await new.hears("x")
        assert not old.heard

    async def test_aclose_ends_listening(self, backplane: Backplane, change: Any) -> None:
        """After ``aclose`` nothing rings; ``listen`` may come again."""
        ears = _Ears({"x"})
        await backplane.listen(ears.ring, ears.wanted)
        await ears.quiet()
        await backplane.aclose()
        await backplane.aclose()
        await change("x")
        await settle()
        assert not ears.heard
        await backplane.listen(ears.ring, ears.wanted)
        await ears.quiet()
        await change("x")
        await ears.hears("x")


class _Ears:
    def __init__(self, ids: set[str]) -> None:
        self._ids = ids
        self.heard: list[str | None] = []
        self._event = asyncio.Event()

    def ring(self, ids: Collection[str] | None) -> None:
        self.heard += [None] if ids is None else list(ids)
        self._event.set()

    def wanted(self) -> Collection[str]:
        return self._ids

    async def quiet(self) -> None:
        """Wait until what was heard of the past has ended: a bell may ring once too often."""
        while True:
            self._event.clear()
            try:
                async with asyncio.timeout(0.15):
                    await self._event.wait()
            except TimeoutError:
                self.heard.clear()
                return

    async def hears(self, id: str) -> None:
        async with asyncio.timeout(_PATIENCE):
            while id not in self.heard and None not in self.heard:
                self._event.clear()
                await self._event.wait()
