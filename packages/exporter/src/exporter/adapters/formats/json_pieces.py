"""JSON of values of any size, some entries at a time.

Encoding holds the interpreter, and tens of megabytes in one call would hold it for longer than
other threads, an event loop among them, should wait.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ...errors import InvalidSource
from ...texts import integer, utf8

_SEPARATORS = (
    (b"\xe2\x80\xa8", b"\\u2028"),
    (b"\xe2\x80\xa9", b"\\u2029"),
    (b"\xc2\x85", b"\\u0085"),
)
_REFUSED = (UnicodeError, OverflowError, ValueError, TypeError)
_TOGETHER, _DEEP = 64, 40
Entries = list[tuple[Any, Any]]


def to_json(value: Any) -> bytes:
    """Return ``value`` as JSON: NaN and infinities as null, lone surrogates as U+FFFD.

    Raises:
        InvalidSource: It holds something that JSON has no word for.
    """
    try:
        data = _ENCODER.encode(value)
    except _REFUSED:
        plain = _plain(value)
        data = json.dumps(
            plain, ensure_ascii=False, allow_nan=False, separators=(",", ":")
        ).encode()
    return _on_one_line(data)


def to_json_lines(values: Sequence[Any]) -> bytes:
    """Return what :func:`to_json` returns for each of the ``values``, with a line feed behind it.

    Raises:
        InvalidSource: One holds something that JSON has no word for.
    """
    try:
        return _on_one_line(_ENCODER.encode_lines(values))
    except _REFUSED:
        return b"".join(to_json(value) + b"\n" for value in values)


def _on_one_line(data: bytes) -> bytes:
    # valid in JSON, but readers that split at "lines" take them for line breaks
    if not data.isascii():
        for raw, escaped in _SEPARATORS:
            data = data.replace(raw, escaped)
    return data


def json_pieces(value: Any, *, pretty: bool, depth: int = 0) -> Iterator[bytes]:
    """Yield what :func:`to_json` returns, in pieces of some entries.

    Args:
        value: A value of JSON.
        pretty: An entry a line, two columns further in for each level; else no spaces.
        depth: At which level it stands.

    Raises:
        InvalidSource: It holds something that JSON has no word for.
    """
    is_map = isinstance(value, Mapping)
    if not value or depth >= _DEEP or not (is_map or isinstance(value, list | tuple)):
        yield _styled(to_json(value), pretty=pretty, depth=depth)
        return
    entries = value.items() if is_map else zip(value, value, strict=True)
    yield b"{" if is_map else b"["
    comma = b""
    for held, big in _parted(entries):
        if held:
            data = to_json(dict(held) if is_map else [item for _, item in held])
            yield comma + _within(data, pretty=pretty, depth=depth)
            comma = b","
        if big is not None:
            yield comma + (b"\n" + b"  " * (depth + 1) if pretty else b"")
            if is_map:
                name = to_json({big[0]: 0})
                yield name[1 : name.rindex(b":")] + (b": " if pretty else b":")
            yield from json_pieces(big[1], pretty=pretty, depth=depth + 1)
            comma = b","
    yield (b"\n" + b"  " * depth if pretty else b"") + (b"}" if is_map else b"]")


def _parted(entries: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Entries, tuple[Any, Any] | None]]:
    """Yield entries to be encoded together, and the one behind them that is too large for that."""
    held: Entries = []
    for entry in entries:
        if _is_big(entry[1]):
            yield held, entry
            held = []
        else:
            held.append(entry)
            if len(held) == _TOGETHER:
                yield held, None
                held = []
    yield held, None


def _is_big(value: Any) -> bool:
    """Whether there are more than some values in it. It looks at no more than that."""
    if not isinstance(value, Mapping | list | tuple):
        return False
    open_, seen = [_inside(value)], 0
    while open_:
        for each in open_.pop():
            seen += 1
            if seen > _TOGETHER:
                return True
            if isinstance(each, Mapping | list | tuple):
                open_.append(_inside(each))
    return False


def _inside(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, Mapping) else value


def _styled(data: bytes, *, pretty: bool, depth: int) -> bytes:
    if not pretty:
        return data
    return msgspec.json.format(data, indent=2).replace(b"\n", b"\n" + b"  " * depth)


def _within(data: bytes, *, pretty: bool, depth: int) -> bytes:
    """Return the entries of a list or mapping without what is around them."""
    if not pretty:
        return data[1:-1]
    return msgspec.json.format(data, indent=2)[1:-2].replace(b"\n", b"\n" + b"  " * depth)


def _unknown(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise InvalidSource(f"JSON has no word for {type(value).__name__}")


_ENCODER = msgspec.json.Encoder(enc_hook=_unknown)


def _plain(value: Any) -> Any:  # noqa: PLR0911  one line for each kind of value
    if isinstance(value, Mapping):
        return {utf8(str(key)).decode(): _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, msgspec.Struct):
        return _plain(msgspec.to_builtins(value, enc_hook=_unknown))
    if isinstance(value, str):
        return utf8(value).decode()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int):
        text = integer(value)
        return text if text.lstrip("-").startswith("0x") else value
    return msgspec.to_builtins(value, enc_hook=_unknown)
