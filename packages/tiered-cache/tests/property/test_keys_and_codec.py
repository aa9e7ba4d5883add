"""Keys never meet, values come back as they are, and foreign bytes do nothing."""

import math
import pickle
import zlib
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiered_cache import CacheProvider, CacheSerializationError, ConfigurationError
from tiered_cache.codec import Codec, compressors, serializers
from tiered_cache.codec.envelope import Header
from tiered_cache.keys import KeyMaker, encode, glob_matches

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
atoms = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(1 << 80), max_value=1 << 80),
    st.floats(),
    texts,
    st.binary(max_size=12),
    st.decimals(),
    st.uuids(),
    st.dates(),
    st.datetimes(timezones=st.none() | st.just(UTC) | st.just(timezone(timedelta(hours=2)))),
    st.timedeltas(),
)
hashables = st.one_of(st.none(), st.booleans(), st.integers(), texts, st.uuids(), st.dates())
keys = st.one_of(texts, st.integers(-(1 << 63), (1 << 64) - 1), st.binary(max_size=5))
values = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.sets(hashables, max_size=4),
        st.dictionaries(keys, inner, max_size=4),
    ),
    max_leaves=12,
)
HEADER = Header(1.0, 2.0, 3.0, {"*": 4})


def shape(value: Any) -> Any:
    """Return something that is equal only for values of the same type and content."""
    kind = type(value).__name__
    if isinstance(value, list | tuple):
        return kind, tuple(map(shape, value))
    if isinstance(value, set | frozenset):
        return kind, frozenset(map(shape, value))
    if isinstance(value, dict):
        return kind, frozenset((shape(key), shape(item)) for key, item in value.items())
    if isinstance(value, float):
        return kind, "nan" if math.isnan(value) else value.hex()
    if isinstance(value, datetime):
        return kind, value.isoformat(), value.fold, value.utcoffset()
    return kind, str(value) if isinstance(value, Decimal) else value


def codec(name: str | None = None, limit: int = 1 << 20) -> Codec:
    machine = None if name is None else compressors.make(name)
    return Codec(serializers.make("msgpack"), compressor=machine, threshold=1, limit=limit)


@given(values, values)
def test_arguments_have_one_text_each(first: Any, second: Any) -> None:
    assert (encode(first) == encode(second)) == (shape(first) == shape(second))


@given(st.lists(texts, min_size=2, max_size=2), st.lists(texts, min_size=2, max_size=2))
@pytest.mark.parametrize("template", [None, "x:{a}:{b}"])
def test_two_arguments_never_slide_into_each_other(
    template: str | None, first: list[str], second: list[str]
) -> None:
    def function(a: str, b: str) -> None: ...

    make = KeyMaker(function, template, "n", 1)
    assert (make(tuple(first), {})[0] == make(tuple(second), {})[0]) == (first == second)


template_values = st.one_of(
    st.none(), st.booleans(), st.integers(-99, 99), texts, st.binary(max_size=3), st.dates()
)


@given(template_values, template_values)
def test_templates_tell_types_apart(first: Any, second: Any) -> None:
    def function(a: Any) -> None: ...

    make = KeyMaker(function, "x:{a}", None, 1)
    assert (make((first,), {}) == make((second,), {})) == (shape(first) == shape(second))


@pytest.mark.parametrize("first", ["None", "n", "s1:1", "%s;1", "1", "-1", "t", "i1"])
@pytest.mark.parametrize("second", [None, 1, -1, True, b"1"])
def test_templates_tell_look_alikes_apart(first: str, second: Any) -> None:
    def function(a: Any) -> None: ...

    make = KeyMaker(function, "x:{a}", None, 1)
    assert make((first,), {}) != make((second,), {})


