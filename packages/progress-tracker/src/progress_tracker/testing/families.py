"""The part of the suite of stores that is about parents and children."""

import asyncio
import random

from .. import rules
from ..models import ProgressStatus
from ..ports import Created, ProgressStore, Stage, State
from ..rules.percent import of_children, units_of
from .records import NOW, complete, percent, record, store_rule


class FamiliesSuite:
    """What an operation keeps of its children. For :class:`ProgressStoreSuite`."""

    async def test_a_child_counts_in_its_parent(self, store: ProgressStore) -> None:
        """A child's creation, writes and end must reach the parent in the same step."""
        parent = (await store.create(record("p"))).record
        for name, weight in (("a", 1000), ("b", 3000)):
            await store.create(record(name, parent, weight=weight))
        await store_rule(store, "a", percent(100))
        top = await store.get("p")
        assert top is not None
        assert (top.units, top.kids.total, top.kids.weight) == (25_000_000, 2, 4000)
        assert top.status is ProgressStatus.PROCESSING
        await store_rule(store, "a", complete())
        await store_rule(store, "b", lambda base: rules.fail(base, NOW, "no"))
        top = await store.get("p")
        assert top is not None
        assert (top.kids.completed, top.kids.failed, top.kids.cancelled) == (1, 1, 0)

    async def test_a_child_that_begins_again_is_no_longer_counted_as_ended(
        self, store: ProgressStore
    ) -> None:
        """A write that leaves a final status must take the child out of the parent's counts."""
        parent = (await store.create(record("p"))).record
        await store.create(record("c", parent))
        await store_rule(store, "c", complete())
        await store_rule(store, "c", lambda base: rules.restart(base, NOW))
        top = await store.get("p")
        assert top is not None
        assert (top.kids.total, top.kids.completed, top.units) == (1, 0, 0)
        await store_rule(store, "c", lambda base: rules.fail(base, NOW, "no"))
        await store_rule(
            store, "c", lambda base: rules.take_over(base, NOW, "w", 9.0, State(), resume=False)
        )
        top = await store.get("p")
        assert top is not None
        assert (top.kids.total, top.kids.failed) == (1, 0)

    async def test_a_child_needs_its_parent(self, store: ProgressStore) -> None:
        """A child of a parent that is gone must not be stored."""
        gone = record("gone")
        assert await store.create(record("x", gone)) == Created("no_parent", None)
        assert await store.get("x") is None

    async def test_changes_rise_to_the_root(self, store: ProgressStore) -> None:
        """A write must reach every ancestor, with the weights on the way."""
        root = (await store.create(record("root"))).record
        middle = (await store.create(record("middle", root))).record
        await store.create(record("other", root, weight=3000))
        await store.create(record("leaf", middle))
        await store_rule(store, "leaf", percent(80))
        found = await store.get_many(["root", "middle"])
        assert (found["middle"].units, found["root"].units) == (80_000_000, 20_000_000)

    async def test_a_total_expects_children(self, store: ProgressStore) -> None:
        """Children count against the parent's total: absent ones as not begun."""
        parent = (await store.create(record("p", state=State(total=4)))).record
        await store.create(record("a", parent))
        await store_rule(store, "a", complete())
        top = await store.get("p")
        assert top is not None
        assert top.units == 25_000_000

    async def test_a_total_may_come_later(self, store: ProgressStore) -> None:
        """A total that an own write brings must count for the children's next writes."""
        parent = (await store.create(record("p"))).record
        await store.create(record("a", parent))
        await store_rule(store, "p", lambda base: rules.count(base, NOW, 0, 4, None))
        await store_rule(store, "a", complete())
        top = await store.get("p")
        assert top is not None
        assert top.units == 25_000_000
        await store_rule(store, "p", lambda base: rules.count(base, NOW, 0, 2, None))
        top = await store.get("p")
        assert top is not None
        assert top.units == 50_000_000

    async def test_stages_and_children_are_parts_alike(self, store: ProgressStore) -> None:
        """The percent is the weighted mean over the parent's stages and children."""
        state = State(stages=(Stage("a", 1000), Stage("b", 1000)))
        parent = (await store.create(record("p", state=state))).record
        await store.create(record("c", parent, weight=2000))
        await store_rule(store, "c", percent(50))
        await store_rule(store, "p", lambda base: rules.update(base, NOW, 60, "a"))
        top = await store.get("p")
        assert top is not None
        assert top.units == 40_000_000

    async def test_an_ended_parent_keeps_its_state(self, store: ProgressStore) -> None:
        """Children of an ended parent change its sums, not its percent and version."""
        parent = (await store.create(record("p"))).record
        await store.create(record("c", parent))
        ended = await store_rule(store, "p", lambda base: rules.fail(base, NOW, "no"))
        await store_rule(store, "c", percent(90))
        top = await store.get("p")
        assert top is not None
        assert (top.version, top.units, top.status) == (ended.version, 0, ProgressStatus.FAILED)
        again = await store_rule(store, "p", lambda base: rules.restart(base, NOW))
        assert again.units == 90_000_000

    async def test_sums_equal_a_recount(self, store: ProgressStore) -> None:
        """Any order of concurrent writes must give the sums of a full recount, exactly."""
        rng = random.Random(7)
        parent = (await store.create(record("p"))).record
        names = [f"c{n}" for n in range(12)]
        for name in names:
            await store.create(record(name, parent, weight=rng.randint(1, 5000)))

        async def work(name: str) -> None:
            for value in sorted(rng.uniform(0, 100) for _ in range(4)):
                await store_rule(store, name, percent(value))
            if rng.random() < 0.5:
                await store_rule(store, name, complete())

        await asyncio.gather(*(work(name) for name in names))
        top = await store.get("p")
        assert top is not None
        assert top.kids == of_children((await store.get_many(names)).values())
        assert top.units == units_of(top.status, top.state, top.kids)

    async def test_delete_takes_the_tree_and_its_share(self, store: ProgressStore) -> None:
        """``delete`` must remove all descendants and what they added to the ancestors."""
        root = (await store.create(record("root"))).record
        middle = (await store.create(record("middle", root))).record
        await store.create(record("leaf", middle))
        await store.create(record("kept", root))
        await store_rule(store, "leaf", percent(60))
        await store_rule(store, "kept", complete())
        assert sorted(await store.delete("middle")) == ["leaf", "middle"]
        assert await store.delete("middle") == []
        left = await store.get_many(["root", "middle", "leaf", "kept"])
        assert sorted(left) == ["kept", "root"]
        assert left["root"].kids == of_children([left["kept"]])
        assert left["root"].units == 100_000_000
