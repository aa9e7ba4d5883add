"""What every history passes."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from .._common.clock import FakeClock, utc
from ..models import ExportFilters, ExportStatus
from ..ports import HistoryStore
from .made import record


class HistoryStoreSuite:
    """The behaviour of a history. Each docstring says what to mend when the test fails."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        """The clock to give to the history under test."""
        return FakeClock()

    @pytest.fixture
    def history(self, clock: FakeClock) -> HistoryStore:
        """Return an empty history; subclasses override this."""
        raise NotImplementedError("override the fixture 'history'")

    async def test_every_field_comes_back(self, history: HistoryStore) -> None:
        """``get`` returns what was created, field by field."""
        made = record(
            user_id="\u00fc\U0001f600",
            status=ExportStatus.PROCESSING,
            created_at=1.5,
            started_at=2.5,
            completed_at=3.5,
            lease_until=4.5,
            delete_at=5.5,
            idempotency_key="k",
            fingerprint="f",
            template="t",
            include_metadata=False,
            filename="n.txt",
            content_type="text/plain",
            ttl=7.0,
            key="a/b",
            progress=12.5,
            error="E: \u00e9",
            size=1 << 40,
            sha256="0" * 64,
            pages=3,
            records=9,
            warnings=["w"],
            attempts=2,
            metadata={"correlation_id": "c"},
            attached={"\u00fc": [1, -2.5, None, True, {"deep": ["\U0001f600", {}]}], "n": 2**63},
            reason="timeout",
            items=4,
        )
        assert await history.create(made) == made
        found = await history.get(made.id)
        assert found is not None
        assert msgspec.to_builtins(found) == msgspec.to_builtins(made)
        assert await history.get("unknown") is None

    async def test_records_are_copies(self, history: HistoryStore) -> None:
        """Changing what was given or got changes nothing that is stored."""
        made = record(attached={"list": [1]})
        await history.create(made)
        made.warnings.append("changed")
        made.attached["list"].append(2)
        found = await history.get(made.id)
        assert found is not None
        found.error = "changed"
        found.attached["list"].append(3)
        again = await history.get(made.id)
        assert again is not None
        assert (again.warnings, again.error, again.attached) == ([], None, {"list": [1]})

    async def test_save_needs_the_newest(self, history: HistoryStore) -> None:
        """Of two changes to one version, the second is refused; the fence grows by one."""
        await history.create(made := record())
        first, second = await history.get(made.id), await history.get(made.id)
        assert first is not None
        assert second is not None
        first.status, second.status = ExportStatus.PROCESSING, ExportStatus.CANCELLED
        assert await history.save(first) is True
        assert await history.save(second) is False
        assert first.fence == second.fence + 1
        found = await history.get(made.id)
        assert found is not None
        assert (found.status, found.fence) == (ExportStatus.PROCESSING, first.fence)
        assert await history.save(first) is True
        assert await history.save(record()) is False

    async def test_one_wins_at_once(self, history: HistoryStore) -> None:
        """Of many concurrent changes to one version exactly one is stored."""
        await history.create(made := record())
        found = [await history.get(made.id) for _ in range(20)]
        results = await asyncio.gather(*(history.save(each) for each in found if each is not None))
        assert sorted(results) == [False] * 19 + [True]

    async def test_idempotency(self, history: HistoryStore) -> None:
        """One record per user and key, also for concurrent calls; no user is a user of its own."""
        for user in ("ann", "bob", None):
            made = [record(user_id=user, idempotency_key="k") for _ in range(8)]
            stored = await asyncio.gather(*(history.create(each) for each in made))
            assert len({each.id for each in stored}) == 1
        page = await history.list_records(ExportFilters(), 100, None)
        assert len(page) == 3
        assert len({(await history.create(record(user_id="ann"))).id for _ in range(3)}) == 3
        await history.delete(page[0].id)
        again = record(user_id=page[0].user_id, idempotency_key="k")
        assert (await history.create(again)).id == again.id

    async def test_listing_pages_and_filters(self, history: HistoryStore) -> None:
        """Newest first, every record once over the pages, filters combined."""
        made = [
            record(
                user_id=f"u{n % 2}",
                format=("pdf", "txt")[n % 3 == 0],
                created_at=1000.0 + n,
                status=ExportStatus.COMPLETED if n > 5 else ExportStatus.FAILED,
                source_type=("summary", "rag")[n % 2],
            )
            for n in range(12)
        ]
        for each in made:
            await history.create(each)
        seen: list[str] = []
        cursor = None
        while True:
            page = await history.list_records(ExportFilters(), 5, cursor)
            seen += [each.id for each in page]
            if (cursor := page.next_cursor) is None:
                break
        assert seen == [each.id for each in reversed(made)]
        tests: list[tuple[ExportFilters, set[int]]] = [
            (ExportFilters(user_id="u1"), {1, 3, 5, 7, 9, 11}),
            (ExportFilters(user_id="u1", status="failed"), {1, 3, 5}),
            (ExportFilters(format="txt"), {0, 3, 6, 9}),
            (ExportFilters(source_type="rag"), {1, 3, 5, 7, 9, 11}),
            (ExportFilters(created_after=utc(1010.0)), {10, 11}),
            (ExportFilters(created_before=utc(1000.0) + timedelta(seconds=2)), {0, 1}),
            (ExportFilters(user_id="' OR 1=1 --"), set()),
        ]
        for filters, expected in tests:
            found = await history.list_records(filters, 100, None)
            assert {each.id for each in found} == {made[n].id for n in expected}

    async def test_due(self, history: HistoryStore) -> None:
        """Records with a lease or a time of deletion in the past, and only those."""
        await history.create(record(id="lease", lease_until=10.0))
        await history.create(record(id="delete", delete_at=10.0))
        await history.create(record(id="later", lease_until=99.0, delete_at=99.0))
        await history.create(record(id="never"))
        assert {each.id for each in await history.due(50.0, 10)} == {"lease", "delete"}
        assert len(await history.due(50.0, 1)) == 1
        assert await history.due(5.0, 10) == []

    async def test_delete(self, history: HistoryStore) -> None:
        """``delete`` says whether there was a record; a later save of it is refused."""
        await history.create(made := record())
        assert await history.delete(made.id) is True
        assert await history.delete(made.id) is False
        assert await history.get(made.id) is None
        assert await history.save(made) is False

    async def test_tokens_are_used_once(self, history: HistoryStore) -> None:
        """One of many callers may use a token; it is forgotten only after its time."""
        results = await asyncio.gather(*(history.use_once("t", 100.0) for _ in range(10)))
        assert sorted(results) == [False] * 9 + [True]
        await history.forget_used(50.0)
        assert await history.use_once("t", 100.0) is False
        await history.forget_used(101.0)
        assert await history.use_once("t", 200.0) is True

    async def test_notes(self, history: HistoryStore) -> None:
        """Notes are kept with their record, first come first kept, and deleted with it."""
        if not history.capabilities.notes:
            pytest.skip("keeps no notes")
        made, other = record(), record()
        for each in (made, other):
            await history.create(each)
        long = "x" * 60_000
        assert await history.add_notes(made.id, {"item-00002": "b", "item-00010": long}) is True
        assert await history.add_notes(made.id, {"item-00001": "a", "item-00002": "late"}) is True
        assert await history.add_notes(made.id, {"list-0": '["\\u00fc"]'}) is True
        assert await history.add_notes(made.id, {}) is True
        assert await history.add_notes(other.id, {"item-00001": "other"}) is True
        assert await history.add_notes("unknown", {"item-00001": "x"}) is False
        found = await history.get_notes(made.id)
        assert list(found.items()) == [
            ("item-00001", "a"),
            ("item-00002", "b"),
            ("item-00010", long),
            ("list-0", '["\\u00fc"]'),
        ]
        assert list(await history.get_notes(made.id, "list-")) == ["list-0"]
        assert await history.get_notes("unknown") == {}
        await history.drop_notes(made.id)
        assert await history.get_notes(made.id) == {}
        assert await history.get_notes(other.id) == {"item-00001": "other"}
        await history.delete(other.id)
        assert await history.get_notes(other.id) == {}

    async def test_notes_at_once(self, history: HistoryStore) -> None:
        """Of many texts for one name, written at once, all readers see the same one for ever."""
        if not history.capabilities.notes:
            pytest.skip("keeps no notes")
        await history.create(made := record())
        await asyncio.gather(
            *(history.add_notes(made.id, {"item-1": str(n), f"own-{n}": "x"}) for n in range(10))
        )
        found = await history.get_notes(made.id)
        assert len(found) == 11
        assert (await history.get_notes(made.id))["item-1"] == found["item-1"]

    async def test_closing_twice_is_fine(self, history: HistoryStore) -> None:
        """``aclose`` is idempotent."""
        await history.create(record())
        await history.aclose()
        await history.aclose()