@pytest.mark.parametrize("name", [None, "zlib", "zstd", "lz4"])
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(values)
def test_values_come_back_with_their_types(name: str | None, value: Any) -> None:
    if name in {"zstd", "lz4"}:
        pytest.importorskip({"zstd": "zstandard", "lz4": "lz4"}[name])
    made = codec(name)
    data = made.dumps(value, None, HEADER, compress=name is not None)
    found = made.loads(data, None)
    assert found is not None
    assert shape(found.value) == shape(value)
    assert found.header == HEADER


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_miss(data: bytes) -> None:
    codec().loads(data, None)
    codec().loads(data, dict[str, int])


@given(values, st.data())
def test_damaged_envelopes_are_a_value_or_a_miss(value: Any, data: st.DataObject) -> None:
    raw = bytearray(codec("zlib").dumps(value, None, HEADER))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    codec().loads(bytes(raw), None)
    assert codec().loads(bytes(raw[:0]), None) is None
    codec().loads(bytes(raw[:cut]), None)


ran: list[str] = []


class Bomb:
    """Runs code where it is unpickled."""

    def __reduce__(self) -> Any:
        return ran.append, ("boom",)


YAML = b"!!python/object/apply:os.system ['exit 1']"


@pytest.mark.parametrize("bomb", [pickle.dumps(Bomb()), YAML], ids=["pickle", "yaml"])
@pytest.mark.parametrize("number", range(6))
def test_bytes_never_run(bomb: bytes, number: int) -> None:
    # as they are, as the payload of an envelope, and under every serializer's id
    whole = codec().dumps(1, None, HEADER)
    head = bytearray(whole[:-2])
    head[2] = number
    for data in (bomb, bytes(head) + bomb, bytes(head) + b"P" + bomb, bytes(head) + b"T" + bomb):
        for kind in (None, Bomb, object):
            codec().loads(data, kind)
    assert not ran


@pytest.mark.parametrize("name", ["zlib", "zstd", "lz4"])
def test_a_few_bytes_do_not_become_many(name: str) -> None:
    if name != "zlib":
        pytest.importorskip({"zstd": "zstandard", "lz4": "lz4"}[name])
    made, generous = codec(name, limit=1000), codec(name)
    assert made.loads(generous.dumps(b"x" * 100_000, None, HEADER, compress=True), None) is None
    assert made.loads(made.dumps(b"x" * 900, None, HEADER, compress=True), None) is not None
    data = bytearray(made.dumps(b"x" * 900, None, HEADER, compress=True))
    assert made.loads(bytes(data[:-3]), None) is None
    data[3] = 9  # a compressor that nobody has
    assert made.loads(bytes(data), None) is None


def test_zlib_with_garbage_is_a_miss() -> None:
    made = codec("zlib")
    data = made.dumps(b"y" * 500, None, HEADER, compress=True)
    start = data.index(zlib.compress(b"")[:1], 8)
    assert made.loads(data[:start] + b"\xff" * 20, None) is None


def test_deep_nesting_is_refused_and_read_safely() -> None:
    value: Any = []
    for _ in range(500):
        value = (value,)
    from tiered_cache import CacheSerializationError

    with pytest.raises(CacheSerializationError, match="nested"):
        codec().dumps(value, None, HEADER)
    whole = codec().dumps(1, None, HEADER)
    assert codec().loads(whole[:-2] + b"P" + b"\x91" * 100_000 + b"\xc0", None) is None


