"""The words of documents in tables of PostgreSQL, ranked by BM25 (extra ``postgres``).

An inverted index as in :mod:`.bm25`: for each stem, the documents that have it and how often. How
rare a stem is, is counted in the statement that ranks, and the sums of lengths change in the
transaction that changes documents: it ranks exactly as an index built anew, whoever wrote and
whatever was cut off. PostgreSQL's own ``ts_rank_cd`` knows neither and ranks worse: the
documentation has the figures.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from math import log
from typing import Any

import msgspec

from ..errors import ConfigurationError
from ..filters import OPERATORS, Filter
from ..ports import KeywordCapabilities, Scored, Stored, version
from .facts import facts_of
from .kept import KeptIndex
from .ledger import best
from .postgres_filters import Conditions
from .postgres_link import LOCK, PostgresLink, table_prefix

_TABLES = """
CREATE TABLE IF NOT EXISTS {0}_sums (one int PRIMARY KEY CHECK (one = 1), format int NOT NULL,
    documents bigint NOT NULL, lengths bigint NOT NULL);
INSERT INTO {0}_sums VALUES (1, 1, 0, 0) ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS {0} (row bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text COLLATE "C" NOT NULL UNIQUE, digest text NOT NULL, facts jsonb NOT NULL,
    length int NOT NULL, terms text[] COLLATE "C" NOT NULL, counts int[] NOT NULL);
CREATE TABLE IF NOT EXISTS {0}_postings (term text COLLATE "C" NOT NULL, row bigint NOT NULL,
    count int NOT NULL, length int NOT NULL, PRIMARY KEY (term, row));
"""
_REMOVE = """
WITH old AS (DELETE FROM {0} WHERE id = ANY($1::text[]) RETURNING row, terms, length),
gone AS (DELETE FROM {0}_postings AS p USING (SELECT row, unnest(terms) AS term FROM old) AS o
    WHERE p.term = o.term COLLATE "C" AND p.row = o.row)
SELECT count(*), coalesce(sum(length), 0)::bigint FROM old
"""
_ADD = """
WITH new AS (INSERT INTO {0} (id, digest, facts, length, terms, counts)
    SELECT id, digest, facts, length, terms, counts FROM json_to_recordset($1::text::json)
    AS d (id text, digest text, facts jsonb, length int, terms text[], counts int[])
    RETURNING row, length, terms, counts),
added AS (INSERT INTO {0}_postings SELECT t.term, new.row, t.count, new.length
    FROM new, unnest(new.terms, new.counts) AS t (term, count))
SELECT count(*), coalesce(sum(length), 0)::bigint FROM new
"""
# Scores are added up as whole numbers: floats would depend on the order in which rows come.
# Postings are read once and by the array, sums as single values: joined, tables that were never
# analysed count as thousands of rows, and the planner sorts all postings there are.
_SEARCH = """
WITH hits AS MATERIALIZED (SELECT term, row, count, length FROM {0}_postings
    WHERE term = ANY($1::text[])),
found AS (SELECT term, count(*) AS n FROM hits GROUP BY term),
rare AS MATERIALIZED (SELECT f.term, q.weight * ln(1
    + ((SELECT documents FROM {0}_sums) - n + 0.5) / (n + 0.5)) AS idf
    FROM found AS f JOIN unnest($1::text[], $2::float8[]) AS q (term, weight) ON q.term = f.term),
scored AS (SELECT h.row, sum((1e12 * idf * h.count
    / (h.count + $4::float8 * (1 - $5::float8 + $5::float8 * h.length
        * (SELECT documents / greatest(lengths, 1)::float8 FROM {0}_sums)))
    )::bigint) / 1e12 AS score FROM hits AS h JOIN rare USING (term) GROUP BY h.row)
