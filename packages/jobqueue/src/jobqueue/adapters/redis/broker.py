"""A broker on Redis 6.2 or newer, or Valkey: five scripts, one round trip a step.

The truth is in Redis: it keeps what its persistence keeps (see the page on promises). All keys
begin with one prefix in braces, so that they lie on one node of a cluster.
"""

import logging
import re
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Self
from urllib.parse import urlsplit

from msgspec.structs import replace

from ..._common.clock import Clock
from ..._common.redis_lanes import Lanes
from ..._common.redis_wire import connections
from ..._common.urls import query_of, redact, without_query
from ...clocks import told
from ...errors import BackendError, ConfigurationError, QueueFull
from ...models import JobFilters, JobStatus, Page, QueueStats
from ...ports import (
    FORMAT,
    Broker,
    Capabilities,
    Enqueued,
    Record,
    Step,
    WorkerCall,
)
from ..options import number
from .packing import entry_of, is_plain, job_row, outcome_row, packed
from .reading import Unreadable, answer_of, claims_of, is_text, readable, records_of
from .scripts import NAMES, script
from .waking import Waker

logger = logging.getLogger(__name__)
_OPTIONS = frozenset({"prefix", "timeout", "pool"})
_PREFIX = re.compile(r"[\w.:-]{1,100}")
_PENDING, _DELAYED, _SAME_ID, _SAME_KEY, _NO_PARENT = range(5)
_EVERY = 2.0**53
_PLAIN = 2000
_double = struct.Struct(">d").unpack


