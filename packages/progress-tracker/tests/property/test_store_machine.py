"""Random commands against a store, checked against a plain model and a full recount."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from progress_tracker import ProgressConflict, rules
from progress_tracker.adapters.memory import MemoryStore
from progress_tracker.ports import ProgressStore, Record, Stage, State
from progress_tracker.rules.percent import of_children, units_of
from progress_tracker.testing import NOW, record, store_rule

PERCENTS = st.floats(0, 100, allow_nan=False)


class StoreMachine(RuleBasedStateMachine):
    """Operations in a tree: the model is what the rules say, without parents."""

    make: Callable[[], ProgressStore] = MemoryStore
    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.store = self.make()
        self.model: dict[str, Record] = {}
        self.now = NOW

    def do(self, work: Any) -> Any:
        return self.runner.run(work)

    @initialize(target=ids)
    def root(self) -> str:
        return self.create(None, 1000, 0)

    @rule(target=ids, parent=ids, weight=st.integers(1, 5000), stages=st.integers(0, 3))
    def add(self, parent: str, weight: int, stages: int) -> str:
        return self.create(self.model.get(parent), weight, stages)

    def create(self, parent: Record | None, weight: int, stages: int) -> str:
        if parent is not None and len(parent.ancestors) > 6:
            parent = None
        state = State(stages=tuple(Stage(f"s{n}", 1000 * (n + 1)) for n in range(stages)))
        made = record(f"x{len(self.model)}-{self.now}", parent, weight=weight, state=state)
        self.now += 1
        assert self.do(self.store.create(made)).reason == "created"
        self.model[made.id] = made
        return made.id

    def change(self, id: str, change: rules.Rule) -> None:
        if (known := self.model.get(id)) is None:
            assert self.do(self.store.get(id)) is None
            return
        self.now += 1
        expected: Any
        try:
            expected = change(known)
        except ProgressConflict:
            expected = None
        try:
            stored = self.do(store_rule(self.store, id, change))
        except ProgressConflict:
            assert expected is None
            return
        assert expected is not None
        assert plain(stored.state) == plain(expected.state)
        self.model[id] = expected

    @rule(id=ids, percent=PERCENTS)
    def update(self, id: str, percent: float) -> None:
        self.change(id, lambda base: rules.update(base, self.now, percent))

    @rule(id=ids, n=st.integers(0, 9))
    def advance(self, id: str, n: int) -> None:
        self.change(id, lambda base: rules.advance(base, self.now, n))

    @rule(id=ids, n=st.integers(0, 9), total=st.integers(1, 12))
    def count(self, id: str, n: int, total: int) -> None:
        def counted(base: Record) -> Record:
            return base if base.status.is_final else rules.count(base, self.now, n, total, None)

        self.change(id, counted)

    @rule(id=ids)
    def complete(self, id: str) -> None:
        self.change(id, lambda base: rules.complete(base, self.now))

    @rule(id=ids)
    def fail(self, id: str) -> None:
        self.change(id, lambda base: rules.fail(base, self.now, "no"))

    @rule(id=ids)
    def restart(self, id: str) -> None:
        self.change(id, lambda base: rules.restart(base, self.now))

    @rule(id=ids, resume=st.booleans())
    def take_over(self, id: str, resume: bool) -> None:
        self.change(
            id, lambda base: rules.take_over(base, self.now, "w", 9.0, State(), resume=resume)
        )

    @rule(id=ids)
    def delete(self, id: str) -> None:
        gone = set(self.do(self.store.delete(id)))
        expected = {
            each for each, known in self.model.items() if each == id or id in known.ancestors
        }
        assert gone == expected
        for each in gone:
            del self.model[each]

    @invariant()
    def sums_are_those_of_a_recount(self) -> None:
        stored = self.do(self.store.get_many(list(self.model)))
        assert set(stored) == set(self.model)
        for id, found in stored.items():
            children = [each for each in stored.values() if each.parent_id == id]
            assert found.kids == of_children(children)
            if not found.status.is_final:
                assert found.units == units_of(found.status, found.state, found.kids)
            known = self.model[id]
            assert found.epoch == known.epoch
            if known.status != "pending":
                assert found.status == known.status

    def teardown(self) -> None:
        self.do(self.store.aclose())
        self.runner.close()


def plain(state: State) -> State:
    """Leave out the speed of the whole, which knows of children."""
    return rules.replace(state, flow=None)


TestMemory = StoreMachine.TestCase
TestMemory.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_sqlite() -> None:
    pytest.importorskip("sqlalchemy")
    from hypothesis.stateful import run_state_machine_as_test

    from progress_tracker.adapters.sql import SQLStore

    class SQLMachine(StoreMachine):
        @staticmethod
        def make() -> ProgressStore:
            return SQLStore("sqlite://")

    run_state_machine_as_test(
        SQLMachine,
        settings=settings(
            max_examples=12,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