SELECT id, score::float8 FROM scored JOIN {0} USING (row) WHERE {1}
ORDER BY score DESC, id LIMIT $3
"""


class PostgresIndex(KeptIndex):
    """An inverted index in the database of the URL; several processes read and write it."""

    capabilities = KeywordCapabilities(kept=True, shared=True, filters=OPERATORS)

    def __init__(self, url: str, *, language: str = "en", k1: float = 1.2, b: float = 0.75) -> None:
        """Use ``postgresql://user@host/database?collection=documents``.

        Args:
            url: Of the database; ``collection`` names the tables: lower-case letters, digits and
                underscores.
            language: Of documents and queries that name none.
            k1: How much a repeated term counts, at least 0.
            b: How much long documents are held back, 0 to 1.

        Raises:
            ConfigurationError: A part is wrong.
        """
        super().__init__(language)
        self._link = PostgresLink(url, own=frozenset({"collection"}))
        self._table = f"{table_prefix(self._link.options.get('collection', 'documents'))}_words"
        self._k1, self._b = float(k1), float(b)
        self._ready = False

    async def _open(self) -> None:
        if self._ready:
            return
        async with self._link.connection() as link:
            if not await link.fetchval("SELECT to_regclass($1) IS NOT NULL", f"{self._table}_sums"):
                async with link.transaction():
                    # IF NOT EXISTS alone does not wait for others
                    await link.execute(LOCK, self._table)
                    await link.execute(_TABLES.format(self._table))
            found = await link.fetchval(f"SELECT format FROM {self._table}_sums")  # noqa: S608  our own name
        if found != 1:
            raise ConfigurationError(
                f"{self._link.url}: the tables {self._table} were made by another release"
            )
        self._ready = True

    async def _write(self, documents: Sequence[Stored], gone: Sequence[str]) -> None:
        rows = msgspec.json.encode([self._row(each) for each in documents]).decode()
        names = [*(each.id for each in documents), *(each for each in gone if "\0" not in each)]
        async with self._link.connection() as link, link.transaction():
            # one writer at a time: the sums are those of all
            await link.execute(f"SELECT 1 FROM {self._table}_sums FOR UPDATE")  # noqa: S608  our own name
            removed = await link.fetchrow(_REMOVE.format(self._table), names)
            added = await link.fetchrow(_ADD.format(self._table), rows)
            await link.execute(
                f"UPDATE {self._table}_sums "  # noqa: S608  our own name
                "SET documents = documents + $1::bigint, lengths = lengths + $2::bigint",
                added[0] - removed[0],
                added[1] - removed[1],
            )

    def _row(self, document: Stored) -> dict[str, Any]:
        counts = Counter(self.stems_of(document))
        return {
            "id": document.id,
            "digest": version(document),
            "facts": facts_of(document.metadata),
            "length": counts.total(),
            "terms": list(counts),
            "counts": list(counts.values()),
        }

    async def search(
        self, terms: Mapping[str, float], limit: int, filter: Filter | None
    ) -> Sequence[Scored]:
        if not terms or limit < 1:
            return []
        await self._open()
        conditions = Conditions(6)
        query = _SEARCH.format(self._table, conditions.of(filter))
        asked = (list(terms), list(terms.values()), limit, self._k1, self._b)
        async with self._link.connection() as link:
            rows = await link.fetch(query, *asked, *conditions.values)
        return [(row["id"], row["score"]) for row in rows]

    async def documents(self) -> Mapping[str, str]:
        await self._open()
        async with self._link.connection() as link:
            rows = await link.fetch(f"SELECT id, digest FROM {self._table}")  # noqa: S608  our own name
        return {row["id"]: row["digest"] for row in rows}

    async def salient(self, ids: Sequence[str], limit: int) -> Mapping[str, float]:
        await self._open()
        query = (
            # a look into the index for each term, whatever the planner thinks of their number
            "WITH own AS MATERIALIZED (SELECT t.term, sum(t.count / d.length::float8) AS share "  # noqa: S608  our own name
            f"FROM {self._table} AS d, unnest(d.terms, d.counts) AS t (term, count) "
            "WHERE d.id = ANY($1::text[]) GROUP BY t.term) "
            f"SELECT own.term, share, p.n, (SELECT documents FROM {self._table}_sums) AS documents "
            f"FROM own CROSS JOIN LATERAL (SELECT count(*) AS n FROM {self._table}_postings "
            "WHERE term = own.term) AS p"
        )
        async with self._link.connection() as link:
            rows = await link.fetch(query, [each for each in ids if "\0" not in each])
        weights = {
            row["term"]: row["share"]
            * log(1 + (row["documents"] - row["n"] + 0.5) / (row["n"] + 0.5))
            for row in rows
        }
        return best(weights, limit)

    async def aclose(self) -> None:
        await self._link.aclose()
        self._ready = False

    def detach(self) -> None:
        self._link.detach()
        self._ready = False
