"""Amazon SES through Amazon SNS: each message is signed by a certificate of Amazon's."""

import base64
import binascii
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from ..._common.extras import require
from .common import Incoming, Kind, Refused, Report, Reporter, check_age, code_of, json_of

Fetch = Callable[[str], Awaitable[bytes]]
_HOST = re.compile(r"sns\.[a-z0-9-]{1,30}\.amazonaws\.com(\.cn)?")
_SIGNED = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": (
        "Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type",
    ),
}  # fmt: skip
_LONGEST = 20_000


class SNSReporter(Reporter):
    """Reads what the named topics report, and confirms their subscriptions."""

    def __init__(
        self, topics: Sequence[str], *, max_age: float = 3600.0, fetch: Fetch | None = None
    ) -> None:
        """Trust Amazon's certificates for ``topics``.

        Args:
            topics: ``arn:aws:sns:…``; others are refused, whoever signed.
            max_age: Seconds after which a message is refused.
            fetch: Gets what is at an address of Amazon's; over httpx if None.
        """
        self._topics, self._max_age = frozenset(topics), max_age
        self._fetch = fetch or _fetched
        self._keys: OrderedDict[str, Any] = OrderedDict()

    async def read(self, request: Incoming, now: float) -> Sequence[Report]:
        given = {
            str(key): value
            for key, value in json_of(request.body, dict[str, Any]).items()
            if isinstance(value, str)
        }
        kind = given.get("Type", "")
        if kind not in _SIGNED or given.get("TopicArn") not in self._topics:
            raise Refused("not of a topic of ours")
        await self._verify(given, kind)
        try:
            at = datetime.fromisoformat(given.get("Timestamp", "")).timestamp()
        except ValueError:
            raise Refused("no time") from None
        check_age(at, now, self._max_age)
        if kind == "SubscriptionConfirmation":
            url = given.get("SubscribeURL", "")
            _check_url(url)
            await self._fetch(url)
            return []
        return _reports(json_of(given["Message"].encode(), dict[str, Any]))

    async def _verify(self, given: dict[str, str], kind: str) -> None:
        padding = require(
            "cryptography.hazmat.primitives.asymmetric.padding", dist="notify", extra="aws"
        )
        hashes = require("cryptography.hazmat.primitives.hashes", dist="notify", extra="aws")
        errors = require("cryptography.exceptions", dist="notify", extra="aws")
        names = [name for name in _SIGNED[kind] if name in given]
        text = "".join(f"{name}\n{given[name]}\n" for name in names)
        digests = {"1": hashes.SHA1, "2": hashes.SHA256}
        digest = digests.get(given.get("SignatureVersion", ""))
        if digest is None:
            raise Refused("an unknown kind of signature")
        key = await self._key(given.get("SigningCertURL", ""))
        try:
            signature = base64.b64decode(given.get("Signature", ""), validate=True)
            key.verify(signature, text.encode(), padding.PKCS1v15(), digest())
        except (errors.InvalidSignature, binascii.Error, ValueError, UnicodeError):
            raise Refused("not signed by Amazon") from None

    async def _key(self, url: str) -> Any:
        if (known := self._keys.get(url)) is not None:
            return known
        _check_url(url)
        if not urlsplit(url).path.endswith(".pem"):
            raise Refused("not a certificate of Amazon's")
        x509 = require("cryptography.x509", dist="notify", extra="aws")
        try:
            made = x509.load_pem_x509_certificate(await self._fetch(url)).public_key()
        except ValueError:
            raise Refused("not a certificate") from None
        self._keys[url] = made
        while len(self._keys) > 10:
            self._keys.popitem(last=False)
        return made


def _check_url(url: str) -> None:
    """Refuse what is not Amazon's: whoever sends a message would choose whom we ask."""
    try:
        parts = urlsplit(url)
        good = (
            parts.scheme == "https"
            and parts.netloc == (parts.hostname or "")
            and _HOST.fullmatch(parts.netloc) is not None
        )
    except ValueError:
        good = False
    if not good:
        raise Refused("not an address of Amazon's")


async def _fetched(url: str) -> bytes:
    httpx = require("httpx", dist="notify", extra="aws")
    try:
        async with httpx.AsyncClient(timeout=10.0, follow_redirects=False) as client:
            found = await client.get(url)
    except httpx.HTTPError:
        raise Refused("Amazon does not answer") from None
    if found.status_code >= 300 or len(found.content) > _LONGEST:
        raise Refused("Amazon does not answer")
    content: bytes = found.content
    return content


def _reports(event: dict[str, Any]) -> list[Report]:
    name = str(event.get("eventType") or event.get("notificationType") or "")
    detail = event.get(name.lower())
    mail = event.get("mail")
    if not isinstance(detail, dict) or not isinstance(mail, dict):
        return []
    kind: Kind
    if name == "Bounce":
        # Undetermined too: it may come back, and a good address is not given up for a guess
        kind = "bounced" if detail.get("bounceType") == "Permanent" else "failed"
        people = detail.get("bouncedRecipients")
    elif name == "Complaint":
        kind, people = "complained", detail.get("complainedRecipients")
    elif name == "Delivery":
        given = detail.get("recipients")
        kind = "delivered"
        people = [{"emailAddress": each} for each in given] if isinstance(given, list) else None
    else:
        return []
    found = mail.get("messageId")
    return [
        Report(
            kind, "ses", "email", found if isinstance(found, str) else None,
            each.get("emailAddress"),
            code_of(each.get("status"), detail.get("bounceSubType"), name),
        )
        for each in (people if isinstance(people, list) else ())
        if isinstance(each, dict) and isinstance(each.get("emailAddress"), str)
    ]  # fmt: skip
