"""Web Push: RFC 8030, encrypted by RFC 8291 and RFC 8188, identified by VAPID (RFC 8292)."""

import asyncio
import base64
import binascii
import os
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from ..._common.extras import require
from ...errors import ChannelError, ConfigurationError
from ...ports import Message
from .base import Reply, needed
from .cutting import fitting
from .fcm import base64url
from .guarded import GuardedChannel

_TOKEN_LASTS = 12 * 3600
_RENEW = 3600
_TTL = 28 * 86_400
# bytes: services must take 4,096 of the whole encrypted body, of which 103 are not ours
_LONGEST = 3_950
_RECORD = 4_096


class _Keys(msgspec.Struct):
    p256dh: str
    auth: str


class Subscription(msgspec.Struct):
    """A browser's subscription, as ``JSON.stringify(subscription)`` gives it."""

    endpoint: str
    keys: _Keys


class WebPushChannel(GuardedChannel):
    """Sends to browsers; addresses are their subscriptions, as JSON.

    What the push service answers by 404 or 410 is gone for good: the address goes to the
    suppression list, and the directory is told.
    """

    required = ("api_key", "subject")

    def __init__(
        self,
        api_key: str,
        *,
        subject: str,
        name: str = "push",
        base_url: str | None = None,
        entropy: Callable[[int], bytes] = os.urandom,
        **base: Any,
    ) -> None:
        """Identify the application by a VAPID key.

        Args:
            api_key: The private key: 32 bytes in base64url, or PEM.
            subject: ``mailto:…`` or ``https://…``, for the push service's operators.
            name: The notification channel that it serves.
            base_url: Not used: each subscription has its own endpoint.
            entropy: Makes salts and keys.
            base: ``allow_private``, ``timeout`` and ``clock``.

        Raises:
            ConfigurationError: ``subject`` is neither.
        """
        super().__init__(name, "webpush", **base)
        needed("webpush", api_key=api_key, subject=subject)
        if base_url is not None:
            raise ConfigurationError("webpush has no base_url: subscriptions name their endpoints")
        if not subject.startswith(("mailto:", "https://")):
            raise ConfigurationError("webpush: subject must be mailto:… or https://…")
        self._secret, self._subject, self._entropy = api_key, subject, entropy
        self._key: Any = None
        self._tokens: dict[str, tuple[str, float]] = {}

    async def send(self, message: Message) -> str | None:
        try:
            where = msgspec.json.decode(message.recipient.address, type=Subscription)
            public, auth = unbase64(where.keys.p256dh), unbase64(where.keys.auth)
        except (msgspec.MsgspecError, ValueError):
            raise ChannelError("webpush: not a subscription", invalid_recipient=True) from None
        content, headers = await asyncio.to_thread(
            self._prepared, _body(message), where.endpoint, public, auth
        )
        left = _TTL if message.expires_at is None else message.expires_at - self._clock.time()
        headers |= {
            "TTL": str(int(min(_TTL, max(0, left)))),
            "Urgency": "high" if message.critical else "normal",
            # takes the place of one of the same topic that is still with the service
            "Topic": base64url(message.key.encode())[-32:].decode(),
        }
        reply = await self._deliver(where.endpoint, content, headers)
        return reply.headers.get("location")

    def _prepared(
        self, content: bytes, endpoint: str, public: bytes, auth: bytes
    ) -> tuple[bytes, dict[str, str]]:
        body = encrypted(content, public, auth, self._entropy)
        headers = {
            "Content-Encoding": "aes128gcm",
            "Content-Type": "application/octet-stream",
            "Authorization": self._authorization(endpoint),
        }
        return body, headers

    def _authorization(self, endpoint: str) -> str:
        now, origin = self._clock.time(), _origin(endpoint)
        token, ends = self._tokens.get(origin, ("", 0.0))
        if now > ends - _RENEW or now < ends - _TOKEN_LASTS - _RENEW:
            if len(self._tokens) > 100:
                self._tokens.clear()  # there are some five push services; these are somebody's own
            ends = now + _TOKEN_LASTS
            token = self._signed({"aud": origin, "exp": int(ends), "sub": self._subject})
            self._tokens[origin] = token, ends
        return f"vapid t={token}, k={base64url(_point(self._private())).decode()}"

    def _private(self) -> Any:
        if self._key is None:
            ec = require(
                "cryptography.hazmat.primitives.asymmetric.ec", dist="notify", extra="push"
            )
            keys = require(
                "cryptography.hazmat.primitives.serialization", dist="notify", extra="push"
            )
            try:
                if self._secret.lstrip().startswith("-----"):
                    made = keys.load_pem_private_key(self._secret.encode(), password=None)
                else:
                    number = int.from_bytes(unbase64(self._secret))
                    made = ec.derive_private_key(number, ec.SECP256R1())
                _point(made)
            except (ValueError, TypeError, AttributeError):
                raise ChannelError("webpush: the key cannot be used", retryable=True) from None
            self._key = made
        return self._key

    def _signed(self, claims: dict[str, Any]) -> str:
        ec = require("cryptography.hazmat.primitives.asymmetric.ec", dist="notify", extra="push")
        hashes = require("cryptography.hazmat.primitives.hashes", dist="notify", extra="push")
        utils = require(
            "cryptography.hazmat.primitives.asymmetric.utils", dist="notify", extra="push"
        )
        head = {"typ": "JWT", "alg": "ES256"}
        text = b".".join(base64url(msgspec.json.encode(each)) for each in (head, claims))
        made = self._private().sign(text, ec.ECDSA(hashes.SHA256()))
        # RFC 7518, section 3.4: the two numbers beside each other, not in DER
        r, s = utils.decode_dss_signature(made)
        return b".".join((text, base64url(r.to_bytes(32) + s.to_bytes(32)))).decode()

    def refusal(self, reply: Reply) -> ChannelError:
        if reply.status in {404, 410}:
            return ChannelError(f"webpush {reply.status}", invalid_recipient=True)
        return super().refusal(reply)


