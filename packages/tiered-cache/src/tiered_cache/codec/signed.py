"""pickle, for values that nothing else can hold, and only with a signature of ours before it.

Whoever can write to the shared level could otherwise run code in every process that reads it
(CVE-2025-69872 was that). Here bytes are unpickled only if an HMAC-SHA256 under one of the
``signing_keys`` says that a process with the key has written them.
"""

import hashlib
import hmac
import pickle
from collections.abc import Sequence
from typing import Any

from ..errors import CacheSerializationError, ConfigurationError

_DIGEST = hashlib.sha256
_LENGTH = 32
_LEAST = 16


class SignedPickleSerializer:
    """pickle, protocol 5, behind an HMAC. Never chosen by what stands in the bytes."""

    id = 4

    def __init__(self, keys: Sequence[str]) -> None:
        """Sign with the first of ``keys``; accept all of them, so that keys can be replaced.

        Raises:
            ConfigurationError: There is none, or one is shorter than 16 characters.
        """
        if not keys or any(len(key) < _LEAST for key in keys):
            raise ConfigurationError(
                f"the serializer 'pickle-signed' needs signing_keys of at least {_LEAST} characters"
            )
        self._keys = [key.encode() for key in keys]

    def dumps(self, value: Any, kind: Any) -> bytes:  # noqa: ARG002  the protocol's
        """Return the signature and the pickle of ``value``."""
        try:
            data = pickle.dumps(value, protocol=5)
        except Exception as exc:
            what = f"{type(value).__module__}.{type(value).__qualname__}"
            raise CacheSerializationError(f"a {what} cannot be pickled: {exc}") from exc
        return self._sign(self._keys[0], data) + data

    def loads(self, data: bytes, kind: Any) -> Any:  # noqa: ARG002  the protocol's
        """Return the value, if one of the keys has signed it."""
        signature, rest = data[:_LENGTH], data[_LENGTH:]
        if not any(hmac.compare_digest(self._sign(key, rest), signature) for key in self._keys):
            raise ValueError("not signed with one of our keys")
        return pickle.loads(rest)  # noqa: S301  signed by a process that has our key

    @staticmethod
    def _sign(key: bytes, data: bytes) -> bytes:
        return hmac.digest(key, data, _DIGEST)
