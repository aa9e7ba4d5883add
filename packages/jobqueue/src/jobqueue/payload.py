"""Payloads: JSON in, JSON out, never code."""

import math
from typing import Any

import msgspec

from .errors import PayloadError

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()
_MAX_DEPTH = 100


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
