"""Random commands against a store, checked against a plain model and a full recount."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from _common.server import Server
from progress_tracker import ProgressConflict, rules
from progress_tracker.adapters.memory import MemoryStore
from progress_tracker.ports import Filters, Kids, ProgressStore, Record, Stage, State
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
    def request_cancel(self, id: str) -> None:
        self.change(id, lambda base: rules.request_cancel(base, self.now))

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
            assert (found.epoch, found.cancel_requested) == (known.epoch, known.cancel_requested)
            if known.status != "pending":
                assert found.status == known.status

    def teardown(self) -> None:
        for id in list(self.model):
            self.do(self.store.delete(id))
        assert self.do(self.store.list_records(Filters(), 10, None)) == []
        self.do(self.store.aclose())
        self.runner.close()


def plain(state: State) -> State:
    """Leave out the speed of the whole, which knows of children."""
    return rules.replace(state, flow=None)


TestMemory = StoreMachine.TestCase
TestMemory.settings = settings(max_examples=40, stateful_step_count=30)


def _check(make_store: Callable[[], ProgressStore], examples: int) -> None:
    class Machine(StoreMachine):
        make = staticmethod(make_store)

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_sqlite() -> None:
    pytest.importorskip("sqlalchemy")
    from progress_tracker.adapters.sql import SQLStore

    _check(lambda: SQLStore("sqlite://"), 12)


@pytest.mark.integration
def test_redis(redis_server: Server, redis_prefix: str) -> None:
    pytest.importorskip("redis")
    from progress_tracker.adapters.redis.store import RedisStore

    _check(lambda: RedisStore(redis_server.url, prefix=redis_prefix), 25)


@pytest.mark.integration
def test_postgres(postgres_url: str) -> None:
    pytest.importorskip("asyncpg")
    from progress_tracker.adapters.sql import PostgresStore

    async def setup() -> None:
        async with PostgresStore(postgres_url) as store:
            await store.setup()

    asyncio.run(setup())
    _check(lambda: PostgresStore(postgres_url), 8)


@pytest.mark.integration
def test_mysql(mysql_url: str) -> None:
    pytest.importorskip("asyncmy")
    from progress_tracker.adapters.sql_mysql import MySQLStore

    async def setup() -> None:
        async with MySQLStore(mysql_url) as store:
            await store.setup()

    asyncio.run(setup())
    _check(lambda: MySQLStore(mysql_url), 8)


def test_mongo() -> None:
    pytest.importorskip("pymongo")
    pytest.importorskip("mongomock")
    from _common.mongo_stand_in import StandIn
    from progress_tracker.adapters.mongo import MongoStore

    _check(lambda: MongoStore("mongodb://x/y", client=StandIn().connect), 6)


@pytest.mark.integration
@pytest.mark.parametrize("weight", [1, 999_983, 1_000_000])
@pytest.mark.parametrize("expected", [None, 3, 10**9])
async def test_sums_beyond_floating_point(
    redis_server: Server, redis_prefix: str, weight: int, expected: int | None
) -> None:
    """Lua counts in floating point: sums over 2^53 must still be exact, to the last unit."""
    pytest.importorskip("redis")
    from progress_tracker.adapters.redis.store import RedisStore

    rng = random.Random(weight)
    async with RedisStore(redis_server.url, prefix=redis_prefix) as store:
        # as if it had a million children already
        kids = Kids(
            weight=rng.randrange(10**12), done=rng.randrange(9 * 10**18), total=10**6, completed=1
        )
        parent = (await store.create(record("p", kids=kids, state=State(total=expected)))).record
        assert parent is not None
        for turn in range(12):
            child = (await store.create(record(f"c{turn}", parent, weight=weight))).record
            assert child is not None
            percent = rng.uniform(0, 100)
            now = await store_rule(
                store, child.id, lambda base, to=percent: rules.update(base, NOW, to)
            )
            kids = rules.replace(
                kids,
                weight=kids.weight + weight,
                done=kids.done + weight * now.units,
                total=kids.total + 1,
            )
            found = await store.get("p")
            assert found is not None
            assert found.kids == kids
            assert found.units == units_of(found.status, found.state, kids)
