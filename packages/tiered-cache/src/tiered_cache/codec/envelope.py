"""The envelope around a value in the shared level.

``C7`` magic, format version, serializer id, compressor id, length of the header, header (msgpack:
times, versions of the tags), payload. The serializer that reads is the configured one: an id in
the bytes can never choose another. What cannot be read is a miss.
"""

import math
import struct
from typing import Any, NamedTuple

import msgspec

from ..errors import CacheSerializationError
from ..ports import Compressor, Serializer
from . import compressors

_MAGIC = 0xC7
_FORMAT = 1
_FIXED = struct.Struct("<BBBBI")
_GAIN = 0.9


class Header(msgspec.Struct, array_like=True, frozen=True):
    """What is known of a value. Times are seconds since the epoch.

    Fields may be added at the end, with a default: releases without them read past them.
    """

    created: float
    expires: float
    stale_until: float
    tags: dict[str, int]
    copy: bool = False


class Loaded(NamedTuple):
    """A value that came back, and its header."""

    value: Any
    header: Header
    size: int


class Codec:
    """Values to envelopes and back, by one serializer."""

    def __init__(
        self, serializer: Serializer, *, compressor: Compressor | None, threshold: int, limit: int
    ) -> None:
        """Write with ``serializer`` and ``compressor``.

        Args:
            serializer: The only one that is read, too.
            compressor: None compresses nothing unless asked for.
            threshold: Bytes from which values are compressed.
            limit: Most bytes of a decompressed value.
        """
        self._serializer, self._compressor = serializer, compressor
        self._threshold, self._limit = threshold, limit
        self._header = msgspec.msgpack.Decoder(Header)

    def dumps(
        self, value: Any, kind: Any, header: Header, *, compress: bool | None = None
    ) -> bytes:
        """Return the envelope of ``value``.

        Raises:
            CacheSerializationError: The value would not come back as it is.
        """
        payload, number = self._serializer.dumps(value, kind), 0
        wanted = self._compressor is not None and len(payload) >= self._threshold
        if wanted if compress is None else compress:
            if len(payload) > self._limit:
                raise CacheSerializationError(
                    f"the value has {len(payload)} bytes and would not be decompressed again: "
                    f"compression.max_size is {self._limit}; raise it, or say compress=False"
                )
            machine = self._compressor or compressors.ZlibCompressor()
            packed = machine.compress(payload)
            # a value that hardly shrinks is cheaper to read as it is
            if compress or len(packed) < len(payload) * _GAIN:
                payload, number = packed, machine.id
        head = msgspec.msgpack.encode(header)
        fixed = _FIXED.pack(_MAGIC, _FORMAT, self._serializer.id, number, len(head))
        return b"".join((fixed, head, payload))

    def loads(self, data: bytes, kind: Any) -> Loaded | None:
        """Return the value of an envelope; None for bytes that are none of ours or broken."""
        try:
            magic, version, codec, number, length = _FIXED.unpack_from(data)
            if magic != _MAGIC or version != _FORMAT or codec != self._serializer.id:
                return None
            start = _FIXED.size + length
            header = self._header.decode(data[_FIXED.size : start])
            if not (math.isfinite(header.expires) and math.isfinite(header.stale_until)):
                return None
            payload = data[start:]
            if number:
                payload = compressors.by_id(number).decompress(payload, self._limit)
            return Loaded(self._serializer.loads(payload, kind), header, len(payload))
        except Exception:  # noqa: BLE001  hostile bytes may raise anything; they are a miss
            return None
