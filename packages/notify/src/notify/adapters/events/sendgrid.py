"""SendGrid's Event Webhook, signed by ECDSA over the time and the body."""

import base64
import binascii
from collections.abc import Sequence
from typing import Any

from ..._common.extras import require
from ...errors import ConfigurationError
from .common import Incoming, Kind, Refused, Report, Reporter, check_age, code_of, json_of

_KINDS: dict[str, Kind] = {
    "delivered": "delivered",
    "bounce": "bounced",
    "dropped": "failed",
    "spamreport": "complained",
    "unsubscribe": "opted_out",
    "group_unsubscribe": "opted_out",
}
_DROPPED: dict[str, Kind] = {
    "Bounced Address": "bounced",
    "Invalid": "bounced",
    "Spam Reporting Address": "complained",
    "Unsubscribed Address": "opted_out",
}


class SendGridReporter(Reporter):
    """Reads what the account's verification key has signed."""

    def __init__(self, key: str, *, max_age: float = 3600.0) -> None:
        """Trust ``key``, the base64 of the public key in SendGrid's settings.

        Raises:
            ConfigurationError: It is none.
        """
        serialization = "cryptography.hazmat.primitives.serialization"
        keys = require(serialization, dist="notify", extra="push")
        try:
            self._key: Any = keys.load_der_public_key(base64.b64decode(key, validate=True))
        except (ValueError, binascii.Error):
            raise ConfigurationError("events.sendgrid_key is no public key in base64") from None
        self._max_age = max_age

    async def read(self, request: Incoming, now: float) -> Sequence[Report]:
        at = request.headers.get("x-twilio-email-event-webhook-timestamp", "")
        signature = request.headers.get("x-twilio-email-event-webhook-signature", "")
        self._verify(at.encode() + request.body, signature)
        if not (at.isascii() and at.isdecimal()):
            raise Refused("no time")
        check_age(float(at), now, self._max_age)
        found = [self._report(each) for each in json_of(request.body, list[dict[str, Any]])]
        return [each for each in found if each is not None]

    def _verify(self, signed: bytes, signature: str) -> None:
        ec = require("cryptography.hazmat.primitives.asymmetric.ec", dist="notify", extra="push")
        hashes = require("cryptography.hazmat.primitives.hashes", dist="notify", extra="push")
        errors = require("cryptography.exceptions", dist="notify", extra="push")
        try:
            given = base64.b64decode(signature, validate=True)
            self._key.verify(given, signed, ec.ECDSA(hashes.SHA256()))
        except (errors.InvalidSignature, ValueError, binascii.Error, UnicodeError):
            raise Refused("not signed by SendGrid") from None

    def _report(self, event: dict[str, Any]) -> Report | None:
        name = str(event.get("event", ""))
        kind = _KINDS.get(name)
        if kind is None:
            return None
        if name == "bounce" and event.get("type") == "blocked":
            kind = "failed"  # by policy, or for now: the address may be good
        if name == "dropped":
            reason = str(event.get("reason", ""))
            kind = _DROPPED.get(reason, "failed")
        found = str(event.get("sg_message_id", "")).partition(".")[0]
        address = event.get("email")
        return Report(
            kind, "sendgrid", "email", found or None,
            address if isinstance(address, str) else None,
            code_of(event.get("status"), event.get("type"), name),
        )  # fmt: skip
