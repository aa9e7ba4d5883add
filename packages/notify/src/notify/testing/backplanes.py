"""What every backplane passes."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Sequence

import pytest

from ..ports import Backplane

_PATIENCE = 60.0  # seconds: a bound, not a pause


class BackplaneSuite:
    """The behaviour of a backplane. Each docstring says what to mend when the test fails."""

    @pytest.fixture
    def pair(self) -> Sequence[Backplane]:
        """Return two backplanes on one medium, as two processes have; subclasses override this."""
        raise NotImplementedError("override the fixture 'pair'")

    @pytest.fixture
    def write(self) -> Callable[[], Awaitable[None]]:
        """Return what a sender does before it rings, where the medium is the data itself."""

        async def nothing() -> None:
            pass

        return nothing

    async def heard(
        self, ear: Backplane, ring: Callable[[], Awaitable[None]]
    ) -> list[frozenset[str] | None]:
        """Listen, ring until something is heard, and return it."""
        heard: list[frozenset[str] | None] = []
        event = asyncio.Event()

        def on_ring(users: Collection[str] | None) -> None:
            heard.append(None if users is None else frozenset(users))
            event.set()

        task = asyncio.create_task(ear.listen(on_ring))
        try:
            # some ring once at the start, as they cannot know what was before
            for _ in range(20):
                await asyncio.sleep(0.01)
            heard.clear()
            event.clear()
            async with asyncio.timeout(_PATIENCE):
                # nobody tells when listening has begun: on a busy machine after the first ring
                while not event.is_set() and not task.done():
                    await ring()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(0.5):
                            await event.wait()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        return heard

    async def test_a_ring_is_heard_elsewhere(
        self, pair: Sequence[Backplane], write: Callable[[], Awaitable[None]]
    ) -> None:
        """The other process hears the users, or None for anybody."""

        async def ring() -> None:
            await write()
            await pair[0].publish({"ann", "bob"})

        heard = await self.heard(pair[1], ring)
        assert None in heard or frozenset().union(*(each or () for each in heard)) >= {"ann", "bob"}

    async def test_listening_ends_when_cancelled(self, pair: Sequence[Backplane]) -> None:
        """``listen`` runs until it is cancelled, and can be begun again."""
        for _ in range(2):
            task = asyncio.create_task(pair[0].listen(lambda _: None))
            await asyncio.sleep(0.02)
            assert not task.done()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert task.cancelled()

    async def test_ringing_without_a_listener_is_fine(self, pair: Sequence[Backplane]) -> None:
        """Nobody listening is no fault."""
        await pair[0].publish({"ann"})
        await pair[0].publish(set())
