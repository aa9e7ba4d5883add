"""Operations in Redis or Valkey: each method is one script, one round trip, one atomic step.

All keys begin with one prefix in braces, so that they lie on one node of a cluster;
``lua/common.lua`` says what they are. What a crash of the server costs is a matter of its
persistence.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from heapq import merge
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import msgspec

from ..._common.redis_lanes import Lanes
from ..._common.urls import query_of, redact, without_query
from ...errors import BackendError, ConfigurationError
from ...models import Page
from ...ports import (
    Backplane,
    Beat,
    Capabilities,
    Created,
    Filters,
    Overdue,
    Position,
    ProgressStore,
    Record,
    Write,
    Written,
)
from ..options import number
from ..page_cursors import after, cursor_of
from .backplane import RedisBackplane
from .rows import created_row, record_of, write_row, written_of
from .scripts import script

T = TypeVar("T")
OPTIONS = frozenset({"prefix", "timeout", "pool"})
_PREFIX = re.compile(r"[\w.:-]{1,100}")
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode
_LOOK = 500


class RedisStore(ProgressStore):
    """Operations under one prefix. Its writes ring the bell of :meth:`bells` in the same step."""

    capabilities = Capabilities(durable=True, shared=True, rings=True)

    def __init__(
        self, url: str, *, prefix: str = "progress", timeout: float = 5.0, pool: int = 4
    ) -> None:
        """Keep operations on the server at ``url``; the first call connects.

        Args:
            url: ``redis://host:6379/0``, ``rediss://…``, ``valkey://…`` or ``unix://…``.
            prefix: What all keys begin with, in braces: two of them share nothing.
            timeout: Seconds within which each call ends.
            pool: The most connections at once, beside the one that listens.

        Raises:
            ConfigurationError: The prefix is not 1 to 100 letters, digits or ``_ . : -``.
            MissingExtraError: The library is not installed.
        """
        if not _PREFIX.fullmatch(prefix):
            raise ConfigurationError(
                f"prefix must be 1 to 100 letters, digits or any of _ . : -, not {prefix!r}"
            )
        self._url, self._prefix, self._timeout, self._pool = url, prefix, timeout, pool
        self._key = b"{%b}" % prefix.encode()
        self._lanes = Lanes(url, dist="progress-tracker", timeout=timeout, most=pool)

    @classmethod
    def from_url(cls, url: str, *, table: str = "progress") -> Self:
        """Return a store for ``redis://…?prefix=progress&timeout=5&pool=4``.

        Other options are redis-py's. Without a prefix it is ``table``.

        Raises:
            ConfigurationError: An option's value is out of its range.
        """
        return cls(**arguments_of(url, table))

    def twin(self) -> Self:
        return type(self)(self._url, prefix=self._prefix, timeout=self._timeout, pool=self._pool)

    def bells(self) -> Backplane:
        return RedisBackplane(self._url, prefix=self._prefix, timeout=self._timeout, rung=True)

    async def _run(
        self, name: str, meta: Any, read: Callable[[Any], T], *, again: bool = True
    ) -> T:
        """Run a script and ``read`` its answer, which others may have made unreadable."""
        answer = await self._lanes.run(script(name), self._key, _pack(meta), again=again)
        try:
            return read(_unpack(answer))
        except (msgspec.DecodeError, KeyError, TypeError, ValueError) as exc:
            where = redact(self._url)
            raise BackendError(f"{where}: what is stored cannot be read: {exc}") from exc

    async def create(self, record: Record) -> Created:
        made, row = created_row(record)

        def read(answer: Any) -> Created:
            reason, stored = answer
            known = record_of(made.id, stored) if stored else None
            return Created(reason, known or (made if reason == "created" else None))

        # tokens make it idempotent: should the answer be lost, the second try finds its own
        return await self._run("create", row, read)

    async def write(self, writes: Sequence[Write]) -> Sequence[Written]:
        def read(answers: Any) -> Sequence[Written]:
            pairs = zip(writes, answers, strict=True)
            return [written_of(each.record, answer) for each, answer in pairs]

        return await self._run("write", [write_row(each.record) for each in writes], read)

    async def get_many(self, ids: Collection[str]) -> Mapping[str, Record]:
        names = list(ids)

        def read(rows: Any) -> Mapping[str, Record]:
            return {id: record_of(id, row) for id, row in zip(names, rows, strict=True) if row}

        return await self._run("look", names, read)

    async def positions(self, ids: Collection[str]) -> Mapping[str, Position]:
        names = list(ids)

        def read(rows: Any) -> Mapping[str, Position]:
            found = zip(names, rows, strict=True)
            return {id: (int(row[0]), int(row[1])) for id, row in found if row}

        return await self._run("positions", names, read)

    async def touch(self, beats: Sequence[Beat]) -> Sequence[bool | None]:
        def read(answers: Any) -> Sequence[bool | None]:
            return [None if each < 0 else bool(each) for each in answers]

        rows = [(each.id, each.epoch, each.writer, repr(each.stale_at)) for each in beats]
        return await self._run("touch", rows, read)

    async def list_records(self, filters: Filters, limit: int, cursor: str | None) -> Page[Record]:
        below = after(cursor)
        parts = [await self._part(index, filters, limit + 1, below) for index in _indexes(filters)]
        newest = merge(*parts, key=lambda each: (each.created_at, each.id), reverse=True)
        found = list(newest)[: limit + 1]
        return Page.of(found[:limit], cursor_of(found, limit))

    async def _part(
        self, index: str, filters: Filters, most: int, below: tuple[float, str] | None
    ) -> list[Record]:
        """Return the newest ``most`` of an index that match, below a cursor."""
        found: list[Record] = []
        highest, passed = "+inf" if below is None else repr(below[0]), 0
        plain = [filters.user_id or False, filters.parent_id or False, filters.kind or False]
        statuses = [str(each) for each in filters.statuses]
        while len(found) < most:
            row = (index, highest, passed, _LOOK, most, *plain, statuses)
            records, looked = await self._run("list", row, _listed)
            found += [
                each for each in records if below is None or (each.created_at, each.id) < below
            ]
            passed += looked
            if looked == 0:
                break
        return found[:most]

    async def delete(self, id: str) -> Sequence[str]:
        return await self._run("delete", [id], _names, again=False)

    async def overdue(
        self, now: float, completed_before: float, failed_before: float, limit: int
    ) -> Overdue:
        row = (repr(now), repr(completed_before), repr(failed_before), limit)
        return await self._run("overdue", row, lambda found: Overdue(*map(_names, found)))

    async def aclose(self) -> None:
        await self._lanes.aclose()

    def detach(self) -> None:
        self._lanes.detach()


def arguments_of(url: str, prefix: str) -> dict[str, Any]:
    """Return what the URL says to a constructor.

    Raises:
        ConfigurationError: An option's value is out of its range.
    """
    options, place = query_of(url), urlsplit(url)
    if place.scheme != "unix" and not re.fullmatch(r"/?[0-9]*", place.path):
        raise ConfigurationError(f"the path of {redact(url)} must be a database's number, like /0")
    # the same protocol: redis-py does not know the other name
    url = re.sub(r"^valkey(s?)(?=:)", lambda found: "rediss" if found[1] else "redis", url)
    return {
        "url": without_query(url, *OPTIONS) if options else url,
        "prefix": options.get("prefix", prefix),
        "timeout": number(options, "timeout", 5.0, 0.05, 3600),
        "pool": int(number(options, "pool", 4, 1, 100)),
    }


def _indexes(filters: Filters) -> list[str]:
    """Return the narrowest indexes that hold all that is asked for."""
    if filters.parent_id is not None:
        return [f"of:{filters.parent_id}"]
    if filters.user_id is not None:
        return [f"user:{filters.user_id}"]
    if filters.kind is not None:
        return [f"kind:{filters.kind}"]
    return [f"is:{each}" for each in dict.fromkeys(filters.statuses)] or ["all"]


def _listed(answer: Any) -> tuple[list[Record], int]:
    flat, looked = answer
    return [record_of(id, row) for id, row in zip(flat[::2], flat[1::2], strict=True)], looked


def _names(found: Any) -> list[str]:
    return [str(each) for each in found]
