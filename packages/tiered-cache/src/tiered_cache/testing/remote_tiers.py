"""What every L2 passes."""

import pytest

from ..keys import glob_matches
from ..ports import ALL, LATEST, RemoteTier, Write


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
