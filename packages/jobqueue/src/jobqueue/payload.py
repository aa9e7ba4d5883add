"""Payloads: JSON in, JSON out, never code."""

import hmac
import math
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from .errors import PayloadError

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()
_MAX_DEPTH = 100
SIGNATURE: Final = "jobqueue-signature"
"""The header that holds it."""


def encode(value: Any, limit: int, kind: str, name: str) -> bytes:
    """Return ``value`` as JSON of at most ``limit`` bytes; ``kind`` and ``name`` are for errors.

    Dataclasses, msgspec structs, pydantic models, dates, UUIDs, decimals and enums become what
    JSON has for them.

    Raises:
        PayloadError: It cannot be JSON (also NaN and infinities), is too deep or too long.
    """
    try:
        data = _encoder.encode(value) if not hasattr(value, "model_dump_json") else _pydantic(value)
    except (TypeError, ValueError, OverflowError, RecursionError) as exc:
        why = str(exc).encode("ascii", "backslashreplace").decode()
        raise PayloadError(f"{kind} {name!r} cannot be JSON: {why}") from exc
    # msgspec writes NaN and infinities as null, and only brackets nest: most payloads have neither
    if b"null" in data or data.count(b"{") + data.count(b"[") > _MAX_DEPTH:
        _check(value, f"{kind} {name!r}", _MAX_DEPTH)
    if len(data) > limit:
        raise PayloadError(
            f"{kind} {name!r} has {len(data)} bytes as JSON, over the limit of {limit}: store it "
            "elsewhere and enqueue where it is, or raise max_payload"
        )
    return data


def _pydantic(value: Any) -> bytes:
    return str(value.model_dump_json()).encode()


def _check(value: Any, what: str, depth: int) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise PayloadError(f"{what} cannot be JSON: {value!r} is not a JSON number")
    if isinstance(value, dict):
        items: Any = value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        items = value
    else:
        return
    if depth == 0:
        raise PayloadError(f"{what} is nested deeper than {_MAX_DEPTH}")
    for item in items:
        _check(item, what, depth - 1)


def decode(data: bytes, kind: str, name: str) -> Any:
    """Return the value of JSON bytes; ``kind`` and ``name`` are for errors.

    Raises:
        PayloadError: They are not JSON.
    """
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, RecursionError, ValueError) as exc:
        raise PayloadError(f"{kind} {name!r} is not JSON: {exc}") from exc


def fit(value: Any, kind: Any, what: str) -> Any:
    """Return plain ``value`` as the dataclass, struct or pydantic model ``kind``.

    Raises:
        PayloadError: It does not fit.
    """
    try:
        if hasattr(kind, "model_validate"):
            return kind.model_validate(value)
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, ValueError, TypeError) as exc:
        raise PayloadError(
            f"{what} does not fit {getattr(kind, '__name__', kind)!r}: {exc}"
        ) from exc


def signature(key: str, job_id: str, name: str, data: bytes) -> str:
    """Return what only who has ``key`` can say of a job: HMAC-SHA256 (RFC 2104), in hex."""
    text = b"\0".join((job_id.encode(), name.encode(), data))  # which ids and names do not have
    return hmac.new(key.encode(), text, "sha256").hexdigest()


def check_signature(
    keys: Sequence[str], given: str | None, job_id: str, name: str, data: bytes
) -> None:
    """Refuse a job that nobody with one of ``keys`` enqueued as it is.

    Raises:
        PayloadError: It has no signature, or another one.
    """
    if given is None:
        raise PayloadError(
            f"job {job_id!r} is not signed: whoever enqueues needs one of the signing_keys"
        )
    good = [signature(key, job_id, name, data) for key in keys]
    if not any(hmac.compare_digest(each.encode(), given.encode()) for each in good):
        raise PayloadError(
            f"job {job_id!r} was changed after it was signed, or signed with a key that is none of "
            "the signing_keys"
        )
