"""The suite of stores."""

import asyncio

import msgspec
import pytest

from .. import rules
from .._common.clock import new_id
from ..errors import ConfigurationError
from ..models import ProgressStatus
from ..ports import (
    Beat,
    Filters,
    Overdue,
    ProgressStore,
    Record,
    Stage,
    State,
    Write,
    Written,
)
from .families import FamiliesSuite
from .records import NOW, complete, percent, record, store_rule

_ENDED = ProgressStatus.COMPLETED


class ProgressStoreSuite(FamiliesSuite):
    """The behaviour of a store. Each docstring says what to mend when the test fails."""

    @pytest.fixture
    def store(self) -> ProgressStore:
        """Return an empty store; subclasses override this."""
        raise NotImplementedError

    async def test_what_was_created_is_read(self, store: ProgressStore) -> None:
        """Every field of a record must come back as it was given."""
        state = State(stages=(Stage("a", 500), Stage("ü\n💥", 2000)), message="m")
        made = record(
            user_id="u", kind="k", state=state, metadata=b'{"x":[1,{"y":null}]}', weight=250,
            stale_after=1 / 3, created_at=NOW + 0.1 + 0.2, updated_at=NOW + 2 / 3,
        )  # fmt: skip
        created = await store.create(made)
        assert created.reason == "created"
        assert await store.get(made.id) == created.record
        assert created.record == msgspec.structs.replace(made, units=0)

    async def test_an_absent_id_is_none(self, store: ProgressStore) -> None:
        """``get`` of an unknown id must return None, and ``get_many`` leave it out."""
        assert await store.get("nobody") is None
        assert await store.get_many(["nobody"]) == {}
        assert await store.positions(["nobody"]) == {}

    async def test_an_id_is_created_once(self, store: ProgressStore) -> None:
        """A second ``create`` of an id must change nothing and return what is there."""
        first = record("x", user_id="a")
        await store.create(first)
        again = await store.create(record("x", user_id="b"))
        assert (again.reason, again.record and again.record.user_id) == ("exists", "a")
        same = await store.create(first)
        assert same.reason == "created", "the same token means a create whose answer was lost"

    async def test_a_write_raises_version_and_revision(self, store: ProgressStore) -> None:
        """Each own write must raise both by one and return what is stored."""
        await store.create(record("x"))
        written = await store_rule(store, "x", percent(12.5))
        assert (written.version, written.revision) == (2, 2)
        assert written == await store.get("x")
        assert written.units == 12_500_000
        assert written.status is ProgressStatus.PROCESSING
        assert await store.positions(["x"]) == {"x": (1, 2)}

    async def test_an_old_revision_is_refused(self, store: ProgressStore) -> None:
        """A write must be applied only if the stored revision is the record's."""
        base = (await store.create(record("x"))).record
        assert base is not None
        await store_rule(store, "x", percent(50))
        late = msgspec.structs.replace(rules.update(base, NOW, 10), token=new_id())
        (written,) = await store.write([Write(late, base.status)])
        assert not written.applied
        assert written.record is not None
        assert written.record.units == 50_000_000

    async def test_a_repeated_write_counts_once(self, store: ProgressStore) -> None:
        """A write with the stored token is one whose answer was lost: it is applied, once."""
        parent = (await store.create(record("p"))).record
        base = (await store.create(record("x", parent))).record
        assert base is not None
        new = msgspec.structs.replace(rules.update(base, NOW, 40), token=new_id())
        first = await store.write([Write(new, base.status)])
        second = await store.write([Write(new, base.status)])
        assert first[0].applied
        assert second[0].applied
        assert second[0].record == first[0].record
        top = await store.get("p")
        assert top is not None
        assert top.units == 40_000_000

    async def test_a_write_to_nothing_is_refused(self, store: ProgressStore) -> None:
        """A write to an unknown id must create nothing."""
        (written,) = await store.write([Write(record("x"), ProgressStatus.PENDING)])
        assert written == Written(applied=False, record=None)
        assert await store.get("x") is None

    async def test_a_batch_is_not_stopped_by_a_refusal(self, store: ProgressStore) -> None:
        """Of several writes, refused ones must not touch the others."""
        good = (await store.create(record("good"))).record
        assert good is not None
        lost = record("lost")
        fine = msgspec.structs.replace(rules.update(good, NOW, 30), token=new_id())
        written = await store.write([Write(lost, lost.status), Write(fine, good.status)])
        assert [each.applied for each in written] == [False, True]

    async def test_only_one_of_many_writers_wins(self, store: ProgressStore) -> None:
        """Concurrent writes from one base: one is applied; rules retried lose nothing."""
        await store.create(record("x", state=State(total=100)))

        def add(base: Record) -> Record:
            return rules.advance(base, NOW, 1)

        await asyncio.gather(*(store_rule(store, "x", add) for _ in range(20)))
        found = await store.get("x")
        assert found is not None
        assert (found.state.current, found.version) == (20, 21)

    async def test_pending_leaves_processing_alone(self, store: ProgressStore) -> None:
        """A pending status in a write must not undo that children set the parent processing."""
        parent = (await store.create(record("p"))).record
        assert parent is not None
        await store.create(record("c", parent))
        base = await store.get("p")
        assert base is not None
        await store_rule(store, "c", percent(10))
        asked = msgspec.structs.replace(rules.request_cancel(base, NOW), token=new_id())
        (written,) = await store.write([Write(asked, base.status)])
        assert written.record is not None
        assert written.record.status is ProgressStatus.PROCESSING
        assert written.record.cancel_requested

    async def test_touch_is_fenced(self, store: ProgressStore) -> None:
        """``touch`` renews only the epoch and writer that it names, and raises no version."""
        await store.create(record("x"))
        taken = await store_rule(
            store, "x", lambda base: rules.take_over(base, NOW, "w", 10.0, State(), resume=False)
        )
        beats = [Beat("x", 2, "w", NOW + 99), Beat("x", 1, "w", 0.0), Beat("x", 2, "z", 0.0)]
        assert await store.touch([*beats, Beat("gone", 1, "w", 0.0)]) == [False, None, None, None]
        found = await store.get("x")
        assert found is not None
        assert (found.stale_at, found.version) == (NOW + 99, taken.version)
        await store_rule(store, "x", lambda base: rules.request_cancel(base, NOW))
        assert await store.touch(beats[:1]) == [True]
        await store_rule(store, "x", complete())
        assert await store.touch(beats[:1]) == [None]

    async def test_a_request_to_cancel_outlives_its_worker(self, store: ProgressStore) -> None:
        """Who takes a running operation over must hear what was asked of the worker before."""

        def taken(writer: str) -> rules.Rule:
            return lambda base: rules.take_over(base, NOW, writer, 9.0, State(), resume=True)

        await store.create(record("x"))
        await store_rule(store, "x", taken("first"))
        await store_rule(store, "x", lambda base: rules.request_cancel(base, NOW))
        second = await store_rule(store, "x", taken("second"))
        assert (second.epoch, second.writer, second.cancel_requested) == (3, "second", True)
        assert await store.touch([Beat("x", 3, "second", NOW + 99)]) == [True]
        await store_rule(store, "x", lambda base: rules.cancel(base, NOW))
        await store_rule(store, "x", lambda base: rules.restart(base, NOW))
        anew = await store_rule(store, "x", taken("third"))
        assert (anew.epoch, anew.cancel_requested) == (5, False), "an ended request is answered"
        assert await store.touch([Beat("x", 5, "third", NOW + 99)]) == [False]

    async def test_listing_filters_and_pages(self, store: ProgressStore) -> None:
        """Listings are newest first; a cursor goes on where the page before ended."""
        for n in range(7):
            await store.create(
                record(f"x{n}", created_at=NOW + n // 2, user_id="u" if n % 2 else "v", kind="k")
            )
        await store_rule(store, "x1", complete())
        seen: list[str] = []
        cursor: str | None = None
        while True:
            page = await store.list_records(Filters(), 3, cursor)
            seen += [each.id for each in page]
            if (cursor := page.next_cursor) is None:
                break
        assert seen == ["x6", "x5", "x4", "x3", "x2", "x1", "x0"]
        mine = await store.list_records(Filters(user_id="u", kind="k"), 10, None)
        assert [each.id for each in mine] == ["x5", "x3", "x1"]
        done = await store.list_records(Filters(statuses=(_ENDED,)), 10, None)
        assert [each.id for each in done] == ["x1"]
        with pytest.raises(ConfigurationError):
            await store.list_records(Filters(), 3, "not a cursor")

    async def test_children_are_listed(self, store: ProgressStore) -> None:
        """``parent_id`` lists the direct children only."""
        parent = (await store.create(record("p"))).record
        child = (await store.create(record("c", parent))).record
        await store.create(record("g", child))
        page = await store.list_records(Filters(parent_id="p"), 10, None)
        assert [each.id for each in page] == ["c"]

    async def test_overdue_finds_stalled_and_old(self, store: ProgressStore) -> None:
        """Stalled: processing and past ``stale_at``. Old: ended roots, by outcome."""
        for name in ("slow", "done", "bad", "fresh"):
            await store.create(record(name, stale_after=10.0))
        parent = (await store.create(record("p"))).record
        await store.create(record("c", parent))
        await store_rule(store, "slow", percent(1, NOW))
        for name in ("done", "c"):
            await store_rule(store, name, complete(NOW))
        await store_rule(store, "bad", lambda base: rules.fail(base, NOW, "no"))
        none = await store.overdue(NOW + 9, NOW, NOW, 10)
        assert none == Overdue([], [])
        due = await store.overdue(NOW + 11, NOW + 1, NOW, 10)
        assert (list(due.stalled), list(due.expired)) == (["slow"], ["done"])
        due = await store.overdue(NOW, NOW + 1, NOW + 1, 10)
        assert sorted(due.expired) == ["bad", "done"]

    async def test_twins_see_the_same(self, store: ProgressStore) -> None:
        """A twin must read and write the same operations."""
        await store.create(record("x"))
        twin = store.twin()
        try:
            await store_rule(twin, "x", percent(5))
            found = await store.get("x")
            assert found is not None
            assert found.units == 5_000_000
        finally:
            await twin.aclose()

    async def test_hostile_text_is_data(self, store: ProgressStore) -> None:
        """Ids and texts must be bound, never formatted into a statement or a key."""
        for id in ("a'; DROP TABLE progress; --", "{x}*", "ключ 💥", "a:b/c?d", "%s", "x" * 200):
            made = await store.create(record(id, user_id=id, kind=id))
            assert made.reason == "created"
            page = await store.list_records(Filters(user_id=id), 10, None)
            assert [each.id for each in page] == [id]
            assert list(await store.delete(id)) == [id]

    async def test_aclose_may_be_followed_by_use(self, store: ProgressStore) -> None:
        """After ``aclose`` a call must connect again; ``aclose`` twice does no harm."""
        await store.aclose()
        await store.aclose()
        assert await store.get("x") is None
