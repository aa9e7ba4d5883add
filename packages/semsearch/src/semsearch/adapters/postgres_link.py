"""Connections to PostgreSQL for the adapters that keep an index there (extra ``postgres``)."""

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator
from typing import Any

from .._common.extras import require
from .._common.urls import query_of, redact, without_query
from ..errors import BackendError, ConfigurationError

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))"
"""Waits for others who make the tables of this name."""
_AGAIN = ("08", "40", "53", "57", "55")
"""Classes of SQLSTATE after which the same call may succeed."""


class PostgresLink:
    """A small pool of asyncpg, bound to the event loop of its first call until ``detach``."""

    def __init__(
        self, url: str, *, own: frozenset[str], limit: int = 4, timeout: float = 30.0
    ) -> None:
        """Describe the database; ``own`` are options of the URL that are not asyncpg's."""
        options = query_of(url)
        rest = [name for name in options if name not in own]
        base = without_query(url, *rest) if rest else without_query(url)
        self.options = {name: value for name, value in options.items() if name in own}
        self.url = redact(url)
        self._dsn = f"postgresql://{base.partition('://')[2]}"
        self._limit, self._timeout = limit, timeout
        self._pool: Any = None
        self._opening: asyncio.Lock | None = None

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncGenerator[Any, None]:
        """Lend a connection; what the driver raises becomes ``BackendError``."""
        driver: Any = require("asyncpg", dist="semsearch", extra="postgres")
        try:
            pool = await self._opened(driver)
            async with pool.acquire(timeout=self._timeout) as link:
                yield link
        except (
            driver.PostgresError,
            driver.InterfaceError,
            driver.InternalClientError,  # of a connection that the server has just ended
            OSError,
            TimeoutError,
        ) as exc:
            state = getattr(exc, "sqlstate", None)
            again = state is None or str(state).startswith(_AGAIN)
            said = str(exc) if state is not None else ""
            text = f"{self.url}: {type(exc).__name__}: {said}".rstrip(": ")
            raise BackendError(text, retryable=again) from exc

    async def _opened(self, driver: Any) -> Any:
        self._opening = self._opening or asyncio.Lock()
        async with self._opening:
            if self._pool is None:
                self._pool = await driver.create_pool(
                    self._dsn,
                    min_size=0,
                    max_size=self._limit,
                    timeout=10,
                    command_timeout=self._timeout,
                    server_settings={"application_name": "semsearch"},
                    init=_prepare,
                )
        return self._pool

    async def aclose(self) -> None:
        """Close every connection; a later call opens new ones."""
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                async with asyncio.timeout(5):
                    await pool.close()
            except TimeoutError:
                pool.terminate()

    def detach(self) -> None:
        """Forget, without I/O, what belongs to another event loop or process."""
        self._pool, self._opening = None, None


async def _prepare(link: Any) -> None:
    with contextlib.suppress(Exception):  # of pgvector 0.8; without them, filters may find less
        await link.execute("SET hnsw.iterative_scan = 'strict_order'")
        await link.execute("SET hnsw.ef_search = 200")


def table_prefix(collection: str) -> str:
    """Return what the names of an index's tables begin with.

    Raises:
        ConfigurationError: ``collection`` is no plain name.
    """
    if not _NAME.fullmatch(collection):
        raise ConfigurationError(
            f"vector_db.collection must be lower-case letters, digits and underscores, at most 40, "
            f"not {collection[:60]!r}"
        )
    return f"semsearch_{collection}"
