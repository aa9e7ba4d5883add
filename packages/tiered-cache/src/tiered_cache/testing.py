"""What adapter authors and applications test with (extra ``testing``).

Subclass a suite, give its fixture an empty tier or two backplanes that hear each other, and skip
nothing.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from ._common.clock import FakeClock, settle
from .adapters.memory import MemoryBackplane, MemoryRemote
from .errors import BackendError
from .keys import glob_matches
from .ports import (
    ALL,
    LATEST,
    Backplane,
    Entry,
    LocalTier,
    Message,
    Read,
    RemoteTier,
    TagVersion,
    Write,
)
from .service import CacheProvider

__all__ = [
    "BackplaneSuite",
    "FakeClock",
    "FlakyRemote",
    "LocalTierSuite",
    "MemoryBackplane",
    "MemoryRemote",
    "RemoteTierSuite",
    "assert_single_flight",
    "settle",
]


class FlakyRemote(MemoryRemote):
    """A shared level in memory that fails while ``down`` is true, or hangs while ``frozen`` is."""

    down = False
    frozen = False

    async def _fault(self) -> None:
        if self.frozen:
            await asyncio.Event().wait()
        if self.down:
            raise BackendError("down for a test", retryable=True)

    async def read(self, keys: Sequence[str], tags: Sequence[str], *, fences: bool = True) -> Read:
        """Fail, hang or read."""
        await self._fault()
        return await super().read(keys, tags, fences=fences)

    async def write(self, items: Sequence[Write]) -> Sequence[bool]:
        """Fail, hang or write."""
        await self._fault()
        return await super().write(items)

    async def delete(self, keys: Sequence[str]) -> int:
        """Fail, hang or delete."""
        await self._fault()
        return await super().delete(keys)

    async def bump(self, tags: Sequence[str], *, soft: bool = False) -> Mapping[str, TagVersion]:
        """Fail, hang or bump."""
        await self._fault()
        return await super().bump(tags, soft=soft)


async def assert_single_flight(
    cache: CacheProvider, *, callers: int = 100, key: str = "single-flight"
) -> None:
    """Fail unless ``callers`` tasks that miss one key at once make one call of the factory."""
    calls = 0

    async def factory() -> int:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.01)
        return calls

    results = await asyncio.gather(*(cache.get_or_set(key, factory) for _ in range(callers)))
    assert calls == 1, f"{calls} calls of the factory for {callers} callers"
    assert results == [1] * callers


class LocalTierSuite:
    """The behaviour of an L1. The fixture makes one that holds at most 10 entries."""

    @pytest.fixture
    def tier(self) -> LocalTier:
        """Return an empty tier for 10 entries; subclasses override this."""
        raise NotImplementedError("override the fixture 'tier'")

    @staticmethod
    def entry(value: Any = 1, size: int = 100) -> Entry:
        """Return an entry that never expires."""
        return Entry(value, 1e12, 1e12, size=size)

    def test_get_returns_what_was_set(self, tier: LocalTier) -> None:
        """The very entry comes back; unknown keys are None."""
        entry = self.entry()
        tier.set("a", entry)
        assert tier.get("a") is entry
        assert tier.get("b") is None

    def test_set_replaces(self, tier: LocalTier) -> None:
        """The last entry of a key counts, also for the size."""
        tier.set("a", self.entry(1, 100))
        tier.set("a", self.entry(2, 50))
        found = tier.get("a")
        assert found is not None
        assert (found.value, len(tier), tier.size) == (2, 1, 50)

    def test_delete_and_clear(self, tier: LocalTier) -> None:
        """Dropped entries are gone and their bytes are given back."""
        tier.set("a", self.entry())
        assert tier.delete("a")
        assert not tier.delete("a")
        tier.set("b", self.entry())
        tier.clear()
        assert (len(tier), tier.size) == (0, 0)

    slack = 0
    """How many entries more than its limit a tier may hold for a while."""

    def test_count_is_bounded(self, tier: LocalTier) -> None:
        """Never more than 10 entries; what leaves is counted."""
        for n in range(500):
            tier.set(str(n), self.entry(n))
            assert len(tier) <= 10 + self.slack
        assert tier.evictions == 500 - len(tier)
        assert tier.size == 100 * len(list(tier.items()))

    def test_used_entries_survive(self, tier: LocalTier) -> None:
        """An entry that is asked for again and again is not what leaves first."""
        tier.set("hot", self.entry())
        for n in range(60):
            assert tier.get("hot") is not None, n
            tier.get("hot")
            tier.set(str(n), self.entry(n))

    def test_what_leaves_is_retired(self, tier: LocalTier) -> None:
        """Where ``marks_use`` is true, aliases find no entry that left, whatever made it leave."""
        if not tier.marks_use:
            return
        places: dict[Any, Entry] = {}
        for n in range(60):
            entry = self.entry(n)
            tier.set(str(n % 20), entry)
            entry.alias(places, n)
            assert entry.until == entry.expires
            assert {id(each) for each in places.values()} == {id(e) for _, e in tier.items()}
        tier.delete(next(iter(dict(tier.items()))))
        assert len(places) == len(tier)
        tier.clear()
        assert not places
        assert all(each.until == float("-inf") for each in places.values())

    def test_items_is_a_copy(self, tier: LocalTier) -> None:
        """The tier may be changed while its items are walked through."""
        for n in range(5):
            tier.set(str(n), self.entry(n))
        for item in tier.items():
            tier.delete(item[0])
        assert len(tier) == 0


class RemoteTierSuite:
    """The behaviour of an L2. Each docstring says what to mend when the test fails."""

    @pytest.fixture
    def tier(self) -> RemoteTier:
        """Return an empty tier; subclasses override this."""
        raise NotImplementedError("override the fixture 'tier'")

    tells_new_tags = True
    """Whether a tag that was never bumped is told from one whose version was lost."""

    @staticmethod
    async def value(tier: RemoteTier, key: str) -> bytes | None:
        """Return the bytes of a key, or None."""
        return (await tier.read([key], [])).values.get(key)

    async def test_values_come_back(self, tier: RemoteTier) -> None:
        """Bytes are returned unchanged; absent keys are absent; empty values are values."""
        await tier.write([Write("a", b"\x00\xff", 60), Write("ü:*?[", b"", 60)])
        found = await tier.read(["a", "ü:*?[", "none"], [])
        assert dict(found.values) == {"a": b"\x00\xff", "ü:*?[": b""}
        assert set(found.fences) == {"a", "ü:*?[", "none"}

    async def test_reading_nothing(self, tier: RemoteTier) -> None:
        """No keys and no tags is a valid question."""
        found = await tier.read([], [])
        assert (found.values, found.fences, found.versions) == ({}, {}, {})

    async def test_unknown_tags_have_one_version(self, tier: RemoteTier) -> None:
        """A tag that nobody bumped has the version of the beginning, by the clock, which stays."""
        first = (await tier.read([], ["t", ALL])).versions
        again = (await tier.read([], ["t", ALL])).versions
        assert first == again
        assert first["t"].version > 1_000_000_000_000
        assert first["t"].version == first["t"].hard

    async def test_bump_raises_versions(self, tier: RemoteTier) -> None:
        """Every bump gives a higher version; soft ones leave ``hard`` as it is."""
        before = (await tier.read([], ["t"])).versions["t"]
        soft = (await tier.bump(["t", "u"], soft=True))["t"]
        assert soft.version > before.version
        assert soft.hard == before.hard
        hard = (await tier.bump(["t"]))["t"]
        assert hard.version > soft.version
        assert hard.hard == hard.version
        assert (await tier.read([], ["t"])).versions["t"] == hard

    async def test_latest_is_the_highest_version(self, tier: RemoteTier) -> None:
        """Every bump goes above ``LATEST``; a tag that was not bumped since never does."""
        await tier.bump(["old"])
        for soft in (False, True):
            latest = (await tier.read([], [LATEST])).versions[LATEST].version
            before = (await tier.read([], ["old", "never", ALL])).versions
            assert all(each.version <= latest for each in before.values())
            made = await tier.bump(["a", "b"], soft=soft)
            assert set(made) == {"a", "b"}
            assert all(each.version > latest for each in made.values())
            after = (await tier.read([], ["old", "new", LATEST])).versions
            assert after["old"].version <= latest
            assert after["new"].version <= latest or not self.tells_new_tags
            assert after[LATEST].version == max(each.version for each in made.values())

    async def test_fill_needs_its_fence(self, tier: RemoteTier) -> None:
        """A value computed before a delete or set of its key is not stored after it."""
        fence = (await tier.read(["k"], [])).fences["k"]
        await tier.delete(["k"])
        assert list(await tier.write([Write("k", b"old", 60, fence)])) == [False]
        assert await self.value(tier, "k") is None
        fence = (await tier.read(["k"], [])).fences["k"]
        assert list(await tier.write([Write("k", b"set", 60)])) == [True]
        assert list(await tier.write([Write("k", b"old", 60, fence)])) == [False]
        assert await self.value(tier, "k") == b"set"

    async def test_fill_with_the_current_fence(self, tier: RemoteTier) -> None:
        """An undisturbed fill is stored, and does not move the fence."""
        fence = (await tier.read(["k"], [])).fences["k"]
        assert list(await tier.write([Write("k", b"1", 60, fence)])) == [True]
        assert list(await tier.write([Write("k", b"2", 60, fence)])) == [True]
        assert await self.value(tier, "k") == b"2"

    async def test_a_late_set_loses_against_a_change(self, tier: RemoteTier) -> None:
        """A set that waited (``age``) is stored only if its key did not change in that time."""
        await tier.write([Write("k", b"theirs", 60)])
        assert list(await tier.write([Write("k", b"ours", 60, age=30.0)])) == [False]
        assert await self.value(tier, "k") is None
        assert list(await tier.write([Write("new", b"ours", 60, age=30.0)])) == [True]
        assert await self.value(tier, "new") == b"ours"

    async def test_leases(self, tier: RemoteTier) -> None:
        """One token has a lease, may renew it, and nobody else may give it back."""
        if not tier.capabilities.leases:
            pytest.skip("no leases")
        assert await tier.acquire("k", "one", 30)
        assert await tier.acquire("k", "one", 30)
        assert not await tier.acquire("k", "two", 30)
        several = [("k", "two"), ("other", "two"), ("more", "two")]
        assert list(await tier.acquire_many(several, 30)) == [False, True, True]
        assert not await tier.release("k", "two")
        assert await tier.release("k", "one")
        assert not await tier.release("k", "one")
        assert await tier.acquire("k", "two", 0.001 if tier.capabilities.durable else 30)

    async def test_delete_counts_values(self, tier: RemoteTier) -> None:
        """The number of values that were there is returned; deleting nothing is fine."""
        await tier.write([Write("a", b"1", 60), Write("b", b"2", 60)])
        assert await tier.delete(["a", "b", "c"]) == 2
        assert await tier.delete([]) == 0

    async def test_delete_pattern(self, tier: RemoteTier) -> None:
        """Globs match whole keys, ``*`` any text; what does not match stays."""
        if not tier.capabilities.patterns:
            pytest.skip("it cannot list its keys")
        names = ["user:1", "user:2", "user:20", "other:1", "usex:1"]
        await tier.write([Write(name, b"v", 60) for name in names])
        assert sorted(await tier.list_keys("user:*", 10)) == ["user:1", "user:2", "user:20"]
        assert len(await tier.list_keys("*", 2)) == 2
        assert await tier.delete_pattern("user:?") == 2
        assert await tier.delete_pattern("use[rx]:*") == 2
        assert await self.value(tier, "other:1") == b"v"

    async def test_patterns(self, tier: RemoteTier) -> None:
        """Sets, ranges, their opposites, and a backslash before what is meant as it is."""
        if not tier.capabilities.patterns:
            pytest.skip("it cannot list its keys")
        names = ["k1", "k2", "k!", "k*", "k^", "k?", "k[", "k]", "k-", "k\\", "kk"]
        await tier.write([Write(name, b"v", 60) for name in names])
        for pattern in (
            "k*", "k?", "?[12]", "k[0-9]", "k[9-0]", "k[^1]", "k[^0-9!]", "k[!1]", "k[1^]",
            r"k\*", r"k\?", r"k\[", "k]", r"k[\]-]",
            r"k[\!-+]", "*k*[*!]", "k[*?[]", r"k[\\]", r"k\k", "k", "*[12]",
        ):  # fmt: skip
            wanted = sorted(name for name in names if glob_matches(pattern, name))
            assert sorted(await tier.list_keys(pattern, 100)) == wanted, pattern
        assert await tier.delete_pattern("k[^1]") == len(names) - 1
        assert await tier.list_keys("*", 100) == ["k1"]

    async def test_many_values(self, tier: RemoteTier) -> None:
        """Thousands of keys in one call, and 1 MB in one value."""
        await tier.write([Write(f"k{n}", str(n).encode(), 60) for n in range(2000)])
        found = await tier.read([f"k{n}" for n in range(2000)], [])
        assert len(found.values) == 2000
        await tier.write([Write("big", b"x" * 1_000_000, 60)])
        assert len(await self.value(tier, "big") or b"") == 1_000_000
        assert await tier.delete([f"k{n}" for n in range(2000)]) == 2000

    async def test_closing_twice_is_fine(self, tier: RemoteTier) -> None:
        """``aclose`` is idempotent, and a later call connects again."""
        await tier.write([Write("a", b"1", 60)])
        await tier.aclose()
        await tier.aclose()
        await tier.read(["a"], [])
        await tier.aclose()


class BackplaneSuite:
    """The behaviour of a backplane. The fixture makes two that hear each other."""

    @pytest.fixture
    def pair(self) -> tuple[Backplane, Backplane]:
        """Return two backplanes on one medium; subclasses override this."""
        raise NotImplementedError("override the fixture 'pair'")

    @staticmethod
    async def until(true: Callable[[], bool]) -> None:
        """Wait until ``true()``; five seconds at most."""
        async with asyncio.timeout(5):
            while not true():  # noqa: ASYNC110  the medium may be another process
                await asyncio.sleep(0.005)

    async def test_others_hear_and_we_do_not(self, pair: tuple[Backplane, Backplane]) -> None:
        """A message arrives whole at the other one, once, and not at its sender."""
        ours, theirs = list[Message](), list[Message]()
        await pair[0].start(ours.append, lambda: None)
        await pair[1].start(theirs.append, lambda: None)
        message = Message(["k", "ü"], {"t": TagVersion(5, 3)}, ready=["r"])
        await pair[0].publish(message)
        await self.until(lambda: bool(theirs))
        await pair[1].publish(Message(["back"]))
        await self.until(lambda: bool(ours))
        assert [(list(m.keys), dict(m.tags)) for m in theirs] == [(["k", "ü"], {"t": (5, 3)})]
        assert [list(m.ready) for m in theirs] == [["r"]]
        assert [list(m.keys) for m in ours] == [["back"]]

    async def test_order_is_kept(self, pair: tuple[Backplane, Backplane]) -> None:
        """Messages of one sender arrive in their order."""
        heard: list[str] = []
        await pair[1].start(lambda message: heard.extend(message.keys), lambda: None)
        await pair[0].start(lambda _: None, lambda: None)
        for n in range(50):
            await pair[0].publish(Message([str(n)]))
        await self.until(lambda: len(heard) == 50)
        assert heard == [str(n) for n in range(50)]

    async def test_listening_is_a_sign_of_life(self, pair: tuple[Backplane, Backplane]) -> None:
        """``last_alive`` is in the past before ``start`` and moves while listening."""
        await pair[0].start(lambda _: None, lambda: None)
        first = pair[0].last_alive
        assert first > float("-inf")
        await self.until(lambda: pair[0].last_alive > first)

    async def test_starting_twice_is_starting_once(self, pair: tuple[Backplane, Backplane]) -> None:
        """A second ``start`` does not make messages arrive twice."""
        heard: list[Message] = []
        for _ in range(2):
            await pair[1].start(heard.append, lambda: None)
        await pair[0].start(lambda _: None, lambda: None)
        await pair[0].publish(Message(["a"]))
        await pair[0].publish(Message(["b"]))
        await self.until(lambda: len(heard) >= 2)
        assert len(heard) == 2

    async def test_closing_ends_listening(self, pair: tuple[Backplane, Backplane]) -> None:
        """After ``aclose`` nothing arrives any more; closing twice is fine."""
        heard: list[Message] = []
        await pair[1].start(heard.append, lambda: None)
        await pair[1].aclose()
        await pair[1].aclose()
        await pair[0].start(lambda _: None, lambda: None)
        await pair[0].publish(Message(["late"]))
        await settle()
        assert not heard
