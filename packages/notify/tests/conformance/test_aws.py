"""Amazon SES and SNS against moto's server, with real signatures."""

import base64
import json
from collections.abc import AsyncIterator, Iterator
from email import message_from_bytes, policy
from typing import Any

import pytest

pytest.importorskip("httpx")
pytest.importorskip("botocore")
pytest.importorskip("moto.server")

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.server import ThreadedMotoServer
from moto.ses.models import ses_backends
from moto.sns.models import sns_backends

from notify import Attachment, Channel, ChannelError
from notify.adapters.http.aws import AWSChannel
from notify.adapters.http.ses import SESChannel
from notify.adapters.http.sns import SNSChannel
from notify.testing import ChannelSuite, message
from standins.serving import Refused, StandIn, reply, serve

KEYS = {"region": "eu-central-1", "access_key_id": "AKIA1", "secret_access_key": "secret"}
NUMBER = "+491701234567"
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    # no boto3 here: the backend is in this process
    ses_backends[DEFAULT_ACCOUNT_ID]["eu-central-1"].verify_domain("example.com")
    yield f"http://127.0.0.1:{port}"
    server.stop()


def ses(url: str) -> SESChannel:
    return SESChannel(from_address="Us <us@example.com>", base_url=url, timeout=60.0, **KEYS)


def sns(url: str) -> SNSChannel:
    return SNSChannel(sender_id="US", base_url=url, timeout=60.0, **KEYS)


class TestSES(ChannelSuite):
    @pytest.fixture
    async def channel(self, moto: str) -> AsyncIterator[Channel]:
        channel = ses(moto)
        yield channel
        await channel.aclose()

    @pytest.fixture
    async def unreachable(self) -> AsyncIterator[Channel]:
        channel = ses(NOWHERE)
        yield channel
        await channel.aclose()

    async def test_the_whole_mail(self, channel: Channel) -> None:
        file = Attachment("bill.pdf", b"%PDF \x00", "application/pdf")
        url = "https://example.com/u/token"
        sent = message(html="<p>x</p>", attachments=[file], unsubscribe_url=url)
        assert await channel.send(sent)
        raw = ses_backends[DEFAULT_ACCOUNT_ID]["eu-central-1"].sent_messages[-1]
        mail = message_from_bytes(raw.raw_data.encode(), policy=policy.default)
        assert mail["List-Unsubscribe"] == f"<{url}>"
        assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert mail["Message-ID"] == f"<{sent.key}@example.com>"
        [found] = mail.iter_attachments()
        assert found.get_content() == file.content


class Taken(StandIn):
    """Takes what is 7-bit, as the API wants names, addresses and raw messages."""

    async def answer(self, request: Any) -> Any:
        body = json.loads(await request.body())
        raw = base64.b64decode(body["Content"]["Raw"]["Data"])
        if not (body["FromEmailAddress"].isascii() and raw.isascii()):
            raise Refused(400, {"__type": "BadRequestException", "message": "Illegal address"})
        self.taken.append(message_from_bytes(raw, policy=policy.default))
        return reply(200, {"MessageId": "m1"})


async def test_a_name_and_a_text_beyond_ascii() -> None:
    async with serve(Taken()) as served:
        channel = SESChannel(from_address="Müller <us@example.com>", base_url=served.url, **KEYS)
        assert await channel.send(message(text="Grüße\n", html="<p>Grüße</p>")) == "m1"
        await channel.aclose()
    [mail] = served.taken
    assert mail["From"] == "Müller <us@example.com>"
    text = mail.get_body("plain").get_content()
    assert text.replace("\r\n", "\n") == "Grüße\n"  # by how it is encoded, which others may set


class TestSNS(ChannelSuite):
    @pytest.fixture(autouse=True)
    def _numbers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(
            "notify.testing.channels.message",
            lambda address=NUMBER, **fields: message(NUMBER, **fields),
        )

    @pytest.fixture
    async def channel(self, moto: str) -> AsyncIterator[Channel]:
        channel = sns(moto)
        yield channel
        await channel.aclose()

    @pytest.fixture
    async def unreachable(self) -> AsyncIterator[Channel]:
        channel = sns(NOWHERE)
        yield channel
        await channel.aclose()

    async def test_the_text_message(self, channel: Channel) -> None:
        found = await channel.send(message(NUMBER, text="ü" * 3000))
        numbers = sns_backends[DEFAULT_ACCOUNT_ID]["eu-central-1"].sms_messages
        number, text, *_ = numbers[found]
        assert number == NUMBER
        assert len(text.encode()) <= 1600


class Signed(StandIn):
    """Looks for a signature of Version 4 over what it must cover, then refuses by script."""

    async def answer(self, request: Any) -> Any:
        raise Refused(400)


@pytest.mark.parametrize(
    ("make", "body", "expected"),
    [
        (ses, {"__type": "TooManyRequestsException"}, (True, False)),
        (ses, {"__type": "MessageRejected"}, (False, False)),
        (ses, {"__type": "BadRequestException", "message": "Illegal address"}, (False, True)),
        (sns, "<Error><Code>Throttling</Code></Error>", (True, False)),
        (sns, "<Error><Code>OptedOut</Code></Error>", (False, True)),
        (
            sns,
            (
                "<Error><Code>InvalidParameter</Code><Message>Invalid parameter: PhoneNumber "
                "Reason: +12 is not valid to publish to</Message></Error>"
            ),
            (False, True),
        ),
    ],
)
async def test_their_codes(make: Any, body: Any, expected: tuple[bool, bool]) -> None:
    async with serve(Signed()) as served:
        served.script.append(Refused(400, body if isinstance(body, str) else json.dumps(body)))
        channel = make(served.url)
        with pytest.raises(ChannelError) as caught:
            await channel.send(message(NUMBER if make is sns else "ann@example.com"))
        await channel.aclose()
    found = caught.value
    assert (found.retryable, found.invalid_recipient) == expected


def test_half_of_the_keys_is_refused() -> None:
    with pytest.raises(ValueError, match="go together"):
        SESChannel(from_address="a@b.c", region="eu-central-1", access_key_id="x")
    assert issubclass(SESChannel, AWSChannel)
    assert SESChannel(from_address="a@b.c", region="eu-west-1").base_url == (
        "https://email.eu-west-1.amazonaws.com"
    )
