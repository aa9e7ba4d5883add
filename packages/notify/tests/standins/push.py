"""Firebase, OneSignal and a browser's push service, as their published APIs check requests."""

import base64
import json
import os
import uuid
from typing import Any
from urllib.parse import parse_qs

import http_ece
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from starlette.requests import Request
from starlette.responses import Response

from .serving import Refused, StandIn, json_of, reply


def unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def parts_of(token: str) -> tuple[Any, Any, bytes, bytes]:
    """Return head, claims, what is signed and the signature of a JWT."""
    head, claims, signature = token.split(".")
    signed = f"{head}.{claims}".encode()
    return json.loads(unbase64(head)), json.loads(unbase64(claims)), signed, unbase64(signature)


class Firebase(StandIn):
    """https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages/send"""

    def __init__(self, now: float) -> None:
        super().__init__()
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.now, self.valid, self.tokens = now, set[str](), 0

    def credentials(self) -> dict[str, str]:
        pem = self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return {
            "type": "service_account", "project_id": "demo", "private_key_id": "k1",
            "private_key": pem.decode(), "client_email": "s@demo.iam.example.com",
            "token_uri": f"{self.url}/token",
        }  # fmt: skip

    async def answer(self, request: Request) -> Response:
        if request.url.path == "/token":
            return await self._token(request)
        if request.url.path != "/v1/projects/demo/messages:send":
            raise Refused(404, {"error": {"code": 404, "status": "NOT_FOUND"}})
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind != "Bearer" or token not in self.valid:
            raise Refused(401, {"error": {"code": 401, "status": "UNAUTHENTICATED"}})
        body = await json_of(request)
        self._check(body)
        self.taken.append(body)
        return reply(200, {"name": f"projects/demo/messages/{len(self.taken)}"})

    def _check(self, body: Any) -> None:
        message = body.get("message", {})
        known = {"token", "notification", "data", "android", "apns", "webpush", "fcm_options"}
        data = message.get("data", {})
        wrong = not message.keys() <= known or not all(isinstance(v, str) for v in data.values())
        payload = [*message["notification"].values(), *data.keys(), *data.values()]
        # "both keys and values"; an iPhone gets them as JSON, with as many bytes in all
        wrong = wrong or sum(len(each.encode()) for each in payload) > 4096
        alert = {"aps": {"alert": message["notification"]}, **data}
        wrong = wrong or len(json.dumps(alert, ensure_ascii=False).encode()) > 4096
        wrong = wrong or body.keys() - {"message", "validate_only"}
        wrong = wrong or data.keys() & {"from", "message_type"}
        if wrong:
            raise self.error(400, "INVALID_ARGUMENT", "message.data")
        if int(message.get("android", {}).get("ttl", "0s").removesuffix("s")) > 2_419_200:
            raise self.error(400, "INVALID_ARGUMENT", "message.android.ttl")
        if message.get("token") == "gone":
            raise self.error(404, "UNREGISTERED", "")
        if len(message.get("token", "")) < 8:
            raise self.error(400, "INVALID_ARGUMENT", "message.token")

    def error(self, code: int, word: str, field: str) -> Refused:
        kind = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
        details: list[Any] = [{"@type": kind, "errorCode": word}]
        if field:
            kind = "type.googleapis.com/google.rpc.BadRequest"
            details.append({"@type": kind, "fieldViolations": [{"field": field}]})
        return Refused(code, {"error": {"code": code, "status": word, "details": details}})

    async def _token(self, request: Request) -> Response:
        form = parse_qs((await request.body()).decode())
        if form["grant_type"] != ["urn:ietf:params:oauth:grant-type:jwt-bearer"]:
            raise Refused(400, {"error": "unsupported_grant_type"})
        head, claims, signed, signature = parts_of(form["assertion"][0])
        try:
            public = self.key.public_key()
            public.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            raise Refused(400, {"error": "invalid_grant"}) from None
        good = (
            head == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
            and claims["iss"] == "s@demo.iam.example.com"
            and claims["aud"] == f"{self.url}/token"
            and claims["scope"].endswith("/auth/firebase.messaging")
            and claims["iat"] <= self.now < claims["exp"] <= claims["iat"] + 3600
        )
        if not good:
            raise Refused(400, {"error": "invalid_grant"})
        self.tokens += 1
        token = f"ya29.{self.tokens}"
        self.valid.add(token)
        return reply(200, {"access_token": token, "expires_in": 3599, "token_type": "Bearer"})


