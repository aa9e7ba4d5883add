"""Fixtures of tests on real servers."""

from collections.abc import Iterator

import pytest

from _common.postgres_server import POSTGRES, fresh_database
from _common.server import Server
from _common.services import demanded


async def _create_tables(url: str) -> None:
    from notify.adapters.sql import SQLStore

    store = SQLStore(url)
    await store.setup()
    await store.aclose()


@pytest.fixture(scope="module")
def database(postgres_server: Server, apart) -> Iterator[str]:
    """Give a PostgreSQL database with the tables; each test leaves it empty."""
    with demanded(POSTGRES), fresh_database(postgres_server) as url:
        apart(_create_tables(url))
        yield url
