"""Histories against a plain model."""

import asyncio
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from exporter.adapters.histories.memory import MemoryHistory
from exporter.models import ExportFilters, ExportStatus
from exporter.ports import HistoryStore
from exporter.testing import record

USERS, KEYS = st.sampled_from(["a", "b", None]), st.sampled_from(["k1", "k2", None])
STATUSES = st.sampled_from(list(ExportStatus))


class HistoryMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.history = self.made()
        self.model: list[Any] = []
        self.count = 0

    def made(self) -> HistoryStore:
        return MemoryHistory()

    def teardown(self) -> None:
        self.runner.run(self.history.aclose())
        self.runner.close()

    @rule(user=USERS, key=KEYS, lease=st.one_of(st.none(), st.integers(0, 100)))
    def create(self, user: Any, key: Any, lease: Any) -> None:
        self.count += 1
        made = record(id=f"id{self.count}", user_id=user, idempotency_key=key, lease_until=lease)
        known = [
            each
            for each in self.model
            if key and (each.user_id, each.idempotency_key) == (user, key)
        ]
        stored = self.runner.run(self.history.create(made))
        assert stored.id == (known[0].id if known else made.id)
        if not known:
            self.model.append(
                record(id=made.id, user_id=user, idempotency_key=key, lease_until=lease)
            )

    @rule(pick=st.integers(0, 50), status=STATUSES, stale=st.booleans())
    def save(self, pick: int, status: ExportStatus, stale: bool) -> None:
        if not self.model:
            return
        known = self.model[pick % len(self.model)]
        found = self.runner.run(self.history.get(known.id))
        assert found is not None
        found.status = status
        if stale:
            found.fence -= 1
        assert self.runner.run(self.history.save(found)) is not stale
        if not stale:
            known.status, known.fence = status, known.fence + 1

    @rule(pick=st.integers(0, 50))
    def delete(self, pick: int) -> None:
        if self.model:
            known = self.model.pop(pick % len(self.model))
            assert self.runner.run(self.history.delete(known.id))
            assert not self.runner.run(self.history.delete(known.id))

    @rule(now=st.integers(0, 100))
    def due(self, now: int) -> None:
        found = {each.id for each in self.runner.run(self.history.due(now, 1000))}
        assert found == {
            e.id for e in self.model if e.lease_until is not None and e.lease_until < now
        }

    @rule(user=USERS, status=st.one_of(st.none(), STATUSES), limit=st.integers(1, 4))
    def lists(self, user: Any, status: Any, limit: int) -> None:
        filters, seen, cursor = ExportFilters(user_id=user, status=status), list[str](), None
        while True:
            page = self.runner.run(self.history.list_records(filters, limit, cursor))
            seen += [each.id for each in page]
            if (cursor := page.next_cursor) is None:
                break
        assert seen == [
            each.id
            for each in reversed(self.model)
            if user in {None, each.user_id} and status in {None, each.status}
        ]

    @invariant()
    def every_record_is_there(self) -> None:
        for known in self.model:
            found = self.runner.run(self.history.get(known.id))
            assert found is not None
            assert (found.status, found.fence) == (known.status, known.fence)


class SqlMachine(HistoryMachine):
    def made(self) -> HistoryStore:
        from exporter.adapters.histories.sql import SQLHistory

        return SQLHistory("sqlite://")


TestMemoryHistory = HistoryMachine.TestCase
TestMemoryHistory.settings = settings(max_examples=40, stateful_step_count=25)


def test_sqlite_history() -> None:
    pytest.importorskip("sqlalchemy")
    case = SqlMachine.TestCase
    case.settings = settings(max_examples=15, stateful_step_count=20)
    case("runTest").runTest()
