"""What turns values into bytes, and bytes into fewer."""

from typing import Any, Protocol


class Serializer(Protocol):
    """Values to bytes and back. ``id`` (0 to 255) is written before the bytes."""

    id: int

    def dumps(self, value: Any, kind: Any) -> bytes:
        """Return the bytes of ``value``, declared as the type ``kind`` (or None).

        Raises:
            CacheSerializationError: They would not give the same value back.
        """
        ...

    def loads(self, data: bytes, kind: Any) -> Any:
        """Return the value of ``data``; any exception makes it a miss."""
        ...


class Compressor(Protocol):
    """Bytes to fewer bytes and back. ``id`` (1 to 255) is written before the bytes."""

    id: int

    def compress(self, data: bytes) -> bytes:
        """Return the compressed bytes."""
        ...

    def decompress(self, data: bytes, limit: int) -> bytes:
        """Return the bytes; raise ValueError if they are over ``limit`` or broken."""
        ...
