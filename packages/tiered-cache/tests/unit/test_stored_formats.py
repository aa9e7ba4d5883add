"""Bytes as releases stored them: today's code reads each of them, or takes it for a miss."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest

from tiered_cache.codec import Codec, serializers
from tiered_cache.codec.envelope import Header

# written once by the release that first had the format, never again
STORED: list[dict[str, Any]] = json.loads(
    Path(__file__).with_name("stored_formats.json").read_text()
)
VALUE = {
    "text": "ü" * 40, "none": None, "big": 1 << 70, "minus": -1, "pair": (1, "a"), "set": {1, 2},
    "price": Decimal("1.50"), "id": UUID(int=7), "at": datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
}  # fmt: skip
PLAIN = {"text": "ü" * 40, "n": [1, None, -1.5]}
HEADER = Header(1000.5, 2000.5, 3000.5, {"*": 1750000000000000, "t": 1750000000000001})


def codec(name: str) -> Codec:
    made = serializers.make(name, ["not-a-secret-of-anybody"])
    return Codec(made, compressor=None, threshold=1 << 30, limit=1 << 20)


@pytest.mark.parametrize("row", STORED, ids=lambda row: row["name"])
def test_what_was_stored_is_read(row: dict[str, Any]) -> None:
    if row["compressor"] != "zlib":
        pytest.importorskip({"zstd": "zstandard", "lz4": "lz4"}.get(row["compressor"], "zlib"))
    found = codec(row["serializer"]).loads(bytes.fromhex(row["hex"]), None)
    assert found is not None
    assert found.value == {"raw": b"raw" * 20, "json": PLAIN}.get(row["serializer"], VALUE)
    assert found.header == HEADER


@pytest.mark.parametrize("row", STORED, ids=lambda row: row["name"])
@pytest.mark.parametrize("version", [0, 2, 255])
def test_a_format_of_another_time_is_a_miss(row: dict[str, Any], version: int) -> None:
    data = bytearray.fromhex(row["hex"])
    assert data[1] == 1, "the format's version"
    data[1] = version
    assert codec(row["serializer"]).loads(bytes(data), None) is None


class OldHeader(msgspec.Struct, array_like=True, frozen=True):
    """What a release knows that is older than ``copy``."""

    created: float
    expires: float
    stale_until: float
    tags: dict[str, int]


def test_an_older_release_reads_past_what_was_added() -> None:
    new = Header(1.0, 2.0, 3.0, {"*": 4}, copy=True)
    old = OldHeader(1.0, 2.0, 3.0, {"*": 4})
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(new), type=OldHeader) == old
    assert not msgspec.msgpack.decode(msgspec.msgpack.encode(old), type=Header).copy
