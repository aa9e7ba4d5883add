"""What every channel passes."""

import asyncio

import pytest

from .._common.clock import new_id
from ..errors import ChannelError
from ..ports import Channel
from .made import message


class ChannelSuite:
    """The behaviour of a channel. Each docstring says what to mend when the test fails."""

    @pytest.fixture
    def channel(self) -> Channel:
        """Return a channel to a provider that takes everything; subclasses override this."""
        raise NotImplementedError("override the fixture 'channel'")

    @pytest.fixture
    def unreachable(self) -> Channel | None:
        """Return a channel whose provider does not answer; None if there is no such thing."""
        return None

    async def test_it_sends(self, channel: Channel) -> None:
        """A plain message is taken; the id is a text or None."""
        made = await channel.send(message())
        assert made is None or made

    async def test_it_sends_at_once(self, channel: Channel) -> None:
        """Concurrent calls do not disturb each other."""
        await asyncio.gather(*(channel.send(message(key=new_id())) for _ in range(12)))

    async def test_it_has_names(self, channel: Channel) -> None:
        """``name`` is the notification channel, ``provider`` who serves it."""
        assert channel.name
        assert channel.provider

    async def test_it_can_be_closed_and_used_again(self, channel: Channel) -> None:
        """``aclose`` disconnects; a later call connects again; ``detach`` does no I/O."""
        await channel.send(message())
        await channel.aclose()
        await channel.aclose()
        channel.detach()
        await channel.send(message())

    async def test_a_silent_provider_is_retryable(self, unreachable: Channel | None) -> None:
        """What may work later is a retryable ``ChannelError``, whose text names nobody."""
        if unreachable is None:
            pytest.skip("this channel has no provider to be away")
        with pytest.raises(ChannelError) as caught:
            await unreachable.send(message("secret@example.com", subject="hush"))
        assert caught.value.retryable
        chain = [caught.value, caught.value.__cause__]
        assert not any("secret" in str(each) or "hush" in str(each) for each in chain)
