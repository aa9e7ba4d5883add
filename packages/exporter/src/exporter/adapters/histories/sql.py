"""The list of exports in a SQL database: a SQLite file, or PostgreSQL."""

from typing import TYPE_CHECKING, Any, ClassVar, Self

import msgspec

from ..._common.clock import Clock
from ..._common.extras import require
from ..._common.sql import Database
from ..._common.sql_lanes import Row
from ..._common.sql_schema import Schema
from ..._common.urls import query_of, scheme_of
from ...errors import BackendError, ConfigurationError
from ...models import ExportFilters, Page
from ...ports import FORMAT, HistoryCapabilities, HistoryStore, JobRecord

if TYPE_CHECKING:
    from sqlalchemy import MetaData

COLUMNS = (
    "id", "user_id", "owner", "status", "format", "source_type", "created_at", "lease_until",
    "delete_at", "idempotency_key", "fence", "body",
)  # fmt: skip


def metadata() -> "MetaData":
    """Return the tables as SQLAlchemy metadata (for Alembic too)."""
    sa = require("sqlalchemy", dist="exporter", extra="sql")
    made: MetaData = sa.MetaData()
    column = sa.Column
    # MySQL indexes no text without a length; as bytes, "ann" and "ann " are two, as elsewhere
    text = sa.Text().with_variant(sa.VARBINARY(2000), "mysql", "mariadb")
    name = sa.Text().with_variant(sa.VARBINARY(700), "mysql", "mariadb")
    blob = sa.LargeBinary().with_variant(sa.LargeBinary(2**32 - 1), "mysql", "mariadb")
    jobs = sa.Table(
        "exporter_jobs",
        made,
        column("seq", sa.Integer, primary_key=True, autoincrement=True),
        column("id", name, nullable=False, unique=True),
        column("user_id", text),
        # the user, or "" for none: databases take two NULLs for different
        column("owner", name, nullable=False),
        *(column(each, text, nullable=False) for each in ("status", "format", "source_type")),
        column("created_at", sa.Double, nullable=False),
        column("lease_until", sa.Double),
        column("delete_at", sa.Double),
        column("idempotency_key", name),
        column("fence", sa.Integer, nullable=False),
        column("body", blob, nullable=False),
        sqlite_autoincrement=True,
    )
    sa.Index("exporter_jobs_key", jobs.c.owner, jobs.c.idempotency_key, unique=True)
    sa.Index("exporter_jobs_user", jobs.c.user_id, jobs.c.seq, mysql_length={"user_id": 700})
    sa.Index("exporter_jobs_lease", jobs.c.lease_until)
    sa.Index("exporter_jobs_delete", jobs.c.delete_at)
    sa.Table(
        "exporter_used",
        made,
        column("token", name, primary_key=True),
        column("until", sa.Double, nullable=False),
    )
    return made


SCHEMA = Schema("exporter", metadata, version=1, command="exporter schema upgrade")
_INSERT = (
    f"INSERT INTO exporter_jobs ({', '.join(COLUMNS)}) "  # noqa: S608
    f"VALUES ({', '.join(f':{name}' for name in COLUMNS)}) ON CONFLICT DO NOTHING RETURNING seq"
)
_BY_KEY = "SELECT body, fence FROM exporter_jobs WHERE owner = :owner AND idempotency_key = :key"
_BY_ID = "SELECT body, fence FROM exporter_jobs WHERE id = :id"
_SAVE = (
    "UPDATE exporter_jobs SET status = :status, lease_until = :lease_until, "
    "delete_at = :delete_at, fence = fence + 1, body = :body "
    "WHERE id = :id AND fence = :fence RETURNING id"
)
_DELETE = "DELETE FROM exporter_jobs WHERE id = :id RETURNING id"
_DUE = (
    "SELECT body, fence FROM exporter_jobs WHERE lease_until < :now OR delete_at < :now "
    "ORDER BY seq LIMIT :limit"
)
_USE = (
    "INSERT INTO exporter_used (token, until) VALUES (:token, :until) "
    "ON CONFLICT DO NOTHING RETURNING token"
)
_FORGET = "DELETE FROM exporter_used WHERE until <= :now"


