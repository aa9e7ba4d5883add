"""Concurrent ``enqueue`` calls share one round trip."""

import asyncio
from collections.abc import Callable, Sequence

from ..errors import DuplicateJob, JobNotFound
from ..models import Job, OnDuplicate
from ..ports import Broker, Enqueued, Record
from ..records import same_job, to_job

_MOST = 1000


class Coalescer:
    """Collects the records of one turn of the event loop and stores them together."""

    def __init__(self, broker: Callable[[], Broker]) -> None:
        """Store with what ``broker`` returns at the time."""
        self._broker = broker
        self._waiting: list[tuple[Record, asyncio.Future[Enqueued]]] = []
        self._flying: set[asyncio.Task[Sequence[Enqueued]]] = set()

    async def add(self, record: Record) -> Enqueued:
        """Return what became of ``record`` once it is stored.

        A caller that is cancelled meanwhile may find its job stored all the same.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Enqueued] = loop.create_future()
        self._waiting.append((record, future))
        if len(self._waiting) == 1:
            loop.call_soon(self._flush)
        return await future

    async def drain(self) -> None:
        """Store what waits, and return once everything is stored."""
        while self._waiting or self._flying:
            self._flush()
            await asyncio.wait(set(self._flying))

    def detach(self) -> None:
        """Forget what waits: its loop is gone, or it is the parent's of a fork."""
        self._waiting.clear()
        self._flying.clear()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
        if not waiting:
            return  # detached meanwhile
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        records = [record for record, _ in waiting]
        task = asyncio.create_task(self._store(records))
        self._flying.add(task)
        task.add_done_callback(self._flying.discard)
        task.add_done_callback(lambda done: _settle(done, [future for _, future in waiting]))

    async def _store(self, records: Sequence[Record]) -> Sequence[Enqueued]:
        return await self._broker().enqueue(records)


def _settle(
    done: "asyncio.Task[Sequence[Enqueued]]", futures: Sequence["asyncio.Future[Enqueued]"]
) -> None:
    if done.cancelled():
        for future in futures:
            future.cancel()
    elif (exc := done.exception()) is not None:
        for future in futures:
            if not future.done():
                future.set_exception(exc)
    else:
        for future, value in zip(futures, done.result(), strict=True):
            if not future.done():
                future.set_result(value)


def accept(record: Record, stored: Enqueued, on_duplicate: OnDuplicate) -> Job:
    """Return the job of an ``enqueue``: the new one, or the one that stands for it.

    Raises:
        DuplicateJob: The id belongs to a job of other content, or the unique key is held and
            ``on_duplicate`` is ``"raise"``.
        JobNotFound: A job that it depends on is unknown.
    """
    there = stored.record
    if stored.reason == "created" or (stored.reason == "same_id" and same_job(record, there)):
        return to_job(there)
    if stored.reason == "same_key" and on_duplicate == "return":
        return to_job(there)
    if stored.reason == "no_parent":
        parents = ", ".join(map(repr, record.depends_on[:3]))
        raise JobNotFound(
            f"depends_on names jobs that are not there: {parents}; nothing was stored"
        )
    what = (
        f"id {record.id!r}" if stored.reason == "same_id" else f"unique key {record.unique_key!r}"
    )
    raise DuplicateJob(f"{what} belongs to job {there.id!r} ({there.name!r})", job_id=there.id)
