"""Apprise against a local receiver of its own JSON."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

pytest.importorskip("apprise")
pytest.importorskip("uvicorn")

from notify import Attachment, Channel, ChannelError
from notify.adapters.apprise import AppriseChannel
from notify.testing import ChannelSuite, message
from standins.serving import Refused, StandIn, json_of, reply, serve

# its plugins import what Python 3.13 no longer has
pytestmark = pytest.mark.filterwarnings("ignore:'(imghdr|cgi)' is deprecated:DeprecationWarning")


class Sink(StandIn):
    """https://github.com/caronc/apprise/wiki/Notify_Custom_JSON"""

    async def answer(self, request: Any) -> Any:
        body = await json_of(request)
        if not {"version", "title", "message", "type"} <= body.keys():
            raise Refused(400)
        self.taken.append(body)
        return reply(200)


class TestApprise(ChannelSuite):
    @pytest.fixture
    async def served(self) -> AsyncIterator[Any]:
        async with serve(Sink()) as sink:
            yield sink

    @pytest.fixture
    def channel(self, served: Any) -> Channel:
        return AppriseChannel(url=served.url.replace("http", "json"))

    @pytest.fixture
    def unreachable(self) -> Channel:
        return AppriseChannel(url="json://127.0.0.1:9")

    async def test_the_whole_message(self, channel: Channel, served: Any) -> None:
        file = Attachment("a.txt", b"hello", "text/plain")
        await channel.send(message(type="error", attachments=[file]))
        [body] = served.taken
        assert (body["title"], body["type"]) == ("Subject", "failure")
        assert body["attachments"][0]["filename"] == "a.txt"

    async def test_the_users_own_url(self, served: Any) -> None:
        channel = AppriseChannel()
        await channel.send(message(served.url.replace("http", "json")))
        assert len(served.taken) == 1
        with pytest.raises(ChannelError, match="not one of its URLs") as caught:
            await channel.send(message("nonsense://secret-token"))
        assert caught.value.invalid_recipient
        assert "secret" not in str(caught.value)

    async def test_it_does_not_pause(self, channel: Channel, served: Any) -> None:
        """Its own mail would pause 5.5 seconds after each; the plugin's pause is set to nothing."""
        import apprise

        made = apprise.Apprise.instantiate("mailto://u:p@example.com")
        assert made.request_rate_per_sec > 0
        seen: list[float] = []
        original = apprise.Apprise.add

        def watched(self: Any, plugin: Any, *args: Any, **kwargs: Any) -> Any:
            seen.append(plugin.request_rate_per_sec)
            return original(self, plugin, *args, **kwargs)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(apprise.Apprise, "add", watched)
            await channel.send(message())
        assert seen == [0]
