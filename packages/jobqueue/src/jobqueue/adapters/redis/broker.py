"""A broker on Redis 6.2 or newer, or Valkey: five scripts, one round trip a step.

The truth is in Redis: it keeps what its persistence keeps (see the page on promises). All keys
begin with one prefix in braces, so that they lie on one node of a cluster.
"""

import logging
import struct
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from ...clocks import told
from ...models import JobStatus
from ...ports import FORMAT, Capabilities, Enqueued, Record, Step, WorkerCall
from .administration import RedisAdministration
from .packing import entry_of, is_plain, job_row, outcome_row
from .reading import Unreadable, claims_of, is_text, readable, records_of
from .scripts import script

logger = logging.getLogger(__name__)
_PENDING, _DELAYED, _SAME_ID, _SAME_KEY, _NO_PARENT = range(5)
_PLAIN = 2000
_double = struct.Struct(">d").unpack


class RedisBroker(RedisAdministration):
    """Jobs in Redis or Valkey, under one prefix."""

    capabilities = Capabilities(
        durable=True, shared=True, distributed=True, push=True, server_clock=True
    )

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

    async def tick(self, name: str, at: float, records: Sequence[Record]) -> bool:
        moved, _ = await self._store(records, name, at, again=False)
        return moved


def _stored(record: Record, now: float, reason: int) -> Record:
    made = replace(record, created_at=now)
    if made.run_at is None and made.delay > 0:
        made.run_at = now + made.delay
    made.status = JobStatus.DELAYED if reason == _DELAYED else JobStatus.PENDING
    return made
