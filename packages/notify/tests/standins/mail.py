"""SendGrid and Mailgun, as their published APIs check requests."""

import base64
import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from .serving import Refused, StandIn, basic, json_of, reply

ADDRESS = re.compile(r"[^@\s<>]+@[^@\s<>]+\.[^@\s<>]+")
KEY = "SG.0123456789abcdef.secret"
RESERVED = {
    "x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type",
    "content-transfer-encoding", "to", "from", "subject", "reply-to", "cc", "bcc",
}  # fmt: skip


def _wrong(field: str, message: str = "wrong") -> Refused:
    return Refused(400, {"errors": [{"message": message, "field": field, "help": None}]})


class SendGrid(StandIn):
    """https://docs.sendgrid.com/api-reference/mail-send/mail-send"""

    async def answer(self, request: Request) -> Response:
        if (request.method, request.url.path) != ("POST", "/v3/mail/send"):
            raise Refused(404)
        if request.headers.get("authorization") != f"Bearer {KEY}":
            raise Refused(401, {"errors": [{"message": "The provided authorization grant is…"}]})
        body = await json_of(request)
        people = body.get("personalizations")
        if not isinstance(people, list) or not 1 <= len(people) <= 1000:
            raise _wrong("personalizations")
        for place, each in enumerate(people):
            for where, to in enumerate(each.get("to") or [{}]):
                if not ADDRESS.fullmatch(to.get("email", "")):
                    at = f"personalizations.{place}.to.{where}.email"
                    raise _wrong(at, "Does not contain a valid address.")
        if not ADDRESS.fullmatch(body.get("from", {}).get("email", "")):
            raise _wrong("from.email")
        if not body.get("subject"):
            raise _wrong("subject")
        self._content(body)
        self.taken.append(body)
        return reply(202, None, {"X-Message-Id": f"sg{len(self.taken)}"})

    def _content(self, body: Any) -> None:
        kinds = [each.get("type") for each in body.get("content", [])]
        if not kinds or kinds != sorted(kinds, reverse=True) or kinds[0] != "text/plain":
            raise _wrong("content", "text/plain first, then text/html")
        if not all(each.get("value") for each in body["content"]):
            raise _wrong("content.0.value")
        for name in body.get("headers", {}):
            if name.lower() in RESERVED:
                raise _wrong(f"headers.{name}")
        if len(body.get("categories", [])) > 10:
            raise _wrong("categories")
        for each in body.get("attachments", []):
            base64.b64decode(each["content"], validate=True)
            if not each.get("filename") or any(c in each["filename"] for c in ";\r\n"):
                raise _wrong("attachments.0.filename")


class Mailgun(StandIn):
    """https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages"""

    async def answer(self, request: Request) -> Response:
        if basic(request) != ("api", "key-1"):
            raise Refused(401, "Forbidden")
        if (request.method, request.url.path) != ("POST", "/v3/mg.example.com/messages"):
            raise Refused(404, {"message": "Domain not found"})
        if not request.headers["content-type"].startswith("multipart/form-data; boundary="):
            raise Refused(400, {"message": "multipart/form-data is required"})
        form = await request.form()
        tag = str(form.get("o:tag", ""))
        if not tag.isascii() or len(tag) > 128:
            raise Refused(400, {"message": "o:tag is ASCII, at most 128 characters"})
        for name in ("from", "to", "subject"):
            if not form.get(name):
                raise Refused(400, {"message": f"{name} parameter is missing"})
        to = str(form["to"]).rpartition("<")[2].rstrip(">")
        if not ADDRESS.fullmatch(to):
            raise Refused(400, {"message": "'to' parameter is not a valid address. please check"})
        if not (form.get("text") or form.get("html")):
            raise Refused(400, {"message": "Need at least one of 'text', 'html'"})
        made: dict[str, Any] = {
            key: value for key, value in form.multi_items() if key != "attachment"
        }
        files = [each for key, each in form.multi_items() if key == "attachment"]
        made["attachments"] = [(each.filename, await each.read()) for each in files]
        await form.close()
        self.taken.append(made)
        number = len(self.taken)
        return reply(200, {"id": f"<2026.{number}@mg.example.com>", "message": "Queued."})
