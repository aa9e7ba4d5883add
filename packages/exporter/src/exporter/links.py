"""Download links: signed tokens that say what, for whom and until when."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from .errors import ConfigurationError, ExportExpired, InvalidLink

_VERSION = 1
_MAC = 32
_MAX = 2048


@dataclass(frozen=True, slots=True)
class Claim:
    """What a token says.

    Attributes:
        job_id: Which export.
        key: Which file of it: a retried export has another one.
        expires: Seconds since the epoch.
        user: Fingerprint of the user that it is bound to; empty for anybody.
        once: Unique text of a token that works once; empty for one that works until it expires.
    """

    job_id: str
    key: str
    expires: float
    user: str = ""
    once: str = ""


class LinkSigner:
    """Signs and checks tokens with HMAC-SHA256 (RFC 2104).

    A token is base64url of a MessagePack array and the MAC over it; the array begins with the
    format's version and the id of the key. Keys rotate: the first signs, all are accepted.
    """

    def __init__(self, keys: Mapping[str, str]) -> None:
        """Use the secrets ``keys`` by their ids."""
        self._keys = {name: secret.encode() for name, secret in keys.items()}

    def sign(self, claim: Claim) -> str:
        """Return a token.

        Raises:
            ConfigurationError: There is no key.
        """
        if not self._keys:
            raise ConfigurationError(
                "links need a signing key: set downloads.signing_keys, for example "
                "{k1: ${EXPORTER_LINK_KEY}} with at least 32 random bytes"
            )
        key_id, secret = next(iter(self._keys.items()))
        fields = [
            _VERSION, key_id, claim.job_id, claim.key, claim.expires, claim.user, claim.once,
        ]  # fmt: skip
        body = msgspec.msgpack.encode(fields)
        return _encode(body + _mac(secret, body))

    def check(self, token: str, now: float) -> Claim:
        """Return what a token says.

        Raises:
            InvalidLink: It is not one of ours, or not in the one form that we write.
            ExportExpired: Its time is over.
        """
        claim = self._claim(token)
        if now >= claim.expires:
            raise ExportExpired("this link has expired")
        return claim

    def _claim(self, token: str) -> Claim:
        problem = InvalidLink("this link is not valid")
        if not token.isascii() or len(token) > _MAX:
            raise problem
        try:
            raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (binascii.Error, ValueError):
            raise problem from None
        body, mac = raw[:-_MAC], raw[-_MAC:]
        # base64 has spare bits in its last character: only the form that we write is accepted
        if len(mac) != _MAC or _encode(raw) != token:
            raise problem
        # nothing of the body is read before its MAC fits; every key is tried, in equal time
        signed_by = [
            name
            for name, secret in self._keys.items()
            if hmac.compare_digest(_mac(secret, body), mac)
        ]
        if not signed_by:
            raise problem
        fields = msgspec.msgpack.decode(body, type=tuple[int, str, str, str, float, str, str])
        if fields[0] != _VERSION or fields[1] != signed_by[0]:
            raise problem
        return Claim(*fields[2:])

    def fingerprint(self, job_id: str, user_id: str) -> str:
        """Return what stands for ``user_id`` in tokens of ``job_id``."""
        return hashlib.sha256(f"{job_id}\0{user_id}".encode("utf-8", "replace")).hexdigest()[:32]


def _mac(secret: bytes, body: bytes) -> bytes:
    return hmac.digest(secret, b"exporter link\0" + body, "sha256")


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