class SQLHistory(HistoryStore):
    """One row an export: what is filtered by in columns, the rest as JSON."""

    capabilities = HistoryCapabilities(durable=True, shared=True)
    kinds: ClassVar[frozenset[str]] = frozenset({"sqlite", "postgresql"})
    session: ClassVar[str] = ""

    def __init__(self, url: str, *, engine: Any = None, synchronous: str = "NORMAL") -> None:
        """Use a database.

        Args:
            url: ``sqlite:///relative.db``, ``sqlite:////absolute.db`` or ``postgresql://…``.
            engine: A ready SQLAlchemy engine (PostgreSQL), which stays the caller's.
            synchronous: SQLite's setting: FULL survives a loss of power, NORMAL only a crash.
        """
        if scheme_of(url) not in self.kinds:
            raise ConfigurationError(f"not a SQL history: {scheme_of(url)!r}")
        self._db = Database(
            url, SCHEMA, dist="exporter", fault=BackendError, engine=engine,
            synchronous=synchronous, session=self.session,
        )  # fmt: skip

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        clock: Clock | None = None,  # noqa: ARG003  every history is offered one
    ) -> Self:
        """Return a history for ``sqlite:///file.db?synchronous=FULL``, or a server's URL.

        Raises:
            ConfigurationError: An option or its value is unknown.
        """
        if scheme_of(url) != "sqlite":
            return cls(url)
        options = query_of(url, allowed=frozenset({"synchronous"}))
        mode = options.get("synchronous", "NORMAL").upper()
        if mode not in {"OFF", "NORMAL", "FULL", "EXTRA"}:
            raise ConfigurationError(
                f"synchronous must be OFF, NORMAL, FULL or EXTRA, not {mode!r}"
            )
        return cls(url, synchronous=mode)

    async def create(self, record: JobRecord) -> JobRecord:
        if await self._db.fetch(_INSERT, params_of(record)):
            return record
        key = {"owner": record.user_id or "", "key": record.idempotency_key}
        if record.idempotency_key is not None and (rows := await self._db.fetch(_BY_KEY, key)):
            return record_of(rows[0])
        raise BackendError(f"the id {record.id!r} is taken", retryable=True)

    async def get(self, job_id: str) -> JobRecord | None:
        rows = await self._db.fetch(_BY_ID, {"id": job_id})
        return record_of(rows[0]) if rows else None

    async def save(self, record: JobRecord) -> bool:
        values = params_of(record)
        names = ("id", "status", "lease_until", "delete_at", "fence", "body")
        if not await self._db.fetch(_SAVE, {name: values[name] for name in names}):
            return False
        record.fence += 1
        return True

    async def list_records(
        self, filters: ExportFilters, limit: int, cursor: str | None
    ) -> Page[JobRecord]:
        tests: dict[str, tuple[str, Any]] = {}
        for name in ("user_id", "status", "format", "source_type"):
            if (value := getattr(filters, name)) is not None:
                tests[name] = f"{name} = :{name}", str(value)
        if filters.created_after is not None:
            tests["after"] = "created_at >= :after", filters.created_after.timestamp()
        if filters.created_before is not None:
            tests["before"] = "created_at < :before", filters.created_before.timestamp()
        if cursor is not None:
            tests["cursor"] = "seq < :cursor", int(cursor)
        where = " AND ".join(test for test, _ in tests.values())
        params = {name: value for name, (_, value) in tests.items()}
        rows = await self._db.fetch(
            f"SELECT body, fence, seq FROM exporter_jobs {f'WHERE {where}' if where else ''} "  # noqa: S608
            "ORDER BY seq DESC LIMIT :limit",
            {**params, "limit": limit + 1},
        )
        page = [record_of(row) for row in rows[:limit]]
        return Page.of(page, str(rows[limit - 1][2]) if len(rows) > limit else None)

    async def delete(self, job_id: str) -> bool:
        return bool(await self._db.fetch(_DELETE, {"id": job_id}))

    async def due(self, now: float, limit: int) -> list[JobRecord]:
        return [record_of(row) for row in await self._db.fetch(_DUE, {"now": now, "limit": limit})]

    async def use_once(self, token: str, until: float) -> bool:
        return bool(await self._db.fetch(_USE, {"token": token, "until": until}))

    async def forget_used(self, now: float) -> None:
        await self._db.fetch(_FORGET, {"now": now})

    async def setup(self) -> None:
        await self._db.setup()

    def schema_sql(self) -> str:
        return SCHEMA.script(self._db)

    async def aclose(self) -> None:
        await self._db.aclose()

    def detach(self) -> None:
        self._db.detach()


def params_of(record: JobRecord) -> dict[str, Any]:
    """Return a record as the values of a row."""
    found = {name: getattr(record, name, None) for name in COLUMNS}
    body = msgspec.json.encode(record)
    return {**found, "status": str(record.status), "owner": record.user_id or "", "body": body}


def record_of(row: Row) -> JobRecord:
    """Return the record of a row of body and fence."""
    record = msgspec.json.decode(bytes(row[0]), type=JobRecord)
    record.fence = int(row[1])
    if record.version > FORMAT + 1:
        raise BackendError(
            f"export {record.id!r} has format {record.version}; this release reads {FORMAT + 1}"
        )
    return record
