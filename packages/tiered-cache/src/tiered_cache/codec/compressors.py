"""Compressors. Decompression is bounded: a few bytes cannot become gigabytes."""

import zlib
from typing import Any

from .._common.extras import require
from ..ports import Compressor


class ZlibCompressor:
    """zlib, level 6, from the standard library."""

    id = 1

    def compress(self, data: bytes) -> bytes:
        """Return the compressed bytes."""
        return zlib.compress(data)

    def decompress(self, data: bytes, limit: int) -> bytes:
        """Return at most ``limit`` bytes."""
        machine = zlib.decompressobj()
        try:
            found = machine.decompress(data, limit)
        except zlib.error as exc:
            raise ValueError(str(exc)) from exc
        if not machine.eof or machine.unconsumed_tail:
            raise ValueError(f"over {limit} bytes, or cut off")
        return found


class ZstdCompressor:
    """Zstandard, level 3 (extra ``zstd``)."""

    id = 2

    def __init__(self) -> None:
        """Import the library."""
        self._zstd: Any = require("zstandard", dist="tiered-cache", extra="zstd")

    def compress(self, data: bytes) -> bytes:
        """Return the compressed bytes, with their length in the frame."""
        made: bytes = self._zstd.ZstdCompressor(level=3).compress(data)
        return made

    def decompress(self, data: bytes, limit: int) -> bytes:
        """Return at most ``limit`` bytes."""
        try:
            size = self._zstd.frame_content_size(data)
            if not 0 <= size <= limit:
                raise ValueError(f"over {limit} bytes, or of unknown size")
            found: bytes = self._zstd.ZstdDecompressor().decompress(data, max_output_size=limit)
        except self._zstd.ZstdError as exc:
            raise ValueError(str(exc)) from exc
        return found


class Lz4Compressor:
    """LZ4 frames (extra ``lz4``)."""

    id = 3

    def __init__(self) -> None:
        """Import the library."""
        self._lz4: Any = require("lz4.frame", dist="tiered-cache", extra="lz4")

    def compress(self, data: bytes) -> bytes:
        """Return the compressed bytes."""
        made: bytes = self._lz4.compress(data)
        return made

    def decompress(self, data: bytes, limit: int) -> bytes:
        """Return at most ``limit`` bytes."""
        machine = self._lz4.LZ4FrameDecompressor()
        try:
            found: bytes = machine.decompress(data, max_length=limit)
        except RuntimeError as exc:
            raise ValueError(str(exc)) from exc
        if not machine.eof:
            raise ValueError(f"over {limit} bytes, or cut off")
        return found


_KINDS: dict[str, type[Any]] = {
    "zlib": ZlibCompressor,
    "zstd": ZstdCompressor,
    "lz4": Lz4Compressor,
}


def make(name: str) -> Compressor:
    """Return the compressor of a name.

    Raises:
        MissingExtraError: Its library is not installed.
    """
    made: Compressor = _KINDS[name]()
    return made


def by_id(number: int) -> Compressor:
    """Return the compressor that wrote ``number``.

    Raises:
        ValueError: There is none.
        MissingExtraError: Its library is not installed.
    """
    for name, kind in _KINDS.items():
        if kind.id == number:
            return make(name)
    raise ValueError(f"unknown compressor {number}")
