"""Every channel passes the same suite, and its provider's own rules."""

import base64
import io
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

pytest.importorskip("httpx")
pytest.importorskip("uvicorn")
pytest.importorskip("starlette")
pytest.importorskip("cryptography")

from notify import Attachment, Channel, ChannelError, ConfigurationError
from notify.adapters.console import ConsoleChannel
from notify.adapters.http.fcm import FCMChannel
from notify.adapters.http.guarded import is_public
from notify.adapters.http.mailgun import MailgunChannel
from notify.adapters.http.onesignal import OneSignalChannel
from notify.adapters.http.sendgrid import SendGridChannel
from notify.adapters.http.ses import SESChannel
from notify.adapters.http.twilio import TwilioChannel
from notify.adapters.http.webhook import WebhookChannel
from notify.adapters.http.webpush import WebPushChannel, encrypted, unbase64
from notify.settings import ChannelSettings
from notify.testing import NOW, ChannelSuite, FakeClock, message
from standins.mail import KEY, Mailgun, SendGrid
from standins.push import Firebase, OneSignal, PushService
from standins.serving import Refused, StandIn, serve
from standins.sms import Receiver, Twilio

SECRET = b"0123456789abcdef0123456789abcdef"
WHSEC = f"whsec_{base64.b64encode(SECRET).decode()}"
VAPID = base64.urlsafe_b64encode(bytes(range(1, 33))).rstrip(b"=").decode()
NOWHERE = "http://127.0.0.1:9"
UNSUBSCRIBE = "https://example.com/unsubscribe/token"


class TestConsole(ChannelSuite):
    @pytest.fixture
    def channel(self) -> Channel:
        return ConsoleChannel(stream=io.StringIO())


