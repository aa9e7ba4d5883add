"""Mailgun's webhooks, signed by HMAC-SHA256 over a time and a token that is used once."""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from .common import Incoming, Kind, Refused, Report, Reporter, check_age, code_of, json_of

_KINDS: dict[str, Kind] = {
    "delivered": "delivered",
    "complained": "complained",
    "unsubscribed": "opted_out",
}
_REMEMBERED = 10_000


class MailgunReporter(Reporter):
    """Reads what the account's signing key has signed, each token once."""

    def __init__(self, key: str, *, max_age: float = 3600.0) -> None:
        """Trust ``key``, the HTTP webhook signing key of the account."""
        self._key, self._max_age = key.encode(), max_age
        self._seen: OrderedDict[str, None] = OrderedDict()

    async def read(self, request: Incoming, now: float) -> Sequence[Report]:
        given = json_of(request.body, dict[str, Any])
        signature, event = given.get("signature"), given.get("event-data")
        if not isinstance(signature, dict) or not isinstance(event, dict):
            raise Refused("no report")
        at, token, made = (
            str(signature.get(name, "")) for name in ("timestamp", "token", "signature")
        )
        expected = hmac.new(self._key, f"{at}{token}".encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(expected.encode(), made.encode()):
            raise Refused("not signed by Mailgun")
        if not (at.isascii() and at.isdecimal()):
            raise Refused("no time")
        check_age(float(at), now, self._max_age)
        if token in self._seen:
            return []  # again: taken, so that it is not sent a third time
        report = _report(event)
        return [] if report is None else [report]

    def recorded(self, request: Incoming) -> None:
        token = str(json_of(request.body, dict[str, Any])["signature"].get("token", ""))
        self._seen[token] = None
        while len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)


def _report(event: dict[str, Any]) -> Report | None:
    name = str(event.get("event", ""))
    kind = _KINDS.get(name)
    if name == "failed":
        kind = "bounced" if event.get("severity") == "permanent" else "failed"
        if str(event.get("reason")) in {"suppress-complaint", "suppress-unsubscribe"}:
            kind = "opted_out"
    if kind is None or (name == "failed" and event.get("severity") == "temporary"):
        return None  # it goes on trying by itself
    message = event.get("message")
    headers = message.get("headers") if isinstance(message, dict) else None
    found = headers.get("message-id") if isinstance(headers, dict) else None
    status = event.get("delivery-status")
    code = status.get("code") if isinstance(status, dict) else None
    address = event.get("recipient")
    return Report(
        kind, "mailgun", "email", found.strip("<>") if isinstance(found, str) else None,
        address if isinstance(address, str) else None, code_of(code, event.get("reason"), name),
    )  # fmt: skip
