"""The SQL store on a real PostgreSQL."""

from collections.abc import AsyncIterator

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("asyncpg")

from notify import NotificationStore
from notify.adapters.sql import SQLStore
from notify.testing import NotificationStoreSuite

pytestmark = pytest.mark.integration


class TestPostgresStore(NotificationStoreSuite):
    @pytest.fixture
    async def store(self, postgres_url: str) -> AsyncIterator[NotificationStore]:
        store = SQLStore(postgres_url)
        await store.setup()
        yield store
        await store.aclose()