class OverHTTP(ChannelSuite):
    """What all HTTP providers do with answers, beside what every channel passes."""

    make: Callable[..., Any]
    bad: str = "ann"

    @pytest.fixture
    def provider(self) -> StandIn:
        raise NotImplementedError

    @pytest.fixture
    async def served(self, provider: StandIn) -> AsyncIterator[Any]:
        async with serve(provider):
            yield provider

    @pytest.fixture
    async def channel(self, served: Any) -> AsyncIterator[Channel]:
        channel = type(self).make(served, served.url)
        yield channel
        await channel.aclose()

    @pytest.fixture
    async def unreachable(self, served: Any) -> AsyncIterator[Channel]:
        channel = type(self).make(served, NOWHERE)
        yield channel
        await channel.aclose()

    def to(self, served: Any) -> str:
        return "ann@example.com"

    @pytest.fixture(autouse=True)
    def _addressed(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let the suite's own messages go to an address of this provider's kind."""
        served = request.getfixturevalue("served")

        def made(address: str | None = None, **fields: Any) -> Any:
            kept = address if address and type(self).bad == "ann" else self.to(served)
            return message(kept, **fields)

        monkeypatch.setattr("notify.testing.channels.message", made)

    async def refused(self, channel: Channel, served: Any, *script: Refused) -> ChannelError:
        served.script[:] = script
        with pytest.raises(ChannelError) as caught:
            await channel.send(message(self.to(served)))
        assert self.to(served) not in str(caught.value)
        assert caught.value.__cause__ is None, "a library's error may quote the request"
        return caught.value

    async def test_too_many_are_tried_after_the_wait(self, channel: Channel, served: Any) -> None:
        found = await self.refused(channel, served, Refused(429, {}, retry_after="7"))
        assert (found.retryable, found.retry_after) == (True, 7.0)
        found = await self.refused(channel, served, Refused(503, "<html>", retry_after="soon"))
        assert (found.retryable, found.retry_after) == (True, None)

    async def test_a_date_to_wait_for(self, channel: Channel, served: Any) -> None:
        from email.utils import formatdate

        until = formatdate(channel._clock.time() + 900, usegmt=True)  # type: ignore[attr-defined]
        found = await self.refused(channel, served, Refused(503, {}, retry_after=until))
        assert found.retry_after is not None
        assert 600 <= found.retry_after <= 901  # whatever the machine does meanwhile

    @pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
    async def test_faults_pass(self, channel: Channel, served: Any, status: int) -> None:
        found = await self.refused(channel, served, Refused(status, "oops"))
        assert (found.retryable, found.invalid_recipient) == (True, False)

    @pytest.mark.parametrize("status", [400, 413, 422])
    async def test_refusals_are_final(self, channel: Channel, served: Any, status: int) -> None:
        found = await self.refused(channel, served, Refused(status, {"hush": "ann@example.com"}))
        assert (found.retryable, found.invalid_recipient) == (False, False)

    async def test_wrong_keys_wait_for_the_right_ones(self, channel: Channel, served: Any) -> None:
        found = await self.refused(channel, served, Refused(401, {}), Refused(401, {}))
        assert (found.retryable, found.invalid_recipient) == (True, False)

    async def test_an_unpaid_account_waits_too(self, channel: Channel, served: Any) -> None:
        found = await self.refused(channel, served, Refused(402, {}))
        assert (found.retryable, found.invalid_recipient) == (True, False)

    async def test_redirects_are_not_followed(self, channel: Channel, served: Any) -> None:
        found = await self.refused(channel, served, Refused(307, "", location=f"{served.url}/x"))
        assert not found.retryable
        assert not served.script
        assert served.taken == []

    async def test_a_bad_address_is_the_recipients(self, channel: Channel, served: Any) -> None:
        bad = "not-an-address" if type(self).bad == "ann" else type(self).bad
        with pytest.raises(ChannelError) as caught:
            await channel.send(message(bad))
        assert caught.value.invalid_recipient
        assert bad not in str(caught.value) or len(bad) < 6


def _made(kind: Any, **options: Any) -> Callable[..., Any]:
    return lambda _, url: kind(base_url=url, timeout=60.0, **options)


FILE = Attachment("bill.pdf", b"%PDF \x00", "application/pdf")


class TestSendGrid(OverHTTP):
    make = staticmethod(_made(SendGridChannel, api_key=KEY, from_address="Us <us@example.com>"))

    @pytest.fixture
    def provider(self) -> StandIn:
        return SendGrid()

    async def test_the_whole_message(self, channel: Channel, served: Any) -> None:
        sent = message(
            html="<p>x</p>", attachments=[FILE], category="bills", unsubscribe_url=UNSUBSCRIBE,
            critical=True,
        )  # fmt: skip
        assert await channel.send(sent) == "sg1"
        [body] = served.taken
        assert body["from"] == {"email": "us@example.com", "name": "Us"}
        assert body["headers"] == {
            "Message-ID": f"<{sent.key}@example.com>",
            "Auto-Submitted": "auto-generated",
            "Importance": "high",
            "List-Unsubscribe": f"<{UNSUBSCRIBE}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        }
        assert base64.b64decode(body["attachments"][0]["content"]) == FILE.content
        assert body["personalizations"][0]["custom_args"] == {"delivery_id": sent.key}
        assert body["categories"] == ["bills"]

    async def test_their_word_on_an_address(self, channel: Channel, served: Any) -> None:
        field = "personalizations.0.to.0.email"
        said = Refused(400, {"errors": [{"message": "bad", "field": field}]})
        assert (await self.refused(channel, served, said)).invalid_recipient


class TestMailgun(OverHTTP):
    make = staticmethod(
        _made(
            MailgunChannel, api_key="key-1", domain="mg.example.com",
            from_address="Us <us@example.com>",
        )
    )  # fmt: skip

    @pytest.fixture
    def provider(self) -> StandIn:
        return Mailgun()

    async def test_the_whole_message(self, channel: Channel, served: Any) -> None:
        sent = message(
            html="<p>x</p>", attachments=[FILE], category="bills", unsubscribe_url=UNSUBSCRIBE
        )
        assert await channel.send(sent) == "2026.1@mg.example.com"
        [form] = served.taken
        assert form["to"] == "Ann <ann@example.com>"
        assert form["attachments"] == [("bill.pdf", FILE.content)]
        assert form["h:List-Unsubscribe"] == f"<{UNSUBSCRIBE}>"
        assert form["h:List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert form["h:Message-Id"] == f"<{sent.key}@example.com>"
        assert (form["o:tag"], form["v:delivery_id"]) == ("bills", sent.key)
        assert "h:Importance" not in form

    async def test_what_is_urgent_and_of_a_category_beyond_ascii(
        self, channel: Channel, served: Any
    ) -> None:
        await channel.send(message(category="Mahnungen für Ü", critical=True, text=""))
        [form] = served.taken
        assert "o:tag" not in form
        assert form["h:Importance"] == "high"

    @pytest.mark.parametrize("quote", ["'", ""])
    async def test_their_word_on_an_address(
        self, channel: Channel, served: Any, quote: str
    ) -> None:
        words = f"{quote}to{quote} parameter is not a valid address. please check documentation"
        assert (
            await self.refused(channel, served, Refused(400, {"message": words}))
        ).invalid_recipient
        words = "from parameter is not a valid address. please check documentation"
        found = await self.refused(channel, served, Refused(400, {"message": words}))
        assert not found.invalid_recipient

    async def test_a_domain_of_the_other_region_waits(self, channel: Channel, served: Any) -> None:
        found = await self.refused(channel, served, Refused(404, {"message": "Domain not found"}))
        assert found.retryable

    @pytest.mark.parametrize("domain", ["mg.example.com/../x", "mg.example.com?x", "a b", "."])
    def test_a_domain_that_is_none(self, domain: str) -> None:
        with pytest.raises(ConfigurationError, match="domain"):
            MailgunChannel("key", domain=domain, from_address="us@example.com")


class TestTwilio(OverHTTP):
    make = staticmethod(
        _made(TwilioChannel, account_sid="AC1", api_key="token", from_number="+15005550006")
    )
    bad = "+0"

    @pytest.fixture
    def provider(self) -> StandIn:
        return Twilio()

    def to(self, served: Any) -> str:
        return "+491701234567"

    async def test_a_long_text_is_cut(self, channel: Channel, served: Any) -> None:
        sid = await channel.send(message("+491701234567", text="ü" * 5000))
        assert sid is not None
        assert sid.startswith("SM")
        assert len(served.taken[0]["Body"]) == 1600
        assert served.taken[0]["From"] == "+15005550006"

    async def test_stop_is_the_recipients(self, channel: Channel, served: Any) -> None:
        with pytest.raises(ChannelError, match="21610") as caught:
            await channel.send(message("+15005550009"))
        assert caught.value.invalid_recipient

    async def test_a_full_queue_passes(self, channel: Channel, served: Any) -> None:
        found = await self.refused(channel, served, Refused(400, {"code": 21611}))
        assert found.retryable


class TestOneSignal(OverHTTP):
    make = staticmethod(_made(OneSignalChannel, app_id="app-1", api_key="os-key"))
    bad = "malformed"

    @pytest.fixture
    def provider(self) -> StandIn:
        return OneSignal()

    def to(self, served: Any) -> str:
        return "user-1"

    async def test_the_same_message_is_one(self, channel: Channel, served: Any) -> None:
        sent = message("user-1", action_url="https://example.com/x", critical=True)
        first = await channel.send(sent)
        assert first == await channel.send(sent)
        [body] = served.taken
        assert body["include_aliases"] == {"external_id": ["user-1"]}
        assert (body["url"], body["priority"]) == ("https://example.com/x", 10)

    async def test_nobody_subscribed(self, channel: Channel, served: Any) -> None:
        with pytest.raises(ChannelError, match="no_subscribers") as caught:
            await channel.send(message("nobody"))
        assert caught.value.invalid_recipient


def _firebase(provider: Firebase, url: str) -> FCMChannel:
    given = {**provider.credentials(), "token_uri": f"{provider.url}/token"}
    return FCMChannel(credentials=given, base_url=url, timeout=60.0, clock=FakeClock(NOW))


class SmallPayloads(OverHTTP):
    """What can be no longer than 4,096 bytes is cut where it says least."""

    def shown(self, taken: Any) -> tuple[str, str, str | None]:
        """Return title, text and link of what the provider took."""
        raise NotImplementedError

    @pytest.mark.parametrize("text", ["x", "ü" * 5000, '"\n' * 5000, "\x01" * 5000])
    @pytest.mark.parametrize("path", ["/x", "/" + "y" * 1999, "/" + "ü" * 1999])
    async def test_the_longest_fit(
        self, channel: Channel, served: Any, text: str, path: str
    ) -> None:
        long = {"subject": "😀" * 200, "category": "ü" * 100, "notification_id": "ü" * 200}
        await channel.send(message(self.to(served), text=text, action_url=path, **long))
        title, shown, link = self.shown(served.taken[0])
        assert title == long["subject"]
        assert len(shown) > 0
        assert link == (None if "ü" in path else path)


class TestFirebase(SmallPayloads):
    make = staticmethod(_firebase)
    bad = "short"

    @pytest.fixture
    def provider(self) -> StandIn:
        return Firebase(NOW)

    def to(self, served: Any) -> str:
        return "device-token"

    async def warm(self, channel: Channel) -> None:
        await channel.send(message("device-token"))

    async def refused(self, channel: Channel, served: Any, *script: Refused) -> ChannelError:
        await self.warm(channel)  # the script is for the message, not for the access token
        served.taken.clear()
        return await super().refused(channel, served, *script)

    async def test_wrong_keys_wait_for_the_right_ones(self, channel: Channel, served: Any) -> None:
        await self.warm(channel)
        served.valid.clear()
        assert await channel.send(message("device-token"))  # with a fresh token
        assert served.tokens == 2
        served.script[:] = [Refused(401, {}), Refused(400, {"error": "invalid_grant"})]
        with pytest.raises(ChannelError, match="no access token") as caught:
            await channel.send(message("device-token"))
        assert caught.value.retryable

    async def test_the_token_is_kept_until_it_ends(self, channel: Channel, served: Any) -> None:
        import asyncio

        await asyncio.gather(*(self.warm(channel) for _ in range(8)))
        assert served.tokens == 1
        clock: Any = channel._clock  # type: ignore[attr-defined]
        await clock.advance(3500)
        served.now = clock.time()
        await self.warm(channel)
        assert served.tokens == 2

    async def test_a_device_that_is_gone(self, channel: Channel, served: Any) -> None:
        with pytest.raises(ChannelError, match="UNREGISTERED") as caught:
            await channel.send(message("gone"))
        assert caught.value.invalid_recipient

    async def test_their_word_on_a_token_that_is_none(self, channel: Channel, served: Any) -> None:
        # what they answer to a mutilated token names no field
        error = served.error(400, "INVALID_ARGUMENT", "").body["error"]
        error["message"] = "The registration token is not a valid FCM registration token"
        found = await self.refused(channel, served, Refused(400, {"error": error}))
        assert (found.retryable, found.invalid_recipient) == (False, True)
        error["message"] = "Request contains an invalid argument."
        found = await self.refused(channel, served, Refused(400, {"error": error}))
        assert not found.invalid_recipient

    def shown(self, taken: Any) -> tuple[str, str, str | None]:
        sent = taken["message"]
        return *sent["notification"].values(), sent["data"].get("actionUrl")

    async def test_a_quota_without_a_time_waits_a_minute(
        self, channel: Channel, served: Any
    ) -> None:
        said = served.error(429, "QUOTA_EXCEEDED", "")
        found = await self.refused(channel, served, said)
        assert (found.retryable, found.retry_after) == (True, 60.0)

    async def test_no_phone_is_waited_for_longer_than_four_weeks(
        self, channel: Channel, served: Any
    ) -> None:
        await channel.send(message("device-token", expires_at=NOW + 90 * 86_400))
        assert served.taken[0]["message"]["android"]["ttl"] == "2419200s"

    async def test_expiry_and_urgency(self, channel: Channel, served: Any) -> None:
        await channel.send(message("device-token", critical=True, expires_at=NOW + 60))
        sent = served.taken[0]["message"]
        assert sent["android"]["ttl"] == "60s"
        assert sent["android"]["priority"] == "HIGH"
        assert sent["apns"]["headers"]["apns-expiration"] == str(int(NOW + 60))


def _webpush(provider: PushService, url: str) -> WebPushChannel:
    provider.reached = url  # type: ignore[attr-defined]
    return WebPushChannel(
        VAPID, subject="mailto:ops@example.com", allow_private=True, timeout=60.0,
        clock=FakeClock(NOW),
    )  # fmt: skip


class TestWebPush(SmallPayloads):
    make = staticmethod(_webpush)
    bad = "{}"

    @pytest.fixture
    def provider(self) -> StandIn:
        return PushService(NOW)

    def to(self, served: Any) -> str:
        made = json.loads(served.subscription())
        if served.reached == NOWHERE:
            made["endpoint"] = f"{NOWHERE}/push/1"
        return json.dumps(made)

    async def test_the_browser_reads_it(self, channel: Channel, served: Any) -> None:
        sent = message(served.subscription(), text="ü" * 5000, notification_id="n1")
        assert await channel.send(sent) == f"{served.url}/message/1"
        [found] = served.taken
        assert (found["id"], found["title"]) == ("n1", "Subject")
        assert found["message"].endswith("…")

    def shown(self, taken: Any) -> tuple[str, str, str | None]:
        return taken["title"], taken["message"], taken.get("actionUrl")

    @pytest.mark.parametrize(
        ("endpoint", "origin"),
        [
            ("https://Push.Example.com:443/x?y", "https://push.example.com"),
            ("https://push.example.com:8443/", "https://push.example.com:8443"),
            ("https://[::1]:443/x", "https://[::1]"),
            ("http://a.example:80/", "http://a.example"),
        ],
    )
    def test_the_audience_is_an_origin_as_it_is_written(
        self, channel: Channel, endpoint: str, origin: str
    ) -> None:
        made: Any = channel
        token = made._authorization(endpoint).split("t=")[1].split(",")[0]
        assert json.loads(unbase64(token.split(".")[1]))["aud"] == origin

    async def test_what_is_gone_is_pruned(self, channel: Channel, served: Any) -> None:
        with pytest.raises(ChannelError, match="410") as caught:
            await channel.send(message(served.subscription("/push/gone")))
        assert caught.value.invalid_recipient
        found = await self.refused(channel, served, Refused(404))
        assert found.invalid_recipient

    async def test_the_own_network_is_not_reached(self, served: Any) -> None:
        async with closing(WebPushChannel(VAPID, subject="mailto:o@example.com")) as channel:
            for path in (served.subscription(), served.subscription().replace("http:", "https:")):
                with pytest.raises(ChannelError) as caught:
                    await channel.send(message(path))
                assert caught.value.invalid_recipient
        assert served.seen == 0

    def test_the_example_of_the_standard(self) -> None:
        """RFC 8291, section 5, with its own keys and salt."""
        public = unbase64(
            "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
        )
        auth = unbase64("BTBZMqHH6r4Tts7J_aSIgg")
        private = int.from_bytes(unbase64("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"))
        given = iter([(private - 1).to_bytes(40), unbase64("DGv6ra1nlYgDCS1FRnbzlw")])
        made = encrypted(
            b"When I grow up, I want to be a watermelon", public, auth, lambda _: next(given)
        )
        assert base64.urlsafe_b64encode(made).rstrip(b"=").decode() == (
            "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml"
            "mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT"
            "pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
        )


def _webhook(provider: Receiver, url: str) -> WebhookChannel:
    return WebhookChannel(
        [WHSEC], base_url=f"{url}/in", allow_private=True, timeout=60.0, clock=FakeClock(NOW)
    )


class TestWebhook(OverHTTP):
    make = staticmethod(_webhook)

    @pytest.fixture
    def provider(self) -> StandIn:
        return Receiver(SECRET, NOW)

    async def test_a_bad_address_is_the_recipients(self, channel: Channel, served: Any) -> None:
        async with closing(WebhookChannel(WHSEC)) as guarded:
            for bad in ("not a url", "ftp://example.com", "https://u:p@example.com/", "https://"):
                with pytest.raises(ChannelError) as caught:
                    await guarded.send(message(bad))
                assert caught.value.invalid_recipient, bad
        found = await self.refused(channel, served, Refused(410))
        assert found.invalid_recipient

    async def test_the_signature_and_the_id(self, channel: Channel, served: Any) -> None:
        sent = message(notification_id="n1", metadata={"a": 1})
        assert await channel.send(sent) == sent.key
        await channel.send(sent)  # the receiver drops it
        assert served.ids == [sent.key]
        assert served.taken[0]["data"]["metadata"] == {"a": 1}

    async def test_two_secrets_both_sign(self, served: Any) -> None:
        other = f"whsec_{base64.b64encode(b'x' * 32).decode()}"
        made = WebhookChannel(
            [other, WHSEC], base_url=served.url, allow_private=True, clock=FakeClock(NOW)
        )
        async with closing(made) as channel:
            await channel.send(message())
        assert len(served.taken) == 1

    @pytest.mark.parametrize(
        "address",
        [
            "https://localhost/", "https://127.0.0.1/", "https://10.0.0.1/", "https://[::1]/",
            "https://169.254.169.254/latest/meta-data", "https://[::ffff:127.0.0.1]/",
            "https://0.0.0.0/", "https://2130706433/", "http://93.184.216.34/",
        ],
    )  # fmt: skip
    async def test_the_own_network_is_not_reached(self, address: str) -> None:
        async with closing(WebhookChannel(WHSEC)) as channel:
            with pytest.raises(ChannelError) as caught:
                await channel.send(message(address))
        assert caught.value.invalid_recipient


def closing(channel: Any) -> Any:
    import contextlib

    @contextlib.asynccontextmanager
    async def made() -> Any:
        try:
            yield channel
        finally:
            await channel.aclose()

    return made()


ME = {"from_address": "a@b.example"}
GIVEN: dict[type[Channel], dict[str, Any]] = {
    SendGridChannel: {"api_key": "k", **ME},
    MailgunChannel: {"api_key": "k", "domain": "d", **ME},
    TwilioChannel: {"account_sid": "AC1", "api_key": "k", "from_number": "+1"},
    OneSignalChannel: {"app_id": "a", "api_key": "k"},
    WebPushChannel: {"api_key": VAPID, "subject": "mailto:o@b.example"},
    WebhookChannel: {"api_key": WHSEC},
    SESChannel: {"region": "eu-west-1", **ME},
}
NEEDED = [(kind, name) for kind, given in GIVEN.items() for name in given if name != "from_number"]


@pytest.mark.parametrize("bad", [None, 5, ""])
@pytest.mark.parametrize(("kind", "name"), NEEDED)
def test_a_variable_that_is_not_set(kind: Any, name: str, bad: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        kind(**{**GIVEN[kind], name: bad})


@pytest.mark.parametrize("bad", ["5", None, 0, float("nan"), 601])
@pytest.mark.parametrize("kind", GIVEN)
def test_a_timeout_that_is_none(kind: Any, bad: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"timeout.*{bad!r}"):
        kind(**GIVEN[kind], timeout=bad)


@pytest.mark.parametrize(
    ("kind", "known"),
    [(SendGridChannel, "ip_pool, sandbox, timeout"), (WebhookChannel, "allow_private, timeout")],
)
def test_an_unknown_option_is_answered_with_those_there_are(kind: Any, known: str) -> None:
    section = ChannelSettings(provider="it", api_key="k", options={"sandbx": True}, **ME)
    with pytest.raises(ConfigurationError, match=f"no option 'sandbx'; there are: {known}$"):
        kind.from_settings(section, "email")


def test_which_addresses_are_public() -> None:
    assert is_public("93.184.216.34")
    assert is_public("2606:2800:220:1:248:1893:25c8:1946")
    for each in ("127.0.0.1", "::1", "fe80::1%eth0", "::ffff:10.1.1.1", "224.0.0.1", "100.64.0.1"):
        assert not is_public(each), each