def encrypted(
    content: bytes, public: bytes, auth: bytes, entropy: Callable[[int], bytes] = os.urandom
) -> bytes:
    """Return ``content`` as only the browser can read it: RFC 8291, section 3.4.

    Args:
        content: At most 3,993 bytes.
        public: The browser's key, an uncompressed point of P-256.
        auth: Its secret of 16 bytes.
        entropy: Makes the salt and the key of this message.

    Raises:
        ChannelError: The subscription's keys are none.
    """
    ec = require("cryptography.hazmat.primitives.asymmetric.ec", dist="notify", extra="push")
    aead = require("cryptography.hazmat.primitives.ciphers.aead", dist="notify", extra="push")
    try:
        theirs = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)
    except ValueError:
        theirs = None
    if theirs is None or len(auth) != 16:
        raise ChannelError("webpush: not a subscription", invalid_recipient=True)
    # FIPS 186-5, A.2.1: 64 bits more than the order has, so that no number is likelier
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    number = int.from_bytes(entropy(40)) % (order - 1) + 1
    ours, salt = ec.derive_private_key(number, ec.SECP256R1()), entropy(16)
    point, shared = _point(ours), ours.exchange(ec.ECDH(), theirs)
    secret = _derived(shared, auth, b"WebPush: info\x00" + public + point, 32)
    key = _derived(secret, salt, b"Content-Encoding: aes128gcm\x00", 16)
    nonce = _derived(secret, salt, b"Content-Encoding: nonce\x00", 12)
    # one record, the last: RFC 8188, section 2
    sealed: bytes = aead.AESGCM(key).encrypt(nonce, content + b"\x02", None)
    return salt + _RECORD.to_bytes(4) + bytes([len(point)]) + point + sealed


def unbase64(text: str) -> bytes:
    """Return the bytes of base64 in the alphabet for URLs, with or without padding.

    Raises:
        ValueError: It is none.
    """
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as exc:
        raise ValueError("not base64url") from exc


def _origin(endpoint: str) -> str:
    """Return the origin as RFC 6454, section 6.2, writes it: small letters, no usual port."""
    try:
        parts = urlsplit(endpoint)
        usual = {"https": 443, "http": 80}.get(parts.scheme)
        place = parts.netloc.rpartition("@")[2].lower()
        if parts.port == usual:
            place = place.removesuffix(f":{usual}")
    except ValueError:  # no port: not sent there either
        return endpoint
    return f"{parts.scheme}://{place}"


def _derived(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    kdf = require("cryptography.hazmat.primitives.kdf.hkdf", dist="notify", extra="push")
    hashes = require("cryptography.hazmat.primitives.hashes", dist="notify", extra="push")
    made: bytes = kdf.HKDF(hashes.SHA256(), length, salt, info).derive(secret)
    return made


def _point(key: Any) -> bytes:
    keys = require("cryptography.hazmat.primitives.serialization", dist="notify", extra="push")
    made: bytes = key.public_key().public_bytes(
        keys.Encoding.X962, keys.PublicFormat.UncompressedPoint
    )
    return made


def _body(message: Message) -> bytes:
    fields = {
        "id": message.notification_id, "title": message.subject, "type": message.type,
        "category": message.category, "actionUrl": message.action_url,
    }  # fmt: skip
    room = _LONGEST - len(',"message":""')
    data, text = fitting(fields, message.text or message.subject, room)
    return msgspec.json.encode({**data, "message": text})
