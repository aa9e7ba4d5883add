"""What callers attach to their jobs: values of JSON that come back as they were given."""

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from ..errors import ConfigurationError
from ..texts import quoted
from .requests import storable

_MAX_METADATA, _MAX_DEPTH = 64 * 1024, 32


def checked_metadata(metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what a caller attaches to a job, as JSON gives it back.

    Raises:
        ConfigurationError: It is no mapping of names to values of JSON, or takes over 64 KiB.
    """
    given: Any = {} if metadata is None else metadata
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"metadata must be a mapping, not {type(given).__name__}")
    try:
        _check_value(given, "metadata", _MAX_DEPTH)
        data = msgspec.json.encode(dict(given))
    except (TypeError, ValueError, OverflowError) as exc:
        raise ConfigurationError(f"metadata cannot be JSON: {exc}") from exc
    if len(data) > _MAX_METADATA:
        raise ConfigurationError(
            f"metadata has {len(data)} bytes as JSON, over the limit of {_MAX_METADATA}"
        )
    found: dict[str, Any] = msgspec.json.decode(data)
    return found


def _check_value(value: Any, where: str, depth: int) -> None:
    """Refuse what would not come back as it was given."""
    if not depth:
        raise ConfigurationError(f"metadata is nested deeper than {_MAX_DEPTH}")
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ConfigurationError(f"{where}: keys must be text, not {quoted(key)}")
            _check_plain(key, where)
            _check_value(item, f"{where}.{key}"[:200], depth - 1)
    elif isinstance(value, list | tuple):
        for item in value:
            _check_value(item, where, depth - 1)
    else:
        _check_plain(value, where)


def _check_plain(value: Any, where: str) -> None:
    if isinstance(value, str):
        if not storable(value):
            raise ConfigurationError(f"{where} must be without NUL and surrogates")
    elif isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 64:
            raise ConfigurationError(f"{where} must be an integer of 64 bits, not {quoted(value)}")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ConfigurationError(f"{where} must be a number of JSON, not {value!r}")
    elif value is not None:
        raise ConfigurationError(f"{where}: JSON has no word for {type(value).__name__}")
