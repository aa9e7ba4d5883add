"""Documents and vectors in PostgreSQL with pgvector (extra ``postgres``).

Every change has a number, given while a row is locked, so that numbers become visible in their
order: who follows the changes by the last number seen misses none.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from ..errors import ConfigurationError
from ..filters import OPERATORS, Filter
from ..models import Facet
from ..ports import Capabilities, Changes, Position, Scored, Stored, Vector, VectorStore
from .facets import facet_of
from .facts import facts_of
from .postgres_filters import Conditions
from .postgres_link import LOCK, PostgresLink, table_prefix

_MOST_INDEXED = 2000
"""Dimensions that an HNSW index of pgvector takes."""
_TABLES = """
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE IF NOT EXISTS {0}_index (one int PRIMARY KEY CHECK (one = 1),
    model text NOT NULL, dimension int NOT NULL, seq bigint NOT NULL, id uuid NOT NULL);
CREATE TABLE IF NOT EXISTS {0} (id text COLLATE "C" PRIMARY KEY, seq bigint NOT NULL,
    deleted boolean NOT NULL, digest text NOT NULL, content bytea NOT NULL,
    metadata json NOT NULL, facts jsonb NOT NULL, vector vector({1}));
CREATE UNIQUE INDEX IF NOT EXISTS {0}_seq ON {0} (seq);
CREATE INDEX IF NOT EXISTS {0}_facts ON {0} USING gin (facts jsonb_path_ops) WHERE NOT deleted;
"""
_HNSW = (
    "CREATE INDEX IF NOT EXISTS {0}_hnsw ON {0} USING hnsw (vector vector_cosine_ops) "
    "WHERE NOT deleted"
)
_NUL = "chr(92) || 'u0000'"


class PgVectorStore(VectorStore):
    """An index named by its collection, in the database of the URL.

    Searches use an HNSW index, which may miss a neighbour; ``?index=none`` searches exactly, by
    reading everything. Metadata are filtered before ranking, either way.
    """

    capabilities = Capabilities(durable=True, shared=True, filters=OPERATORS)

    def __init__(
        self, url: str, *, collection: str = "documents", api_key: str | None = None
    ) -> None:
        """Use ``postgresql://user@host/database?index=hnsw``.

        Args:
            url: Of the database; ``index`` is ``hnsw`` or ``none``.
            collection: Lower-case letters, digits, underscores; the tables are named after it.
            api_key: Refused: PostgreSQL has none.

        Raises:
            ConfigurationError: A part is wrong.
        """
        if api_key is not None:
            raise ConfigurationError("vector_db.api_key has no effect on PostgreSQL: leave it out")
        self._link = PostgresLink(url, own=frozenset({"index"}))
        self._kind = self._link.options.get("index", "hnsw")
        if self._kind not in {"hnsw", "none"}:
            raise ConfigurationError(f"index must be hnsw or none, not {self._kind!r}")
        self._table = table_prefix(collection)
        self._dimension, self._id = 0, ""

    async def open(self, model_id: str, dimension: int, *, create: bool) -> None:
        async with self._link.connection() as link:
            table = f"{self._table}_index"
            found = await link.fetchval("SELECT to_regclass($1) IS NOT NULL", table)
            if not found and not create:
                raise ConfigurationError(
                    f"{self._link.url}: the index is missing and indexing.auto_index is off"
                )
            if not found:
                await self._create(link, dimension)
            await link.execute(
                f"INSERT INTO {table} VALUES (1, $1, $2, 0, gen_random_uuid()) "  # noqa: S608  our own name
                "ON CONFLICT DO NOTHING",
                model_id,
                dimension,
            )
            row = await link.fetchrow(f"SELECT model, dimension, id FROM {table}")  # noqa: S608  our own name
        if (row["model"], row["dimension"]) != (model_id, dimension):
            made = f"{row['model']!r} ({row['dimension']} dimensions)"
            raise ConfigurationError(
                f"{self._link.url} was made with model {made}, not {model_id!r} ({dimension}): "
                "use that model, or another collection"
            )
        self._dimension, self._id = dimension, str(row["id"])

    async def _create(self, link: Any, dimension: int) -> None:
        indexed = _HNSW if self._kind == "hnsw" and dimension <= _MOST_INDEXED else ""
        async with link.transaction():
            await link.execute(LOCK, self._table)  # IF NOT EXISTS alone does not wait for others
            await link.execute((_TABLES + indexed).format(self._table, dimension))

    async def refresh(self, since: Position = None) -> Changes:
        self._check_open()
        match since:
            case (self._id, int(seen)):
                pass
            case _:
                seen = -1
        query = (
            f"SELECT * FROM {self._table} WHERE seq > $1 "  # noqa: S608  our own name
            f"{'' if seen >= 0 else 'AND NOT deleted '}ORDER BY seq"
        )
        async with self._link.connection() as link:
            last = await link.fetchval(f"SELECT seq FROM {self._table}_index")  # noqa: S608  our own name
            if last == seen:
                return Changes(position=since)
            rows = await link.fetch(query, seen)
        last = max([last, *(row["seq"] for row in rows)])
        documents = await asyncio.to_thread(_documents, [r for r in rows if not r["deleted"]])
        gone = [row["id"] for row in rows if row["deleted"]]
        return Changes(seen < 0, documents, gone, (self._id, last))

    async def upsert(self, documents: Sequence[Stored]) -> None:
        self._check_open()
        last = {each.id: each for each in documents}
        columns = await asyncio.to_thread(_columns, list(last.values()))
        statement = (
            f"INSERT INTO {self._table} "  # noqa: S608  our own name
            "SELECT d.id, $1 + d.n, false, d.digest, d.content, d.metadata::json, "
            "d.facts::jsonb, d.vector::vector "
            "FROM unnest($2::text[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::text[]) "
            "WITH ORDINALITY AS d (id, digest, content, metadata, facts, vector, n) "
            "ORDER BY d.id ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, deleted = false, "
            "digest = excluded.digest, content = excluded.content, metadata = excluded.metadata, "
            "facts = excluded.facts, vector = excluded.vector"
        )
        async with self._link.connection() as link, link.transaction():
            await link.execute(statement, await self._numbers(link, len(last)), *columns)

    async def _numbers(self, link: Any, count: int) -> int:
        """Take ``count`` numbers and return the one before them; others wait for our commit."""
        taken = f"UPDATE {self._table}_index SET seq = seq + $1 RETURNING seq"  # noqa: S608  our own name
        return int(await link.fetchval(taken, count)) - count

    async def delete(self, ids: Sequence[str]) -> Sequence[str]:
        self._check_open()
        wanted = [each for each in dict.fromkeys(ids) if "\0" not in each]
        async with self._link.connection() as link, link.transaction():
            before = await self._numbers(link, len(wanted))
            rows = await link.fetch(
                f"UPDATE {self._table} AS t SET seq = $1 + d.n, deleted = true, digest = '', "  # noqa: S608  our own name
                "content = '', metadata = '{}', facts = '{}', vector = NULL "
                "FROM unnest($2::text[]) WITH ORDINALITY AS d (id, n) "
                "WHERE t.id = d.id AND NOT t.deleted RETURNING t.id",
                before,
                wanted,
            )
        gone = {row["id"] for row in rows}
        return [each for each in wanted if each in gone]

    async def get(self, ids: Sequence[str]) -> Mapping[str, Stored]:
        self._check_open()
        query = f"SELECT * FROM {self._table} WHERE id = ANY($1::text[]) AND NOT deleted"  # noqa: S608  our own name
        async with self._link.connection() as link:
            rows = await link.fetch(query, [each for each in ids if "\0" not in each])
        found = {each.id: each for each in _documents(rows)}
        return {each: found[each] for each in ids if each in found}

    async def search(self, vector: Vector, limit: int, filter: Filter | None) -> Sequence[Scored]:
        self._check_open()
        if limit < 1:
            return []
        conditions = Conditions(3)
        where = conditions.of(filter)
        # ties with the last one come too, so that the order by id is exact
        query = (
            f"SELECT id, 1 - (vector <=> $1::text::vector) AS cosine FROM {self._table} "  # noqa: S608  our own name
            f"WHERE NOT deleted AND {where} "
            "ORDER BY vector <=> $1::text::vector FETCH FIRST ($2::int) ROWS WITH TIES"
        )
        async with self._link.connection() as link:
            rows = await link.fetch(query, _text(vector), limit, *conditions.values)
        hits = [(row["id"], float(row["cosine"])) for row in rows]
        return sorted(hits, key=lambda hit: (-hit[1], hit[0]))[:limit]

    async def select(self, filter: Filter | None, limit: int | None = None) -> Sequence[str]:
        self._check_open()
        conditions = Conditions(2, by_index=True)
        where = conditions.of(filter)
        query = f"SELECT id FROM {self._table} WHERE NOT deleted AND {where} ORDER BY id LIMIT $1"  # noqa: S608  values are parameters
        async with self._link.connection() as link:
            rows = await link.fetch(query, limit, *conditions.values)
        return [row["id"] for row in rows]

    async def facets(self, names: Sequence[str], filter: Filter | None) -> Mapping[str, Facet]:
        self._check_open()
        made: dict[str, Facet] = {}
        async with self._link.connection() as link:
            for name in dict.fromkeys(names):
                conditions = Conditions(2, by_index=True)
                where = conditions.of(filter)
                # json keeps texts as they were written, also those that jsonb refuses; but it looks
                # into no object that has a NUL anywhere: such ones are taken apart here
                values = (
                    f"SELECT strpos(metadata::text, {_NUL}) > 0 AS whole, "  # noqa: S608  values are parameters
                    f"CASE WHEN strpos(metadata::text, {_NUL}) > 0 THEN metadata::text "
                    f"ELSE (metadata -> $1::text)::text END AS value FROM {self._table} "
                    f"WHERE NOT deleted AND {where}"
                )
                query = (
                    f"SELECT whole, value, count(*) AS n FROM ({values}) AS each "  # noqa: S608  as above
                    "WHERE value IS NOT NULL GROUP BY whole, value"
                )
                # a name with a NUL is in no other object, as no name begins so
                sent = name.replace("\0", "\x1f")
                rows = await link.fetch(query, sent, *conditions.values)
                made[name] = facet_of(name, [(_value(row, name), row["n"]) for row in rows])
        return made

    async def count(self, filter: Filter | None) -> int:
        self._check_open()
        conditions = Conditions(1, by_index=True)
        where = conditions.of(filter)
        query = f"SELECT count(*) FROM {self._table} WHERE NOT deleted AND {where}"  # noqa: S608  values are parameters
        async with self._link.connection() as link:
            return int(await link.fetchval(query, *conditions.values))

    def _check_open(self) -> None:
        if not self._id:
            raise ConfigurationError("the index is not open")

    async def aclose(self) -> None:
        await self._link.aclose()

    def detach(self) -> None:
        self._link.detach()


def _value(row: Any, name: str) -> Any:
    """Return what a document has under a name, from a row of :meth:`PgVectorStore.facets`."""
    value = msgspec.json.decode(row["value"])
    return value.get(name) if row["whole"] else value


def _columns(documents: Sequence[Stored]) -> tuple[list[Any], ...]:
    encode = msgspec.json.Encoder().encode
    return (
        [each.id for each in documents],
        [each.digest for each in documents],
        [each.content.encode() for each in documents],
        [encode(each.metadata).decode() for each in documents],
        [encode(facts_of(each.metadata)).decode() for each in documents],
        [_text(each.vector) for each in documents],
    )


def _text(vector: Vector) -> str:
    return "[" + ",".join(map(repr, vector.tolist())) + "]"


def _documents(rows: Sequence[Any]) -> list[Stored]:
    return [
        Stored(
            row["id"],
            bytes(row["content"]).decode(),
            msgspec.json.decode(row["metadata"]),
            np.array(msgspec.json.decode(row["vector"]), np.float32),
            row["digest"],
        )
        for row in rows
    ]
