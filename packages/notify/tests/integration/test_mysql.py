"""The SQL store on a real MariaDB."""

from collections.abc import AsyncIterator, Iterator

import pytest

pytest.importorskip("sqlalchemy")
pytest.importorskip("asyncmy")

from _common.mariadb_server import MYSQL, fresh_mysql_database
from _common.server import Server
from _common.services import demanded
from notify import Notification, NotificationService, NotificationStore
from notify.adapters.sql_mysql import MySQLStore, translated
from notify.adapters.sql_tables import make_metadata
from notify.testing import NotificationStoreSuite, entry

pytestmark = pytest.mark.integration
TABLES = sorted(make_metadata("notifications").tables)


async def create_tables(url: str) -> None:
    store = MySQLStore(url)
    await store.setup()
    await store.aclose()


@pytest.fixture(scope="module")
def database(mysql_server: Server, apart) -> Iterator[str]:
    """Give a database with the tables; each test leaves it empty."""
    with demanded(MYSQL), fresh_mysql_database(mysql_server) as url:
        apart(create_tables(url))
        yield url


class TestMySQLStore(NotificationStoreSuite):
    @pytest.fixture
    async def store(self, database: str) -> AsyncIterator[NotificationStore]:
        store = MySQLStore(database)
        yield store
        await store._db.batch([(f"DELETE FROM {name}", {}) for name in TABLES])
        await store.aclose()

    async def test_users_that_look_alike_are_two(self, store: NotificationStore) -> None:
        """Collations take case, accents and spaces at the end for nothing; these are others."""
        await store.add([entry("ann")])
        for other in ("ann ", "Ann", "änn", "ann\t"):
            assert await store.unread(other) == 0, other
            assert await store.last_seq(other) == 0, other

    async def test_a_large_notification(self, store: NotificationStore) -> None:
        """A file of some megabytes comes back whole."""
        made = entry(attachments=b"\x00\xff" * 2_000_000)
        await store.add([made])
        found = await store.get(made.record.id, None)
        assert found is not None
        assert found.attachments == made.record.attachments


async def test_the_service_from_its_url(database: str) -> None:
    async with NotificationService.from_url(database) as service:
        sent = await service.send(Notification(title="t", user_id="ann"))
        feed = service.watch("ann", 0)
        assert (await anext(feed)).notification_id == sent.id
        await feed.aclose()
        await service.erase_user("ann")


def test_what_an_update_returns_is_read_first() -> None:
    (read, gives), (change, _) = translated("UPDATE t SET a = :a WHERE id = :id RETURNING id")
    assert (read, gives) == ("SELECT id FROM t WHERE id = :id FOR UPDATE", True)
    assert change == "UPDATE t SET a = :a WHERE id = :id"
