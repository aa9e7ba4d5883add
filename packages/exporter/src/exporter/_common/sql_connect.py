"""Opening connections of asyncpg and asyncmy as SQLAlchemy would, by its reading of the URL.

asyncmy and not aiomysql: both are maintained and known to SQLAlchemy, and asyncmy decodes rows and
packets in C.
"""

from typing import TYPE_CHECKING, Any

from .extras import require
from .sql_lanes import AsyncpgLane, Lane
from .sql_mysql import AsyncmyLane
from .transports import opened

if TYPE_CHECKING:
    from sqlalchemy.engine import Dialect

# what SQLAlchemy's own connections take
_NOT_ASYNCPG = ("async_fallback", "prepared_statement_name_func", "prepared_statement_cache_size")
DRIVERS = {"postgresql": "asyncpg", "mysql": "asyncmy"}
EXTRAS = {"sqlite": "sql", "postgresql": "postgres", "mysql": "mysql"}


def kind_of(scheme: str) -> str:
    """Return ``sqlite``, ``postgresql`` or ``mysql`` for the scheme of a URL."""
    name = scheme.partition("+")[0]
    return {"postgres": "postgresql", "mariadb": "mysql"}.get(name, name)


async def connect(kind: str, url: str, *, dialect: "Dialect", dist: str, session: str) -> Lane:
    """Open a connection to ``url`` and run ``session`` there first."""
    raw = await open_raw(kind, url, dialect=dialect, dist=dist)
    lane: Lane = AsyncmyLane(raw) if kind == "mysql" else AsyncpgLane(None, raw)
    try:
        for text in session.split(";") if session else ():
            await lane.execute(text)
    except BaseException:
        lane.detach()
        raise
    return lane


async def open_raw(kind: str, url: str, *, dialect: "Dialect", dist: str) -> Any:
    """Open a connection of the driver to ``url``."""
    driver = require(DRIVERS[kind], dist=dist, extra=EXTRAS[kind])
    module = require("sqlalchemy.engine", dist=dist, extra=EXTRAS[kind])
    parsed = module.make_url(f"{kind}+{DRIVERS[kind]}://{url.partition('://')[2]}")
    options: dict[str, Any] = dict(dialect.create_connect_args(parsed)[1])
    if kind == "mysql":
        options |= {"charset": "utf8mb4", "autocommit": True}
        return await opened(driver.connect(**options))
    for name in _NOT_ASYNCPG:
        options.pop(name, None)
    size = int(options.pop("statement_cache_size", 500))
    return await opened(driver.connect(**options, statement_cache_size=size, timeout=10))