def test_examples_of_each_type() -> None:
    value = {
        "big": 1 << 200, "neg": -(1 << 100), "nan": float("nan"), "zero": -0.0,
        "d": Decimal("1.10"),
        "u": UUID(int=7), "day": date(2026, 1, 2), "set": {1, "1"}, "t": (1, [2, (3,)]), "b": b"\0",
        "span": timedelta(-1, 5, 7), "at": datetime(2026, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    found = codec().loads(codec().dumps(value, None, HEADER), None)
    assert found is not None
    assert shape(found.value) == shape(value)


def signed(*keys: str) -> Codec:
    serializer = serializers.make("pickle-signed", keys)
    return Codec(serializer, compressor=None, threshold=1 << 30, limit=1 << 20)


KEY, OTHER = "a key of our own, long enough", "a key of somebody else, as long"


@pytest.mark.parametrize("compressor", range(6))
def test_unsigned_pickles_never_run(compressor: int) -> None:
    mine, theirs = signed(KEY), signed(OTHER)
    bomb = pickle.dumps(Bomb())
    for raw in (bomb, b"\0" * 32 + bomb, theirs.dumps(Bomb(), None, HEADER)[-len(bomb) - 32 :]):
        head = bytearray(mine.dumps(1, None, HEADER))
        start = len(head) - len(pickle.dumps(1, protocol=5)) - 32
        head[3] = compressor
        payload = zlib.compress(raw) if compressor == 1 else raw
        assert mine.loads(bytes(head[:start]) + payload, None) is None
    assert mine.loads(theirs.dumps(Bomb(), None, HEADER), None) is None
    # and the safe serializers do not read it, whoever signed it
    assert codec().loads(mine.dumps(Bomb(), None, HEADER), None) is None
    assert not ran


@given(st.data())
def test_a_signature_covers_every_byte(data: st.DataObject) -> None:
    made = signed(KEY)
    raw = bytearray(made.dumps({"a": [1, 2]}, None, HEADER))
    at = data.draw(st.integers(len(raw) - 40, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    assert made.loads(bytes(raw), None) is None


def test_keys_can_be_replaced() -> None:
    old, both = signed(OTHER), signed(KEY, OTHER)
    found = both.loads(old.dumps({1, 2}, None, HEADER), None)
    assert found is not None
    assert found.value == {1, 2}
    assert old.loads(both.dumps(1, None, HEADER), None) is None
    from tiered_cache import CacheSerializationError

    with pytest.raises(CacheSerializationError, match="cannot be pickled"):
        both.dumps(lambda: 1, None, HEADER)


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("k?", ["k1", "k\n"], ["k", "k12", "K1"]),
        ("*a*b", ["ab", "xaxb", "aab"], ["ba", "abx"]),
        ("k[ac-e]", ["ka", "kd"], ["kb", "k-", "k"]),
        ("k[e-c]", ["kd"], ["kb"]),
        ("k[^a]", ["kb", "k^"], ["ka", "k"]),
        ("k[!a]", ["k!", "ka"], ["kb"]),
        (r"k\*", ["k*"], ["kx", "k\\*"]),
        (r"k[\]a]", ["k]", "ka"], ["k\\", "kb"]),
        ("k]", ["k]"], ["k"]),
        ("k\\", ["k\\"], ["k"]),
        ("a.c", ["a.c"], ["abc"]),
    ],
)
def test_globs(pattern: str, matching: list[str], others: list[str]) -> None:
    assert [key for key in [*matching, *others] if glob_matches(pattern, key)] == matching


def test_a_glob_with_many_stars_is_quick() -> None:
    assert not glob_matches("*a" * 25 + "b", "a" * 5_000)


@pytest.mark.parametrize("pattern", ["", 5, "k[", "k[]", "k[^]", "k[a", r"k[a\]", "k[a-]"])
async def test_patterns_that_cannot_be(pattern: Any) -> None:
    async with CacheProvider.from_url("memory://") as cache:
        with pytest.raises(ConfigurationError):
            await cache.delete_pattern(pattern)


@pytest.mark.parametrize("name", ["zlib", "zstd", "lz4"])
def test_what_would_not_be_decompressed_is_refused(name: str) -> None:
    pytest.importorskip({"zstd": "zstandard", "lz4": "lz4.frame"}.get(name, "zlib"))
    machine = compressors.make(name)
    codec = Codec(serializers.RawSerializer(), compressor=machine, threshold=100, limit=1000)
    fits = codec.loads(codec.dumps(b"x" * 1000, None, HEADER), None)
    assert fits is not None
    assert fits.value == b"x" * 1000
    with pytest.raises(CacheSerializationError, match=r"1001 bytes.*max_size is 1000"):
        codec.dumps(b"x" * 1001, None, HEADER)
    plain = codec.loads(codec.dumps(b"x" * 1001, None, HEADER, compress=False), None)
    assert plain is not None
    assert len(plain.value) == 1001
