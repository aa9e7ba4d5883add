"""Serializers. A value comes back with its own type, or is refused when it is stored."""

import struct
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

import msgspec

from .._common.plugins import Plugins
from ..errors import CacheSerializationError
from ..ports import Serializer

_MAX_DEPTH = 100
_TUPLE, _SET, _FROZENSET, _DECIMAL, _UUID, _DATE, _TIME, _DELTA, _DATETIME, _INT, _COMPLEX = range(
    1, 12
)
_SIMPLE = (type(None), bool, float, str, bytes)


def _refuse(value: Any) -> CacheSerializationError:
    kind = type(value)
    return CacheSerializationError(
        f"a {kind.__module__}.{kind.__qualname__} has no bytes that would give it back: annotate "
        "the function's return type, or keep it in this process with skip_l2=True"
    )


class MsgpackSerializer:
    """msgpack by msgspec, with extension types for what msgpack does not tell apart."""

    id = 1

    def __init__(self) -> None:
        """Make the encoders once."""
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(ext_hook=self._unpack_ext).decode

    def dumps(self, value: Any, kind: Any) -> bytes:
        """Return the bytes of ``value``; ``kind`` may be a dataclass, struct or the like."""
        if kind is None:
            return self._plain(value)
        return _typed(value, kind, msgspec.msgpack.encode, msgspec.msgpack.decode, self._plain)

    def loads(self, data: bytes, kind: Any) -> Any:
        """Return the value of ``data``."""
        if data[:1] == b"T":
            return msgspec.msgpack.decode(data[1:], type=kind)
        return self._decode(data[1:])

    def _plain(self, value: Any) -> bytes:
        try:
            return b"P" + self._encode(self._pack(value, _MAX_DEPTH))
        except (UnicodeEncodeError, OverflowError) as exc:
            raise CacheSerializationError(f"the value cannot be msgpack: {exc}") from exc

    def _pack(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind in _SIMPLE:
            return value
        if depth == 0:
            raise CacheSerializationError(f"the value is nested deeper than {_MAX_DEPTH}")
        if kind is int:
            small = -(1 << 63) <= value < 1 << 64
            return value if small else msgspec.msgpack.Ext(_INT, hex(value).encode())
        if kind is list:
            return [self._pack(item, depth - 1) for item in value]
        if kind is dict:
            return self._pack_dict(value, depth)
        if kind in {tuple, set, frozenset}:
            code = _CONTAINERS[kind]
            items = [self._pack(item, depth - 1) for item in value]
            return msgspec.msgpack.Ext(code, self._encode(items))
        if (rule := _EXACT.get(kind)) is not None:
            return msgspec.msgpack.Ext(rule[0], rule[1](value))
        raise _refuse(value)

    def _pack_dict(self, value: dict[Any, Any], depth: int) -> dict[Any, Any]:
        if any(type(key) not in {str, int, bytes, bool, float, type(None)} for key in value):
            raise _refuse(next(iter(value)))
        return {key: self._pack(item, depth - 1) for key, item in value.items()}

    def _unpack_ext(self, code: int, data: memoryview) -> Any:
        raw = bytes(data)
        if code in {_TUPLE, _SET, _FROZENSET}:
            return {_TUPLE: tuple, _SET: set, _FROZENSET: frozenset}[code](self._decode(raw))
        return _BACK[code](raw)


def _text(value: Any) -> bytes:
    return str(value).encode()


def _zoned(value: Any) -> bytes:
    if value.tzinfo is not None and type(value.tzinfo).__name__ not in {"timezone", "ZoneInfo"}:
        raise _refuse(value)
    zone = getattr(value.tzinfo, "key", "")
    return f"{value.isoformat()}|{value.fold}|{zone}".encode()


def _datetime(raw: bytes) -> datetime:
    from zoneinfo import ZoneInfo

    text, fold, zone = raw.decode().split("|")
    made = datetime.fromisoformat(text)
    return made.replace(tzinfo=ZoneInfo(zone) if zone else made.tzinfo, fold=int(fold))


_CONTAINERS: dict[type, int] = {tuple: _TUPLE, set: _SET, frozenset: _FROZENSET}
_EXACT: dict[type, tuple[int, Callable[[Any], bytes]]] = {
    Decimal: (_DECIMAL, _text),
    UUID: (_UUID, lambda value: value.bytes),
    date: (_DATE, _text),
    time: (_TIME, _text),
    timedelta: (_DELTA, lambda v: struct.pack("<qqq", v.days, v.seconds, v.microseconds)),
    datetime: (_DATETIME, _zoned),
    complex: (_COMPLEX, lambda value: struct.pack("<dd", value.real, value.imag)),
}
_BACK: dict[int, Callable[[bytes], Any]] = {
    _DECIMAL: lambda raw: Decimal(raw.decode()),
    _UUID: lambda raw: UUID(bytes=raw),
    _DATE: lambda raw: date.fromisoformat(raw.decode()),
    _TIME: lambda raw: time.fromisoformat(raw.decode()),
    _DELTA: lambda raw: timedelta(*struct.unpack("<qqq", raw)),
    _DATETIME: _datetime,
    _COMPLEX: lambda raw: complex(*struct.unpack("<dd", raw)),
    _INT: lambda raw: int(raw, 16),
}


class JsonSerializer:
    """JSON by msgspec, for values that other programs read: str keys, lists, no tuples."""

    id = 2

    def dumps(self, value: Any, kind: Any) -> bytes:
        """Return the bytes of ``value``."""
        return _typed(value, kind, msgspec.json.encode, msgspec.json.decode, self._plain)

    def loads(self, data: bytes, kind: Any) -> Any:
        """Return the value of ``data``."""
        if data[:1] == b"T":
            return msgspec.json.decode(data[1:], type=kind)
        return msgspec.json.decode(data[1:])

    def _plain(self, value: Any) -> bytes:
        try:
            data = msgspec.json.encode(value)
            if _same(msgspec.json.decode(data), value):
                return b"P" + data
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as exc:
            raise CacheSerializationError(f"the value cannot be JSON: {exc}") from exc
        raise _refuse(value)


class RawSerializer:
    """Bytes as they are."""

    id = 3

    def dumps(self, value: Any, kind: Any) -> bytes:  # noqa: ARG002  the protocol's
        """Return ``value``, which must be bytes."""
        if type(value) is not bytes:
            raise _refuse(value)
        return value

    def loads(self, data: bytes, kind: Any) -> Any:  # noqa: ARG002  the protocol's
        """Return ``data``."""
        return data


def _typed(
    value: Any,
    kind: Any,
    encode: Callable[[Any], bytes],
    decode: Callable[..., Any],
    plain: Callable[[Any], bytes],
) -> bytes:
    """Encode by the declared type where that gives the same value back, else as a plain value."""
    try:
        data = encode(value)
        if _same(decode(data, type=kind), value):
            return b"T" + data
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
        pass
    return plain(value)


def _same(found: Any, value: Any) -> bool:
    """Whether a round trip gave back type and value, all the way down."""
    if type(found) is not type(value):
        return False
    if isinstance(value, dict):
        return len(found) == len(value) and all(
            key in found and _same(found[key], item) for key, item in value.items()
        )
    if isinstance(value, list | tuple):
        return len(found) == len(value) and all(map(_same, found, value))
    fields = getattr(value, "__struct_fields__", None) or getattr(
        value, "__dataclass_fields__", None
    )
    if fields:
        return all(_same(getattr(found, name, None), getattr(value, name, None)) for name in fields)
    return bool(found == value)


SERIALIZERS: Final = Plugins(
    "serializer",
    "tiered_cache.serializers",
    {
        "msgpack": "tiered_cache.codec.serializers:MsgpackSerializer",
        "json": "tiered_cache.codec.serializers:JsonSerializer",
        "raw": "tiered_cache.codec.serializers:RawSerializer",
        "pickle-signed": "tiered_cache.codec.signed:SignedPickleSerializer",
    },
)


def make(name: str, keys: Sequence[str] = ()) -> Serializer:
    """Return the serializer of a name.

    Args:
        name: ``msgpack``, ``json``, ``raw``, ``pickle-signed``, or one that another distribution
            registered under the entry point ``tiered_cache.serializers``.
        keys: What ``pickle-signed`` signs with.

    Raises:
        ConfigurationError: There is none of that name, or its keys are missing.
    """
    kind = SERIALIZERS.load(name)
    made: Serializer = kind(keys) if name == "pickle-signed" else kind()
    return made
