"""The stores on servers against the same plain model, step by step."""

import asyncio
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from property.test_store_machine import StoreMachine

pytestmark = [pytest.mark.integration, pytest.mark.slow]
SETTINGS = settings(
    max_examples=12,
    stateful_step_count=30,
    derandomize=True,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


class Emptied:
    """A store whose records are removed at its end; the connection is each example's own."""

    def __init__(self, make: Any, empty: Any) -> None:
        self.make, self.empty = make, empty

    def machine(self) -> type[StoreMachine]:
        outer = self

        class Machine(StoreMachine):
            def make(self) -> Any:
                return outer.make()

            def teardown(self) -> None:
                self.run(outer.empty(self.store))
                super().teardown()

        return Machine


async def _empty_sql(store: Any) -> None:
    from notify.adapters.sql_tables import make_metadata

    names = sorted(make_metadata("notifications").tables)
    await store._db.batch([(f"DELETE FROM {name}", {}) for name in names])


async def _nothing(_: Any) -> None:
    pass


@pytest.fixture(params=["redis", "postgresql", "mysql"])
def emptied(request: pytest.FixtureRequest, apart) -> Iterator[Emptied]:
    if request.param == "redis":
        pytest.importorskip("redis")
        from notify.adapters.redis.store import RedisStore

        url = request.getfixturevalue("redis_url")
        yield Emptied(lambda: RedisStore(url, prefix=f"t-{uuid4().hex}"), _nothing)
        return
    pytest.importorskip("asyncpg" if request.param == "postgresql" else "asyncmy")
    from notify.registry import store_from_url

    url = request.getfixturevalue("postgres_url" if request.param == "postgresql" else "mysql_url")

    async def tables() -> None:
        store = store_from_url(url, table="notifications")
        await store.setup()
        await store.aclose()

    apart(tables())
    yield Emptied(lambda: store_from_url(url, table="notifications"), _empty_sql)


def test_a_server_keeps_to_the_model(emptied: Emptied) -> None:
    run_state_machine_as_test(emptied.machine(), settings=SETTINGS)
    assert asyncio._get_running_loop() is None