class RedisBroker(Broker):
    """Jobs in Redis or Valkey, under one prefix."""

    capabilities = Capabilities(
        durable=True, shared=True, distributed=True, push=True, server_clock=True
    )

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "jobqueue",
        timeout: float = 5.0,
        pool: int = 4,
        clock: Clock | None = None,
    ) -> None:
        """Keep jobs on the server at ``url``; the first call connects.

        Args:
            url: ``redis://host:6379/0``, ``rediss://…`` or ``unix://…``.
            prefix: What all keys begin with, in braces: two of them share nothing.
            timeout: Seconds within which each call ends.
            pool: The most connections at once, beside the one that listens.
            clock: Only a test's clock counts; else the server's own decides.

        Raises:
            ConfigurationError: The prefix is not 1 to 100 letters, digits or ``_ . : -``.
            MissingExtraError: The library is not installed.
        """
        if not _PREFIX.fullmatch(prefix):
            raise ConfigurationError(
                f"prefix must be 1 to 100 letters, digits or any of _ . : -, not {prefix!r}"
            )
        self._url, self._clock, self._key = url, clock, b"{%b}" % prefix.encode()
        self._prefix, self._timeout, self._pool = prefix, timeout, pool
        self._lanes = Lanes(url, dist="jobqueue", full=QueueFull, timeout=timeout, most=pool)
        self._waker = Waker(self._lanes, self._key, timeout)
        self._born: float | None = None

    @classmethod
    def from_url(cls, url: str, *, clock: Clock | None = None) -> Self:
        """Return a broker for ``redis://…?prefix=jobqueue&timeout=5&pool=4``.

        Other options are redis-py's.

        Raises:
            ConfigurationError: An option's value is out of its range.
        """
        options = query_of(url)
        place = urlsplit(url)
        if place.scheme != "unix" and not re.fullmatch(r"/?[0-9]*", place.path):
            raise ConfigurationError(
                f"the path of {redact(url)} must be a database's number, like /0"
            )
        # the same protocol: redis-py does not know the other name
        url = re.sub(r"^valkey(s?)(?=:)", lambda found: "rediss" if found[1] else "redis", url)
        return cls(
            without_query(url, *_OPTIONS) if options else url,
            prefix=options.get("prefix", "jobqueue"),
            timeout=number(options, "timeout", 5.0, 0.05, 3600),
            pool=int(number(options, "pool", 4, 1, 100)),
            clock=clock,
        )

    def twin(self) -> Self:
        return type(self)(
            self._url,
            prefix=self._prefix,
            timeout=self._timeout,
            pool=self._pool,
            clock=self._clock,
        )

    async def _run(
        self, name: str, *words: Any, blob: bytes = b"", again: bool = True
    ) -> tuple[list[Any], memoryview]:
        absolute, ahead = told(self._clock)
        meta = packed((absolute, ahead, *words))
        reply = await self._lanes.run(script(name), self._key, meta, blob, again=again)
        return answer_of(reply)

    async def enqueue(self, records: Sequence[Record]) -> Sequence[Enqueued]:
        # ids make it idempotent: should the answer be lost, the second try finds its own jobs
        if len(records) == 1 and is_plain(records[0]):
            if (one := await self._add_one(records[0])) is not None:
                return (one,)
            _, made = await self._store(records)
            return made
        plain = len(records) <= _PLAIN and all(map(is_plain, records))
        if plain and (made := await self._add(records)):
            return made
        _, made = await self._store(records)
        return made

    async def _add_one(self, record: Record) -> Enqueued | None:
        absolute, ahead = told(self._clock)
        reply = await self._lanes.run(
            script("one"),
            self._key,
            b"" if absolute is None else repr(absolute).encode(),
            repr(ahead).encode(),
            record.id.encode(),
            record.queue.encode(),
            b"%d" % record.priority,
            repr(record.aging).encode(),
            entry_of(record),
        )
        if not reply:
            return None
        (record.created_at,) = _double(reply)
        return Enqueued(record, "created")

    async def _add(self, records: Sequence[Record]) -> list[Enqueued]:
        """Store jobs that touch no other one, the cheapest way; nothing if one is there."""
        if len({record.id for record in records}) < len(records):
            return []
        entries = [entry_of(record) for record in records]
        queues: dict[str, int] = {}
        rows = [
            (
                record.id,
                queues.setdefault(record.queue, len(queues) + 1),
                record.priority,
                record.aging,
                len(entry),
            )
            for record, entry in zip(records, entries, strict=True)
        ]
        (now,), _ = await self._run("add", list(queues), rows, blob=b"".join(entries))
        if now is False:
            return []
        for record in records:
            record.created_at = now
        return [Enqueued(record, "created") for record in records]

    async def _store(
        self, records: Sequence[Record], *tick: Any, again: bool = True
    ) -> tuple[bool, list[Enqueued]]:
        entries = [entry_of(record) for record in records]
        rows = [job_row(record, entry) for record, entry in zip(records, entries, strict=True)]
        words = (rows, *tick)
        (now, reasons, told_rows), blob = await self._run(
            "enqueue", *words, blob=b"".join(entries), again=again
        )
        if now is False:
            return False, []
        found = records_of(told_rows, blob)
        made = []
        for record, reason in zip(records, reasons, strict=True):
            if reason <= _DELAYED:
                made.append(Enqueued(_stored(record, now, reason), "created"))
            elif reason == _NO_PARENT:
                made.append(Enqueued(record, "no_parent"))
            else:
                other = readable(next(found)[1])
                word: Any = {_SAME_ID: "same_id", _SAME_KEY: "same_key"}.get(reason, "created")
                made.append(Enqueued(other, word))
        return True, made

    async def step(self, call: WorkerCall) -> Step:
        blob: list[bytes] = []
        outcomes = [outcome_row(each, blob) for each in call.outcomes]
        limits = {
            name: (limit.concurrency, limit.starts, limit.period)
            for name, limit in call.limits.items()
        }
        slots = [(queue, free) for queue, free in call.slots.items() if free > 0]
        held = [(lease.id, lease.fence) for lease in call.held]
        (now, refused, lost, due, born, rows), bodies = await self._run(
            "step", call.worker, call.lease, slots, outcomes, held, limits,
            call.reclaims, FORMAT,
            blob=b"".join(blob), again=False,
        )  # fmt: skip
        self._compare(born)
        if slots:
            self._waker.listen_to([queue for queue, _ in slots])
        found = list(claims_of(rows, bodies, call, now))
        if bad := [each for _, each in found if isinstance(each, Unreadable)]:
            await self._spoil(bad)
        claimed = [(number, each) for number, each in found if isinstance(each, Record)]
        if len(slots) > 1:
            claimed.sort(key=lambda pair: (-pair[1].priority, pair[0]))
        return Step(
            [each for _, each in claimed],
            [call.outcomes[i].lease.id for i in refused],
            [call.held[i].id for i in lost],
            None if due < 0 else due,
        )

    def _compare(self, born: float) -> None:
        """Notice that all keys are gone: FLUSHALL, a restart without a file, an eviction."""
        if self._born is not None and born != self._born:
            logger.error("broker.data_lost", extra={"prefix": self._key.decode()})
        self._born = born

    async def _spoil(self, bad: Sequence[Unreadable]) -> None:
        """Fail jobs that nobody can read; their bytes stay."""
        # an id that is no text cannot be sent back: its lease goes round until it is removed
        known = [(each.id, each.why) for each in bad if is_text(each.id)]
        for each in bad:
            logger.error("job.unreadable", extra={"job_id": ascii(each.id), "why": each.why})
        await self._run(
            "change", "spoil", [job_id.decode() for job_id, _ in known],
            [f"UnreadableRecord: {why}"[:2000] for _, why in known],
        )  # fmt: skip

    async def extend(self, call: WorkerCall) -> Sequence[str]:
        held = [(lease.id, lease.fence, float(lease.progress)) for lease in call.held]
        (lost,), _ = await self._run("extend", call.worker, call.lease, held)
        return [call.held[i].id for i in lost]

    async def wait(self, timeout: float) -> None:
        await self._waker.wait(timeout)

    async def get(self, job_id: str) -> Record | None:
        (rows,), blob = await self._look("get", job_id)
        for _, found in records_of(rows, blob):
            return readable(found)
        return None

    async def _look(self, what: str, *words: Any) -> tuple[list[Any], memoryview]:
        padded = (*words, *(None for _ in range(3 - len(words))))
        return await self._run("look", what, *padded, FORMAT)

    async def list_jobs(self, filters: JobFilters, limit: int, cursor: str | None) -> Page[Record]:
        after, before = filters.created_after, filters.created_before
        words = (
            filters.name,
            filters.queue,
            [str(each) for each in filters.statuses],
            None if after is None else after.timestamp(),
            None if before is None else before.timestamp(),
        )
        below = _EVERY if cursor is None else float(cursor)
        page: list[Record] = []
        while below >= 0 and len(page) < limit:
            # a script looks at some thousand jobs at most, so as not to hold up the others
            (rows, below), blob = await self._look("list", words, limit - len(page), below)
            page += [each for _, each in records_of(rows, blob) if isinstance(each, Record)]
        return Page.of(page, None if below < 0 else str(int(below)))

    async def change(self, job_id: str, to: JobStatus) -> bool:
        return await self.change_many([job_id], to) > 0

    async def change_many(self, job_ids: Sequence[str], to: JobStatus) -> int:
        ids = list(dict.fromkeys(job_ids))
        if to is not JobStatus.CANCELLED:
            return await self._each("retry", ids)
        try:
            return await self._each("cancel", ids)
        except BackendError as exc:
            if not exc.retryable or isinstance(exc.__cause__, TimeoutError):
                raise
        # perhaps they are cancelled and the answer got lost: the second time none of them counts
        await self._each("cancel", ids)
        found = [await self.get(each) for each in ids]
        return sum(each is not None and each.status is JobStatus.CANCELLED for each in found)

    async def remove(self, job_ids: Sequence[str]) -> int:
        return await self._each("remove", list(dict.fromkeys(job_ids)))

    async def _each(self, what: str, ids: Sequence[str]) -> int:
        count = 0
        for first in range(0, len(ids), 500):
            (number,), _ = await self._run(
                "change", what, ids[first : first + 500], again=what == "remove"
            )
            count += number
        return count

    async def purge(self, statuses: Sequence[JobStatus], before: float, limit: int) -> int:
        names, count = [str(each) for each in statuses], 0
        while count < limit:
            most = min(500, limit - count)
            (number,), _ = await self._run("change", "purge", names, before, most)
            count += number
            if number < most:
                break
        return count

    async def tick(self, name: str, at: float, records: Sequence[Record]) -> bool:
        moved, _ = await self._store(records, name, at, again=False)
        return moved

    async def last_tick(self, name: str) -> float | None:
        (at,), _ = await self._look("tick", name)
        return None if at is False else float(at)

    async def set_paused(self, queue: str, *, paused: bool) -> None:
        await self._run("change", "pause" if paused else "resume", queue)

    async def queues(self) -> Mapping[str, bool]:
        (lengths, paused), blob = await self._look("queues")
        found, at = {}, 0
        for length, is_paused in zip(lengths, paused, strict=True):
            found[str(blob[at : at + length], "utf-8", "replace")] = bool(is_paused)
            at += length
        return dict(sorted(found.items()))

    async def time(self) -> float:
        (now,), _ = await self._look("time")
        return float(now)

    async def stats(self, queue: str | None) -> QueueStats:
        (figures, workers, since, ended, now), _ = await self._look("stats", queue)
        counts = {
            str(each): max(0, figures.get(str(each), 0) if figures else 0) for each in JobStatus
        }
        return QueueStats(
            **counts,
            workers=workers,
            oldest_pending_age=None if since < 0 else max(0.0, now - since),
            throughput=ended / 60,
        )

    def preload(self) -> None:
        connections(self._url, "jobqueue", None)
        for name in NAMES:
            script(name)

    async def setup(self) -> None:
        """Look whether the server can hold jobs; there is no schema to create."""
        await self.time()

    async def aclose(self) -> None:
        await self._waker.aclose()
        await self._lanes.aclose()

    def detach(self) -> None:
        self._waker.detach()
        self._lanes.detach()


def _stored(record: Record, now: float, reason: int) -> Record:
    made = replace(record, created_at=now)
    if made.run_at is None and made.delay > 0:
        made.run_at = now + made.delay
    made.status = JobStatus.DELAYED if reason == _DELAYED else JobStatus.PENDING
    return made
