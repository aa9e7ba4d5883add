"""What providers report: signatures, deliveries, the suppression list."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest

pytest.importorskip("starlette")
pytest.importorskip("cryptography")
pytest.importorskip("httpx")

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from notify import BackendError, Notification
from notify.adapters.events import SNSReporter
from notify.asgi.public import PublicRoutes, reporters_of
from notify.testing import NOW, Outbox

SENDGRID = ec.generate_private_key(ec.SECP256R1())
AMAZON = rsa.generate_private_key(public_exponent=65537, key_size=2048)
TOPIC = "arn:aws:sns:eu-central-1:1:ses"
CERT = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-1.pem"
PUBLIC = base64.b64encode(
    SENDGRID.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
).decode()
EVENTS = {
    "url": "https://app.example/notify", "sendgrid_key": PUBLIC, "mailgun_key": "mg",
    "twilio_token": "tw", "sns_topics": [TOPIC],
}  # fmt: skip
ADDRESS = "ann@email.example.com"


def certificate() -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.fromtimestamp(NOW, UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(AMAZON.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(AMAZON, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


class World:
    def __init__(self, outbox: Outbox, client) -> None:
        self.outbox, self.client = outbox, client

    async def sent(self, provider: str, provider_id: str, channel: str = "email") -> str:
        """Send a message through a provider that gives it this id."""
        fake = self.outbox.channels[channel]
        fake.provider = provider
        fake.script.append(provider_id)
        made = await self.outbox.service.send(
            Notification(title="t", user_id="ann", channels=[channel])
        )
        await self.outbox.deliver()
        return made.id

    async def state(self, notification_id: str):
        [found] = await self.outbox.service.deliveries(notification_id)
        return str(found.status), found.reason

    async def listed(self, channel: str = "email", address: str = ADDRESS):
        return await self.outbox.service.suppression(channel, address)


@pytest.fixture
async def world():
    outbox, asked = Outbox(events=EVENTS), []

    async def fetch(url: str) -> bytes:
        asked.append(url)
        return certificate()

    async with outbox.service:
        reporters = reporters_of(outbox.service.settings.events)
        reporters["sns"] = SNSReporter([TOPIC], fetch=fetch)
        from starlette.applications import Starlette

        app = Starlette(routes=PublicRoutes(outbox.service, reporters).routes())
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://inside") as client:
            made = World(outbox, client)
            made.asked = asked
            yield made


def sendgrid(events, at: float = NOW, key=SENDGRID) -> dict:
    body, stamp = json.dumps(events).encode(), str(int(at))
    signature = key.sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    return {
        "content": body,
        "headers": {
            "X-Twilio-Email-Event-Webhook-Timestamp": stamp,
            "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
        },
    }


async def test_sendgrid_bounce(world) -> None:
    note = await world.sent("sendgrid", "abc")
    event = {
        "event": "bounce", "type": "bounce", "status": "5.1.1", "email": ADDRESS,
        "sg_message_id": "abc.filter0001.1-0", "reason": f"550 no such user {ADDRESS}",
    }  # fmt: skip
    found = await world.client.post("/events/sendgrid", **sendgrid([event, {"event": "open"}]))
    assert found.json() == {"reports": 1, "known": 1}
    assert await world.state(note) == ("invalid", "bounced: sendgrid 5.1.1")
    assert await world.listed() == "bounced: sendgrid 5.1.1"
    [explained] = await world.outbox.service.explain(note)
    assert "bounced" in explained.steps[-1]
    assert ADDRESS not in str(explained)


@pytest.mark.parametrize(
    ("event", "state", "listed"),
    [
        ({"event": "bounce", "type": "blocked"}, "dead", False),
        ({"event": "dropped", "reason": "Bounced Address"}, "invalid", True),
        ({"event": "dropped", "reason": "Spam Content"}, "dead", False),
        ({"event": "spamreport"}, "delivered", True),
        ({"event": "unsubscribe"}, "delivered", True),
        ({"event": "delivered"}, "delivered", False),
    ],
)
async def test_sendgrid_kinds(world, event, state, listed) -> None:
    note = await world.sent("sendgrid", "abc")
    event |= {"email": ADDRESS, "sg_message_id": "abc.x"}
    await world.client.post("/events/sendgrid", **sendgrid([event]))
    assert (await world.state(note))[0] == state
    assert (await world.listed() is not None) is listed


async def test_sendgrid_must_have_signed(world) -> None:
    event = {"event": "spamreport", "email": ADDRESS, "sg_message_id": "abc"}
    good = sendgrid([event])
    stranger = ec.generate_private_key(ec.SECP256R1())
    changed = {**good, "content": good["content"].replace(b"ann", b"bob")}
    stale = {**good["headers"], "X-Twilio-Email-Event-Webhook-Timestamp": str(int(NOW) + 1)}
    for wrong in (
        sendgrid([event], key=stranger), changed, {"content": good["content"]},
        {**good, "headers": stale}, sendgrid([event], at=NOW - 4000), sendgrid("x"),
        sendgrid([event], at=NOW + 400),
    ):  # fmt: skip
        assert (await world.client.post("/events/sendgrid", **wrong)).status_code == 403
    assert await world.listed() is None


def mailgun(event, at: float = NOW, key: str = "mg", token: str = "t1") -> dict:
    stamp = str(int(at))
    made = hmac.new(key.encode(), f"{stamp}{token}".encode(), hashlib.sha256).hexdigest()
    signature = {"timestamp": stamp, "token": token, "signature": made}
    return {"json": {"signature": signature, "event-data": event}}


def failed(severity: str) -> dict:
    return {
        "event": "failed", "severity": severity, "recipient": ADDRESS,
        "message": {"headers": {"message-id": "k@mg.example.com"}},
        "delivery-status": {"code": 550, "message": f"no {ADDRESS}"},
    }  # fmt: skip


async def test_mailgun(world) -> None:
    note = await world.sent("mailgun", "k@mg.example.com")
    found = await world.client.post("/events/mailgun", **mailgun(failed("temporary")))
    assert found.json() == {"reports": 0, "known": 0}
    assert (await world.state(note))[0] == "delivered"
    await world.client.post("/events/mailgun", **mailgun(failed("permanent"), token="t2"))
    assert await world.state(note) == ("invalid", "bounced: mailgun 550")
    assert await world.listed() == "bounced: mailgun 550"


async def test_mailgun_must_have_signed_and_each_token_counts_once(world) -> None:
    complaint = {"event": "complained", "recipient": ADDRESS}
    for wrong in (
        mailgun(complaint, key="other"), mailgun(complaint, at=NOW - 4000), {"json": {}},
        {"json": {"signature": "x", "event-data": {}}}, {"content": b"\xff"},
    ):  # fmt: skip
        assert (await world.client.post("/events/mailgun", **wrong)).status_code == 403
    assert await world.listed() is None
    await world.client.post("/events/mailgun", **mailgun(complaint))
    assert await world.listed() == "complained: mailgun complained"
    await world.outbox.service.unsuppress("email", ADDRESS)
    again = await world.client.post("/events/mailgun", **mailgun(complaint))
    assert again.status_code == 200
    assert await world.listed() is None, "a report played again changed something"


async def test_what_the_store_did_not_take_is_taken_when_mailgun_sends_it_again(
    world, monkeypatch
) -> None:
    sent = mailgun({"event": "complained", "recipient": ADDRESS})

    async def away(*_):
        raise BackendError("away", retryable=True)

    with monkeypatch.context() as patched:
        patched.setattr(world.outbox.service.store, "suppress", away)
        assert (await world.client.post("/events/mailgun", **sent)).status_code == 503
    assert await world.listed() is None
    assert (await world.client.post("/events/mailgun", **sent)).status_code == 200
    assert await world.listed() == "complained: mailgun complained"


def twilio(form: dict, token: str = "tw", url: str = "https://app.example/notify") -> dict:
    text = "".join(f"{name}{form[name]}" for name in sorted(form))
    signed = f"{url}/events/twilio{text}".encode()
    made = base64.b64encode(hmac.new(token.encode(), signed, hashlib.sha1).digest()).decode()
    kind = "application/x-www-form-urlencoded"
    return {
        "content": urlencode(form),
        "headers": {"X-Twilio-Signature": made, "Content-Type": kind},
    }


NUMBER = "+491701234567"


async def test_twilio(world) -> None:
    note = await world.sent("twilio", "SM1", "sms")
    form = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": NUMBER, "Empty": ""}
    found = await world.client.post("/events/twilio", **twilio(form))
    assert found.json() == {"reports": 1, "known": 1}
    form |= {"MessageStatus": "undelivered", "ErrorCode": "30006"}
    await world.client.post("/events/twilio", **twilio(form))
    assert await world.state(note) == ("invalid", "bounced: twilio 30006")
    assert await world.listed("sms", NUMBER) == "bounced: twilio 30006"


async def test_twilio_stop_and_start(world) -> None:
    said = {"From": NUMBER, "Body": "STOP", "OptOutType": "STOP"}
    await world.client.post("/events/twilio", **twilio(said))
    assert await world.listed("sms", NUMBER) == "opted_out: twilio STOP"
    said["OptOutType"] = "START"
    await world.client.post("/events/twilio", **twilio(said))
    assert await world.listed("sms", NUMBER) is None


async def test_twilio_must_have_signed(world) -> None:
    said = {"From": NUMBER, "OptOutType": "STOP"}
    good = twilio(said)
    for wrong in (
        twilio(said, token="x"), twilio(said, url="http://inside"), {"content": good["content"]},
        {**good, "content": good["content"] + b"&x=1" if isinstance(good["content"], bytes)
         else good["content"] + "&x=1"},
    ):  # fmt: skip
        assert (await world.client.post("/events/twilio", **wrong)).status_code == 403
    assert await world.listed("sms", NUMBER) is None


def amazon(event, *, kind: str = "Notification", key=AMAZON, version: str = "2", **more) -> dict:
    at = datetime.fromtimestamp(NOW, UTC).isoformat(timespec="milliseconds")
    given = {
        "Type": kind, "MessageId": "m", "TopicArn": TOPIC, "Message": json.dumps(event),
        "Timestamp": at.replace("+00:00", "Z"), "SignatureVersion": version,
        "SigningCertURL": CERT, **more,
    }  # fmt: skip
    names = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    if kind != "Notification":
        names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    text = "".join(f"{name}\n{given[name]}\n" for name in names if name in given).encode()
    digest = hashes.SHA1() if version == "1" else hashes.SHA256()
    given["Signature"] = base64.b64encode(key.sign(text, padding.PKCS1v15(), digest)).decode()
    return {"content": json.dumps(given), "headers": {"Content-Type": "text/plain"}}


def bounce(kind: str = "Permanent") -> dict:
    people = [{"emailAddress": ADDRESS, "status": "5.1.1"}]
    return {
        "eventType": "Bounce", "mail": {"messageId": "ses-1"},
        "bounce": {"bounceType": kind, "bounceSubType": "General", "bouncedRecipients": people},
    }  # fmt: skip


@pytest.mark.parametrize("version", ["1", "2"])
async def test_amazon(world, version) -> None:
    note = await world.sent("ses", "ses-1")
    await world.client.post("/events/sns", **amazon(bounce("Transient"), version=version))
    assert (await world.state(note))[0] == "dead"
    assert await world.listed() is None
    await world.client.post("/events/sns", **amazon(bounce(), version=version))
    assert await world.state(note) == ("invalid", "bounced: ses 5.1.1")
    assert await world.listed() == "bounced: ses 5.1.1"
    assert world.asked == [CERT], "the certificate is got once"


@pytest.mark.parametrize("detail", [{}, {"recipients": None}, {"recipients": [5, None]}])
async def test_amazon_delivery_to_nobody(world, detail) -> None:
    event = {"eventType": "Delivery", "mail": {"messageId": "ses-1"}, "delivery": detail}
    found = await world.client.post("/events/sns", **amazon(event))
    assert (found.status_code, found.json()) == (200, {"reports": 0, "known": 0})


async def test_amazon_must_have_signed(world) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    old = datetime.fromtimestamp(NOW - 4000, UTC).isoformat()
    for wrong in (
        amazon(bounce(), key=stranger), amazon(bounce(), Timestamp=old),
        amazon(bounce(), TopicArn="arn:aws:sns:eu-central-1:2:other"),
        amazon(bounce(), version="3"), {"content": "{}"}, {"content": b"\xff"},
        *(
            amazon(bounce(), SigningCertURL=url)
            for url in (
                "https://evil.example/x.pem", "http://sns.eu-central-1.amazonaws.com/x.pem",
                "https://sns.eu-central-1.amazonaws.com.evil.example/x.pem",
                "https://sns.eu-central-1.amazonaws.com@evil.example/x.pem",
                "https://sns.eu-central-1.amazonaws.com/x.txt",
                "https://sns.eu-central-1.amazonaws.com:8443/x.pem", "https://[", "",
            )
        ),
    ):  # fmt: skip
        found = await world.client.post("/events/sns", **wrong)
        assert found.status_code == 403, wrong
    assert all(url == CERT for url in world.asked)
    assert await world.listed() is None


async def test_amazon_subscriptions_are_confirmed(world) -> None:
    url = "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&Token=t"
    made = amazon("hello", kind="SubscriptionConfirmation", SubscribeURL=url, Token="t")
    assert (await world.client.post("/events/sns", **made)).status_code == 200
    assert world.asked[-1] == url
    evil = amazon(
        "x", kind="SubscriptionConfirmation", SubscribeURL="https://evil.example/", Token="t"
    )
    assert (await world.client.post("/events/sns", **evil)).status_code == 403
    assert world.asked[-1] == url


async def test_others_are_not_listened_to(world) -> None:
    assert (await world.client.post("/events/nobody")).status_code == 404
    assert (await world.client.get("/events/sendgrid")).status_code == 405
    body = b"x" * (5 << 20)
    assert (await world.client.post("/events/sendgrid", content=body)).status_code == 413
    async with Outbox().service as plain:
        assert reporters_of(plain.settings.events) == {}


async def test_a_message_nobody_knows(world) -> None:
    event = {"event": "bounce", "type": "bounce", "email": ADDRESS, "sg_message_id": "zzz"}
    found = await world.client.post("/events/sendgrid", **sendgrid([event]))
    assert found.json() == {"reports": 1, "known": 0}
    assert await world.listed() is not None
