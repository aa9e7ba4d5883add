"""What every L1 passes."""

from typing import Any

import pytest

from ..ports import Entry, LocalTier


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

    reads = 2
    """How often an entry is read for each that comes; more where a policy learns of few reads."""

    def test_used_entries_survive(self, tier: LocalTier) -> None:
        """An entry that is asked for again and again is not what leaves first."""
        tier.set("hot", self.entry())
        for n in range(60):
            for _ in range(self.reads):
                assert tier.get("hot") is not None, n
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
