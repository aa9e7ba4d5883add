"""The SQL store on a real PostgreSQL."""

from collections.abc import AsyncIterator, Iterator

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("asyncpg")

from _common.postgres_server import POSTGRES, fresh_database
from _common.server import Server
from _common.services import demanded
from notify import NotificationStore
from notify.adapters.sql import SQLStore
from notify.adapters.sql_tables import make_metadata
from notify.testing import NotificationStoreSuite

pytestmark = pytest.mark.integration
TABLES = sorted(make_metadata("notifications").tables)


async def create_tables(url: str) -> None:
    store = SQLStore(url)
    await store.setup()
    await store.aclose()


@pytest.fixture(scope="module")
def database(postgres_server: Server, apart) -> Iterator[str]:
    """Give a database with the tables; each test leaves it empty."""
    with demanded(POSTGRES), fresh_database(postgres_server) as url:
        apart(create_tables(url))
        yield url


class TestPostgresStore(NotificationStoreSuite):
    @pytest.fixture
    async def store(self, database: str) -> AsyncIterator[NotificationStore]:
        store = SQLStore(database)
        yield store
        await store._db.batch([(f"DELETE FROM {name}", {}) for name in TABLES])
        await store.aclose()