class OneSignal(StandIn):
    """https://documentation.onesignal.com/reference/push-notification"""

    async def answer(self, request: Request) -> Response:
        if (request.method, request.url.path) != ("POST", "/notifications"):
            raise Refused(404)
        if request.headers.get("authorization") != "Key os-key":
            raise Refused(403, {"errors": ["Access denied."]})
        body = await json_of(request)
        if body.get("app_id") != "app-1":
            raise Refused(400, {"errors": ["app_id not found."]})
        aliases, ids = body.get("include_aliases"), body.get("include_subscription_ids")
        if (aliases is None) is (ids is None) or (aliases and not body.get("target_channel")):
            raise Refused(400, {"errors": ["You must include which players…"]})
        if "en" not in body.get("contents", {}):
            raise Refused(400, {"errors": ["Message Notifications must have English language…"]})
        key = uuid.UUID(body["idempotency_key"])
        to = (ids or aliases["external_id"])[0]
        if to == "nobody":
            return reply(200, {"id": "", "errors": ["All included players are not subscribed"]})
        if to == "malformed":
            raise Refused(400, {"errors": {"invalid_player_ids": [to]}})
        known = [each for each in self.taken if each["idempotency_key"] == str(key)]
        if not known:
            self.taken.append(body)
        return reply(200, {"id": str(uuid.uuid5(key, "message"))})


class PushService(StandIn):
    """RFC 8030, 8291, 8292: a browser and the service of its maker."""

    def __init__(self, now: float) -> None:
        super().__init__()
        self.now = now
        self.private, self.auth = ec.generate_private_key(ec.SECP256R1()), os.urandom(16)

    def subscription(self, path: str = "/push/1") -> str:
        point = self.private.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        keys = {"p256dh": point, "auth": self.auth}
        made = {
            name: base64.urlsafe_b64encode(each).rstrip(b"=").decode()
            for name, each in keys.items()
        }
        return json.dumps({"endpoint": f"{self.url}{path}", "expirationTime": None, "keys": made})

    async def answer(self, request: Request) -> Response:
        if request.url.path == "/push/gone":
            raise Refused(410)
        self._vapid(request.headers["authorization"])
        if not request.headers["ttl"].isdecimal():
            raise Refused(400)
        if request.headers["urgency"] not in {"very-low", "low", "normal", "high"}:
            raise Refused(400)
        if not 0 < len(request.headers.get("topic", "x")) <= 32:
            raise Refused(400)
        body = await request.body()
        if request.headers["content-encoding"] != "aes128gcm" or len(body) > 4096:
            raise Refused(413)
        data = http_ece.decrypt(
            body, private_key=self.private, auth_secret=self.auth, version="aes128gcm"
        )
        self.taken.append(json.loads(data))
        return reply(201, None, {"Location": f"{self.url}/message/{len(self.taken)}"})

    def _vapid(self, value: str) -> None:
        kind, _, rest = value.partition(" ")
        fields = dict(each.strip().split("=", 1) for each in rest.split(","))
        head, claims, signed, signature = parts_of(fields["t"])
        if kind != "vapid" or head["alg"] != "ES256" or len(signature) != 64:
            raise Refused(401)
        curve = ec.SECP256R1()
        key = ec.EllipticCurvePublicKey.from_encoded_point(curve, unbase64(fields["k"]))
        numbers = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
        try:
            key.verify(encode_dss_signature(*numbers), signed, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            raise Refused(403) from None
        if claims["aud"] != self.url or not self.now < claims["exp"] <= self.now + 86_400:
            raise Refused(403)
        if not claims["sub"].startswith(("mailto:", "https:")):
            raise Refused(403)
