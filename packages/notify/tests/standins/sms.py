"""Twilio and a receiver of webhooks, as their published rules check requests."""

import base64
import hashlib
import hmac
import json
import re
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from .serving import Refused, StandIn, basic, reply

NUMBER = re.compile(r"\+[1-9]\d{1,14}")


def _error(status: int, code: int) -> Refused:
    more = f"https://www.twilio.com/docs/errors/{code}"
    return Refused(status, {"code": code, "message": "…", "more_info": more, "status": status})


class Twilio(StandIn):
    """https://www.twilio.com/docs/messaging/api/message-resource"""

    async def answer(self, request: Request) -> Response:
        path = "/2010-04-01/Accounts/AC1/Messages.json"
        if (request.method, request.url.path) != ("POST", path):
            raise _error(404, 20404)
        if basic(request) != ("AC1", "token"):
            raise _error(401, 20003)
        form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        if not form.get("To"):
            raise _error(400, 21604)
        if not (form.get("From") or form.get("MessagingServiceSid")):
            raise _error(400, 21603)
        if not form.get("Body"):
            raise _error(400, 21602)
        if len(form["Body"]) > 1600:
            raise _error(400, 21617)
        if not NUMBER.fullmatch(form["To"]):
            raise _error(400, 21211)
        if form["To"] == "+15005550009":
            raise _error(400, 21610)
        self.taken.append(form)
        return reply(201, {"sid": f"SM{len(self.taken):032}", "status": "queued"})


class Receiver(StandIn):
    """https://www.standardwebhooks.com: a receiver that has one secret and drops what it has."""

    def __init__(self, secret: bytes, now: float) -> None:
        super().__init__()
        self.secret, self.now, self.ids = secret, now, list[str]()

    async def answer(self, request: Request) -> Response:
        body, id_ = await request.body(), request.headers["webhook-id"]
        at = request.headers["webhook-timestamp"]
        if abs(int(at) - self.now) > 300:
            raise Refused(400, "too old")
        signed = f"{id_}.{at}.".encode() + body
        made = base64.b64encode(hmac.new(self.secret, signed, hashlib.sha256).digest()).decode()
        if f"v1,{made}" not in request.headers["webhook-signature"].split(" "):
            raise Refused(401, "bad signature")
        if id_ not in self.ids:
            self.ids.append(id_)
            self.taken.append(json.loads(body))
        return reply(204)
