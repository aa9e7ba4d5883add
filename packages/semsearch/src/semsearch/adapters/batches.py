"""Writes to servers, cut into requests that these take."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from ..errors import InvalidDocument

T = TypeVar("T")
USUAL = 8 << 20
"""Bytes of a request where a server names no limit below: its memory, and a proxy's, are finite."""


def batches(
    items: Sequence[T],
    sizes: Sequence[int],
    where: str,
    *,
    size: int = USUAL,
    count: int = 1000,
    most: int | None = None,
) -> list[list[T]]:
    """Return items by requests. Nothing is sent before all are known to fit.

    Args:
        items: What is written.
        sizes: The bytes of each.
        where: Names the server.
        size: Bytes of a request with several items.
        count: Items of a request.
        most: Bytes of a request with one; None for no limit.

    Raises:
        InvalidDocument: One is over ``most`` by itself.
    """
    made: list[list[T]] = []
    total = 0
    for each, length in zip(items, sizes, strict=True):
        if most is not None and length > most:
            raise InvalidDocument(
                f"a document of {length} bytes is over what {where} takes ({most})"
            )
        if not made or total + length > size or len(made[-1]) == count:
            made.append([])
            total = 0
        made[-1].append(each)
        total += length
    return made


def encoded(value: object) -> tuple[msgspec.Raw, int]:
    """Return a value as JSON to send, and its bytes."""
    raw = msgspec.json.encode(value)
    return msgspec.Raw(raw), len(raw) + 1
