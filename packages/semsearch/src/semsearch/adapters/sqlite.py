"""Documents in a SQLite file that several processes read and write: the embedded store on disk.

Each process keeps documents and vectors in memory too, and catches up by a sequence before it
answers: a look that finds nothing new is one ``PRAGMA data_version``. Every row carries a checksum;
rows that fail it are left out and reported, and come back when they are indexed again.
"""

import asyncio
import contextlib
import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from .._common.sqlite import SqliteLane
from .._common.urls import file_path, query_of, redact, without_query
from ..errors import BackendError, ConfigurationError
from ..filters import OPERATORS, Filter
from ..models import Facet
from ..ports import Capabilities, Changes, Position, Scored, Stored, Vector, VectorStore
from . import sqlite_rows
from .exclusive import Exclusive
from .shelf import Shelf
from .sqlite_follower import BATCH, SQLiteFollower

T = TypeVar("T")
_MISSING = "the index is missing and indexing.auto_index is off"
_ANEW = "the index was made anew with another model: start this process again with that one"


class SQLiteStore(VectorStore):
    """Exact search over a SQLite file in WAL mode; for up to about 100,000 documents."""

    capabilities = Capabilities(durable=True, shared=True, filters=OPERATORS, reindex=True)

    def __init__(self, url: str) -> None:
        """Use the file of ``sqlite:///relative.db`` or ``sqlite:////absolute.db``."""
        query_of(url, allowed=frozenset())
        self._given, self._url = url, redact(url)
        self._path = file_path(without_query(url))
        self._lane = SqliteLane(self._path, synchronous="NORMAL", busy_timeout=5.0)
        self._exclusive = Exclusive()
        self._follower: SQLiteFollower | None = None
        self._model = ""
        self._generation: int | None = None
        self._is_beside = False

    @property
    def _table(self) -> str:
        return sqlite_rows.table_of(self._generation or 0)

    async def open(self, model_id: str, dimension: int, *, create: bool) -> None:
        if self._follower is None:
            if not create and not await asyncio.to_thread(Path(self._path).exists):
                raise ConfigurationError(f"{self._url}: {_MISSING}")
            found = await self._call(
                lambda link: self._prepared(link, model_id, dimension, create=create)
            )
            if self._follower is None:  # nobody else was faster
                self._follow(*found)
        shelf = self._opened().shelf
        if (self._model, shelf.dimension) != (model_id, dimension):
            made = f"{self._model!r} ({shelf.dimension} dimensions)"
            raise ConfigurationError(
                f"{self._url} was made with model {made}, not {model_id!r} ({dimension}): "
                "use that model, reindex() it, or use another file"
            )

    def _follow(self, model_id: str, dimension: int, generation: int) -> None:
        self._model, self._generation = model_id, generation
        self._follower = SQLiteFollower(
            Path(f"{self._path}-vectors"),
            generation,
            dimension,
            self._exclusive,
            begins=not self._is_beside,
        )

    def _prepared(
        self, link: sqlite3.Connection, model_id: str, dimension: int, *, create: bool
    ) -> tuple[str, int, int]:
        if self._is_beside and self._generation is not None:
            sqlite_rows.make_table(link, self._table)
            return model_id, dimension, self._generation
        return sqlite_rows.prepare(link, model_id, dimension, create=create)

    async def refresh(self, since: Position = None) -> Changes:
        follower = self._opened()
        shelf, before = follower.shelf, follower.unsaved
        # what a batch brought is on the shelf, whatever becomes of the next one or of our caller
        while await self._call(lambda link: self._catch_up(link, follower)):
            pass
        if follower.is_due and follower.unsaved - before > BATCH:
            await self._keep(follower)
        if since == shelf.position:
            return Changes(position=since)
        return await self._exclusive.run(lambda: shelf.since(since), long=len(shelf) > BATCH)

    async def _keep(self, follower: SQLiteFollower) -> None:
        """Write the file beside the index; a fault costs no more than a slow start."""
        if not self._is_beside:
            with contextlib.suppress(BackendError):
                await self._call(follower.keep)

    def _catch_up(self, link: sqlite3.Connection, follower: SQLiteFollower) -> bool:
        """Take over a batch of what is new, in the lane's thread; return whether to go on."""
        if follower is not self._follower:
            return False
        return follower.catch_up(link, lambda: self._check_current(link))

    def _check_current(self, link: sqlite3.Connection) -> None:
        """Refuse to go on with documents that another model's have replaced."""
        if not self._is_beside and sqlite_rows.current_generation(link) != self._generation:
            raise ConfigurationError(f"{self._url}: {_ANEW}")

    def place_for_words(self) -> str | None:
        return f"{self._path}-words"

    def beside(self) -> "SQLiteStore":
        made = SQLiteStore(self._given)
        # by chance: two processes that do this at once must not share a table
        made._generation, made._is_beside = secrets.randbits(40) + 1, True
        return made

    async def supersede(self, other: VectorStore, since: Position) -> bool:
        if not isinstance(other, SQLiteStore):
            raise ConfigurationError("only what beside() gave can take the place")
        follower, old = self._opened(), self._generation or 0

        def work(link: sqlite3.Connection) -> bool:
            # what stands on our shelf beyond `since` the caller has not seen
            return follower.shelf.position == since and sqlite_rows.supersede(
                link, old, follower.seq, *other.place
            )

        done = await self._transact(work)
        if done:
            other.take_over()
        return done

    @property
    def place(self) -> tuple[int, str, int]:
        """Generation, model and dimension."""
        return self._generation or 0, self._model, self._opened().shelf.dimension

    def take_over(self) -> None:
        """Be the one that counts from now on."""
        self._is_beside = False

    def _opened(self) -> SQLiteFollower:
        if self._follower is None:
            raise ConfigurationError("the index is not open")
        return self._follower

    async def upsert(self, documents: Sequence[Stored]) -> None:
        put = sqlite_rows.put_into(self._table)

        def work(link: sqlite3.Connection) -> None:
            for each in documents:
                seq = link.execute(sqlite_rows.NEXT).fetchone()[0]
                link.execute(put, (each.id, seq, 0, *sqlite_rows.parts_of(each)))

        await self._transact(work)

    async def delete(self, ids: Sequence[str]) -> Sequence[str]:
        put = sqlite_rows.put_into(self._table)
        query = f"SELECT 1 FROM {self._table} WHERE id = ? AND deleted = 0"  # noqa: S608  our own name

        def work(link: sqlite3.Connection) -> list[str]:
            gone = []
            for each in ids:
                if link.execute(query, (each,)).fetchone() is not None:
                    seq = link.execute(sqlite_rows.NEXT).fetchone()[0]
                    # a tombstone, so that the other processes hear of it
                    link.execute(put, (each, seq, 1, "", "", b"", b"", 0))
                    gone.append(each)
            return gone

        return await self._transact(work)

    async def get(self, ids: Sequence[str]) -> Mapping[str, Stored]:
        follower, shelf = self._opened(), self._opened().shelf
        found = ((each, shelf.get(each)) for each in ids)
        there = {each: document for each, document in found if document is not None}
        if unread := [name for name, document in there.items() if document.unread]:
            read = await self._call(lambda link: follower.read(link, unread))
            there = {name: read.get(name, each) for name, each in there.items()}
            # what is not read is gone, or damaged
            there = {name: each for name, each in there.items() if not each.unread}
        return there

    async def vectors(self, ids: Sequence[str]) -> Mapping[str, Vector]:
        shelf = self._opened().shelf
        found = ((each, shelf.get(each)) for each in ids)
        return {each: document.vector for each, document in found if document is not None}

    async def search(self, vector: Vector, limit: int, filter: Filter | None) -> Sequence[Scored]:
        return await self._compute(lambda shelf: shelf.nearest(vector, limit, filter), filter)

    async def select(self, filter: Filter | None, limit: int | None = None) -> Sequence[str]:
        return await self._compute(lambda shelf: shelf.select(filter)[:limit], filter)

    async def facets(self, names: Sequence[str], filter: Filter | None) -> Mapping[str, Facet]:
        return await self._compute(lambda shelf: shelf.facets(names, filter), names)

    async def count(self, filter: Filter | None) -> int:
        return await self._compute(lambda shelf: shelf.count(filter), filter)

    async def _compute(self, use: Callable[[Shelf], T], asked: Any) -> T:
        """Use the shelf; ``asked``: metadata, if any."""
        shelf = self._opened().shelf
        long = shelf.is_large or bool(asked and not shelf.is_sorted)
        return await self._exclusive.run(lambda: use(shelf), long=long)

    async def _call(self, use: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._lane.call(use)
        except (sqlite3.Error, OSError) as exc:
            text = f"{self._url}: {type(exc).__name__}: {exc}"
            if "malformed" in str(exc):
                text += ": use a copy of the file, or index the documents into a new one"
            raise BackendError(text, retryable="locked" in str(exc)) from exc

    async def _transact(self, use: Callable[[sqlite3.Connection], T]) -> T:
        def work(link: sqlite3.Connection) -> T:
            with sqlite_rows.transaction(link):
                self._check_current(link)
                result = use(link)
            if self._follower is not None:
                self._follower.seen = -1  # our own commit does not change data_version
            return result

        return await self._call(work)

    async def settle(self) -> None:
        if (follower := self._opened()).is_due:
            await self._keep(follower)

    async def aclose(self) -> None:
        if self._follower is not None and self._follower.is_due_at_last:
            await self._keep(self._follower)
        await self._lane.aclose()
        self._follower = None
        if not self._is_beside:
            self._generation = None

    def detach(self) -> None:
        self._lane.detach()
        if self._follower is not None:
            self._follower.seen = -1
        if self._exclusive.detach():
            self._follower = None
