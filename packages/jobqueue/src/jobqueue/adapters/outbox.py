"""An outbox: jobs in the application's database, on their way to a broker elsewhere.

The transactional outbox pattern (C. Richardson, "Microservices Patterns", 2018, section 3.3.7): the
job is a row of the caller's transaction; a relay hands it to the broker and then deletes the row.
The broker knows the job by its id, so that a relay that dies in between makes no second one.
"""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from .._common.extras import require
from .._common.sql import Database
from .._common.sql_schema import Schema
from .._common.sql_statements import is_conflict
from .._common.urls import scheme_of
from ..batches import batches
from ..errors import BackendError
from ..models import JobStatus
from ..ports import Broker, Enqueued, Outbox, Record

if TYPE_CHECKING:
    from sqlalchemy import Connection, MetaData

logger = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Record)


def metadata() -> "MetaData":
    """Return the table as SQLAlchemy metadata (for Alembic too)."""
    sa = require("sqlalchemy", dist="jobqueue", extra="sql")
    made: MetaData = sa.MetaData()
    big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    sa.Table(
        "jobqueue_outbox",
        made,
        sa.Column("seq", big, primary_key=True, autoincrement=True),
        sa.Column("record", sa.LargeBinary(1 << 30), nullable=False),
        sa.Column("refused", sa.Text),
        sqlite_autoincrement=True,
    )
    return made


SCHEMA = Schema("jobqueue_outbox", metadata, version=1, command="jobqueue schema upgrade")
_SELECT = "SELECT seq, record FROM jobqueue_outbox WHERE refused IS NULL ORDER BY seq LIMIT 500"
# MySQL's default would lock the gaps between rows too, and relays would deadlock
_UNGAPPED = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"
_TRIES = 5
_REFUSE = "UPDATE jobqueue_outbox SET refused = :why WHERE seq = :seq"


class SQLOutbox(Outbox):
    """A table ``jobqueue_outbox`` in SQLite, PostgreSQL or MySQL."""

    def __init__(self, url: str) -> None:
        """Relay from the database of ``url``; the first relay connects."""
        mysql = scheme_of(url).startswith(("mysql", "mariadb"))
        session = _UNGAPPED if mysql else ""
        self._db = Database(url, SCHEMA, dist="jobqueue", fault=BackendError, session=session)

    def insert(self, connection: "Connection", records: Sequence[Record]) -> Sequence[Enqueued]:
        sa = require("sqlalchemy", dist="jobqueue", extra="sql")
        text = sa.text("INSERT INTO jobqueue_outbox (record) VALUES (:record)")
        connection.execute(text, [{"record": _encode(record)} for record in records])
        made = []
        for record in records:
            waits = record.delay > 0 or record.run_at is not None or record.depends_on
            status = JobStatus.DELAYED if waits else JobStatus.PENDING
            made.append(Enqueued(msgspec.structs.replace(record, status=status), "created"))
        return made

    async def relay(self, broker: Broker) -> int:
        for _ in range(_TRIES):
            try:
                return await self._relay(broker)
            except BackendError as exc:
                # undone by the database, for another relay's sake: the broker knows the jobs by id
                if not is_conflict(exc.__cause__):
                    raise
        return await self._relay(broker)

    async def _relay(self, broker: Broker) -> int:
        lock = "" if self._db.is_sqlite else " FOR UPDATE SKIP LOCKED"
        async with self._db.transaction() as transaction:
            rows = await transaction.fetch(_SELECT + lock)
            read = [(int(row[0]), _read(row[1])) for row in rows]
            found = [(seq, record) for seq, record in read if record is not None]
            refused = {seq: "unreadable" for seq, record in read if record is None}
            stored: list[Enqueued] = []
            for part in batches([record for _, record in found]):
                stored += await broker.enqueue(part)
            for (seq, record), each in zip(found, stored, strict=True):
                if each.reason == "no_parent":
                    refused[seq] = "it depends on a job that is not there"
                elif each.reason == "same_id" and not _is_same(record, each.record):
                    refused[seq] = "its id belongs to a job of other content"
                elif each.reason == "same_key":
                    about = {"job_id": record.id, "holder": each.record.id}
                    logger.warning("outbox.duplicate", extra=about)
            for seq, why in refused.items():
                logger.error("outbox.refused", extra={"seq": seq, "why": why})
                await transaction.fetch(_REFUSE, {"seq": seq, "why": why})
            if gone := [seq for seq, _ in found if seq not in refused]:
                await transaction.fetch(*_deletion(gone))
        return len(rows)

    async def setup(self) -> None:
        await self._db.setup()

    def schema_sql(self) -> str:
        return SCHEMA.script(self._db)

    async def aclose(self) -> None:
        await self._db.aclose()

    def detach(self) -> None:
        self._db.detach()


def _is_same(record: Record, stored: Record) -> bool:
    """Whether both have the same name and data: a job that was relayed before."""
    return record.name == stored.name and bytes(record.data) == bytes(stored.data)


def _read(data: Any) -> Record | None:
    try:
        return _decoder.decode(bytes(data))
    except (msgspec.MsgspecError, TypeError, ValueError):
        return None


def _deletion(seqs: Sequence[int]) -> tuple[str, dict[str, Any]]:
    # padded to a power of two, so that few statements are ever compiled
    size = 1 << (len(seqs) - 1).bit_length()
    padded = [*seqs, *[seqs[-1]] * (size - len(seqs))]
    names = ", ".join(f":s{i}" for i in range(size))
    return (
        f"DELETE FROM jobqueue_outbox WHERE seq IN ({names})",  # noqa: S608  our own names
        {f"s{i}": seq for i, seq in enumerate(padded)},
    )
