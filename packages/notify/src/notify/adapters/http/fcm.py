"""Push messages by Firebase Cloud Messaging, HTTP v1."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import msgspec

from ..._common.extras import require
from ...errors import ChannelError, ConfigurationError
from ...ports import Message
from .base import HTTPChannel, Reply
from .cutting import fitting

_SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_EARLY = 120.0
_PAUSE = 60.0
_TTL = 28 * 86_400  # a longer one has the message refused
# bytes of title, text and data: the payload may have 4096, with what Firebase adds for iPhones
_LONGEST = 3800


class _Account(msgspec.Struct):
    client_email: str
    private_key: str
    project_id: str
    token_uri: str = "https://oauth2.googleapis.com/token"  # noqa: S105  an address
    private_key_id: str | None = None


class FCMChannel(HTTPChannel):
    """Sends push messages through Firebase; addresses are registration tokens of devices.

    Access tokens are got with a JWT that the service account's key signs, kept until they end, and
    renewed once if Firebase refuses one.
    """

    base = "https://fcm.googleapis.com"
    required = ("credentials_path",)

    def __init__(
        self,
        credentials_path: str | Path | None = None,
        *,
        credentials: dict[str, Any] | None = None,
        dry_run: bool = False,
        name: str = "push",
        **base: Any,
    ) -> None:
        """Send for the project of a service account.

        Args:
            credentials_path: The JSON file of the service account; read at the first message.
            credentials: What is in that file, in its place.
            dry_run: Whether Firebase checks messages and does not send them.
            name: The notification channel that it serves.
            base: ``base_url``, ``timeout`` and ``clock`` as of every HTTP provider.

        Raises:
            ConfigurationError: Neither or both kinds of credentials are given.
        """
        super().__init__(name, "firebase", **base)
        if (credentials_path is None) is (credentials is None):
            raise ConfigurationError("firebase: give one of credentials_path and credentials")
        self._path, self._given, self._dry_run = credentials_path, credentials, dry_run
        self._account: _Account | None = None
        self._token, self._ends = "", 0.0
        self._renewing = asyncio.Lock()

    async def send(self, message: Message) -> str | None:
        account = await self._known()
        path = f"/v1/projects/{account.project_id}/messages:send"
        body = {"validate_only": self._dry_run, "message": self._body(message)}
        token = await self._access(account)
        reply = await self._ask(path, json=body, headers=_bearer(token))
        if reply.status == 401:
            token = await self._access(account, refused=token)
            reply = await self._ask(path, json=body, headers=_bearer(token))
        self._check(reply)
        return str(reply.json().get("name") or "") or None

    async def _known(self) -> _Account:
        if self._account is None:
            try:
                if self._path is None:
                    made = msgspec.convert(self._given, _Account)
                else:
                    data = await asyncio.to_thread(Path(self._path).read_bytes)
                    made = msgspec.json.decode(data, type=_Account)
            except (OSError, msgspec.MsgspecError) as exc:
                # the operator's mistake: it waits for the right file
                what = f"firebase: credentials cannot be read ({type(exc).__name__})"
                raise ChannelError(what, retryable=True) from None
            self._account = made
        return self._account

    async def _access(self, account: _Account, *, refused: str | None = None) -> str:
        async with self._renewing:
            # another message may have had it renewed since this one was refused
            good = self._token not in {"", refused}
            if good and self._clock.time() < self._ends - _EARLY:
                return self._token
            assertion = await asyncio.to_thread(signed_token, account, int(self._clock.time()))
            data = {"grant_type": _GRANT, "assertion": assertion}
            reply = await self._ask(account.token_uri, data=data)
            found = reply.json()
            token, lasts = found.get("access_token"), found.get("expires_in")
            if reply.status >= 300 or not isinstance(token, str):
                text = f"firebase: no access token ({reply.status})"
                raise ChannelError(text, retryable=True)
            seconds = float(lasts) if isinstance(lasts, int | float) else 3600.0
            self._token, self._ends = token, self._clock.time() + seconds
            return token

    def _body(self, message: Message) -> dict[str, Any]:
        fields = {
            "notificationId": message.notification_id, "type": message.type,
            "category": message.category, "actionUrl": message.action_url,
        }  # fmt: skip
        room = _LONGEST - len(msgspec.json.encode(message.subject))
        data, text = fitting(fields, message.text or message.subject, room)
        body: dict[str, Any] = {
            "token": message.recipient.address,
            "notification": {"title": message.subject, "body": text},
            "data": data,
            # a message of the same tag takes the place of the one before: an attempt repeated
            "android": {
                "priority": "HIGH" if message.critical else "NORMAL",
                "notification": {"tag": message.key},
            },
            "apns": {
                "headers": {
                    "apns-priority": "10" if message.critical else "5",
                    "apns-collapse-id": message.key[:64],
                }
            },
        }
        if message.expires_at is not None:
            left = min(max(0, int(message.expires_at - self._clock.time())), _TTL)
            body["android"]["ttl"] = f"{left}s"
            body["apns"]["headers"]["apns-expiration"] = str(int(message.expires_at))
        if message.action_url is not None and message.action_url.startswith("https://"):
            body["webpush"] = {"fcm_options": {"link": message.action_url}}
        return body

    def code_of(self, reply: Reply) -> str:
        error = reply.json().get("error")
        if not isinstance(error, dict):
            return ""
        details = error.get("details")
        for each in details if isinstance(details, list) else ():
            if isinstance(each, dict) and isinstance(each.get("errorCode"), str):
                return str(each["errorCode"])
        return str(error.get("status") or "")

    def names_recipient(self, reply: Reply, code: str) -> bool:
        if code in {"UNREGISTERED", "SENDER_ID_MISMATCH"}:
            return True
        # INVALID_ARGUMENT is of the token only where the answer says so, by field or in words
        named = b"message.token" in reply.content or b"registration token" in reply.content
        return code == "INVALID_ARGUMENT" and named

    def _wait_of(self, reply: Reply) -> float | None:
        wait = super()._wait_of(reply)
        # "if there is no retry-after header, default to 60 seconds": Firebase, error codes, 429
        return _PAUSE if wait is None and reply.status == 429 else wait

    def detach(self) -> None:
        super().detach()
        self._renewing = asyncio.Lock()


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def signed_token(account: _Account, now: int) -> str:
    """Return the JWT (RFC 7519, RS256) by which a service account asks for an access token.

    Raises:
        ChannelError: The key cannot be read.
    """
    require("cryptography", dist="notify", extra="push")
    keys = require("cryptography.hazmat.primitives.serialization", dist="notify", extra="push")
    hashes = require("cryptography.hazmat.primitives.hashes", dist="notify", extra="push")
    rsa = require("cryptography.hazmat.primitives.asymmetric.padding", dist="notify", extra="push")
    head = {"alg": "RS256", "typ": "JWT"}
    if account.private_key_id is not None:
        head["kid"] = account.private_key_id
    claims = {
        "iss": account.client_email, "scope": _SCOPE, "aud": account.token_uri, "iat": now,
        "exp": now + 3600,
    }  # fmt: skip
    text = b".".join(base64url(msgspec.json.encode(each)) for each in (head, claims))
    try:
        key = keys.load_pem_private_key(account.private_key.encode(), password=None)
        signature = key.sign(text, rsa.PKCS1v15(), hashes.SHA256())
    except (ValueError, TypeError, AttributeError):
        raise ChannelError("firebase: the private key cannot be used", retryable=True) from None
    return b".".join((text, base64url(signature))).decode()


def base64url(data: bytes) -> bytes:
    """Return base64 in the alphabet for URLs, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")
