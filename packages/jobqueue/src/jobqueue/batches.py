"""How many jobs go to a broker at once."""

from collections.abc import Iterator, Sequence

from .ports import Record

MOST = 1000
LARGEST = 16 * 1024**2
"""Bytes of data: servers refuse a statement of a gigabyte, and serve nobody else meanwhile."""


def batches(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    """Yield ``records`` in parts of at most ``MOST``, and ``LARGEST`` unless one alone has more."""
    start = 0
    while start < len(records):
        part = records[start : start + MOST]
        if sum([len(record.data) for record in part]) > LARGEST:
            part = part[: _fitting(part)]
        yield part
        start += len(part)


def _fitting(records: Sequence[Record]) -> int:
    size = 0
    for count, record in enumerate(records):
        size += len(record.data)
        if size > LARGEST and count:
            return count
    return len(records)
