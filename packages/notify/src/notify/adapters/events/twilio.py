"""Twilio's status callbacks and incoming messages, signed by HMAC-SHA1 over address and fields."""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from urllib.parse import parse_qsl

from .common import Incoming, Kind, Refused, Report, Reporter, code_of

_KINDS: dict[str, Kind] = {
    "delivered": "delivered", "undelivered": "failed", "failed": "failed",
}  # fmt: skip
# not a number, landline, unknown: as in the channel; 30005 and 30006 are those of carriers
_BAD = frozenset({"21211", "21214", "21217", "21614", "30005", "30006"})
_STOPPED = frozenset({"21610", "30004"})
_OPT: dict[str, Kind] = {"STOP": "opted_out", "START": "opted_in"}


class TwilioReporter(Reporter):
    """Reads what is signed with the account's auth token.

    The signature covers the address that Twilio calls, which only the operator knows behind a
    proxy: it is a setting, never taken from the request.
    """

    def __init__(self, token: str, url: str) -> None:
        """Trust ``token``; ``url`` is where the web app is reached."""
        self._token, self._url = token.encode(), url.rstrip("/")

    async def read(self, request: Incoming, now: float) -> Sequence[Report]:
        try:
            fields = parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=False)
        except (UnicodeDecodeError, ValueError):
            raise Refused("no form") from None
        # sorted by name and value, each once: "Validating Signatures from Twilio", step 3
        text = "".join(f"{name}{value}" for name, value in sorted(set(fields)))
        signed = f"{self._url}{request.path}{text}".encode()
        made = base64.b64encode(hmac.new(self._token, signed, hashlib.sha1).digest())
        given = request.headers.get("x-twilio-signature", "").encode()
        if not hmac.compare_digest(made, given):
            raise Refused("not signed by Twilio")
        report = _report(dict(fields))
        return [] if report is None else [report]


def _report(form: dict[str, str]) -> Report | None:
    if (said := _OPT.get(form.get("OptOutType", ""))) is not None:
        return Report(said, "twilio", "sms", None, form.get("From") or None, form["OptOutType"])
    kind, code = _KINDS.get(form.get("MessageStatus", "")), form.get("ErrorCode", "")
    if kind is None:
        return None
    if kind == "failed" and code in _BAD:
        kind = "bounced"
    if kind == "failed" and code in _STOPPED:
        kind = "opted_out"
    found, to = form.get("MessageSid") or None, form.get("To") or None
    return Report(kind, "twilio", "sms", found, to, code_of(code, form["MessageStatus"]))
