"""Concurrent ``enqueue`` calls share one round trip."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import overload

from ..batches import MOST, batches
from ..errors import DuplicateJob, JobNotFound, JobQueueError, PayloadError
from ..models import Job, OnDuplicate
from ..ports import Broker, Enqueued, Record
from ..records import same_job, to_job

_Result = Enqueued | JobQueueError


class Coalescer:
    """Collects the records that come while others are under way, and stores them together."""

    def __init__(self, broker: Callable[[], Broker]) -> None:
        """Store with what ``broker`` returns at the time."""
        self._broker = broker
        self._waiting: list[tuple[Record, asyncio.Future[Enqueued]]] = []
        self._flying: set[asyncio.Task[Sequence[_Result]]] = set()
        self._alone = False

    async def add(self, record: Record) -> Enqueued:
        """Return what became of ``record`` once it is stored.

        The first one goes at once and alone; what comes while it is under way goes together
        afterwards. A caller that is cancelled meanwhile may find its job stored all the same.
        """
        if self._flying or self._waiting or self._alone:
            future: asyncio.Future[Enqueued] = asyncio.get_running_loop().create_future()
            self._waiting.append((record, future))
            return await future
        self._alone = True
        try:
            return (await self._broker().enqueue((record,)))[0]
        finally:
            self._alone = False
            self._flush()

    async def drain(self) -> None:
        """Store what waits, and return once everything is stored."""
        while self._waiting or self._flying or self._alone:
            if self._flying:
                await asyncio.wait(set(self._flying))
            else:
                await asyncio.sleep(0)

    def detach(self) -> None:
        """Forget what waits: its loop is gone, or it is the parent's of a fork."""
        self._waiting.clear()
        self._flying.clear()
        self._alone = False

    def _flush(self) -> None:
        if not self._waiting:
            return
        records = next(batches([record for record, _ in self._waiting[:MOST]]))
        waiting, self._waiting = self._waiting[: len(records)], self._waiting[len(records) :]
        task = asyncio.create_task(self._store(records))
        self._flying.add(task)
        task.add_done_callback(self._landed)
        task.add_done_callback(lambda done: _settle(done, [future for _, future in waiting]))

    def _landed(self, task: "asyncio.Task[Sequence[_Result]]") -> None:
        self._flying.discard(task)
        if not self._flying:
            self._flush()

    async def _store(self, records: Sequence[Record]) -> Sequence[_Result]:
        try:
            return await self._broker().enqueue(records)
        except PayloadError:
            # the server refuses one of them, which is no matter of the other callers
            return [await self._store_one(record) for record in records]

    async def _store_one(self, record: Record) -> _Result:
        try:
            return (await self._broker().enqueue((record,)))[0]
        except JobQueueError as exc:
            return exc


def _settle(
    done: "asyncio.Task[Sequence[_Result]]", futures: Sequence["asyncio.Future[Enqueued]"]
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
            if future.done():
                continue
            if isinstance(value, Enqueued):
                future.set_result(value)
            else:
                future.set_exception(value)


def accept(record: Record, stored: Enqueued, on_duplicate: OnDuplicate) -> Job:
    """Return the job of an ``enqueue``: the new one, or the one that stands for it.

    Raises:
        JobQueueError: As for :func:`check`.
    """
    if stored.reason != "created":
        check(record, stored, on_duplicate)
    return to_job(stored.record)


def check(record: Record, stored: Enqueued, on_duplicate: OnDuplicate) -> None:
    """Refuse a job that was not stored, unless the one that is there stands for it.

    Raises:
        DuplicateJob: The id belongs to a job of other content, or the unique key is held and
            ``on_duplicate`` is ``"raise"``.
        JobNotFound: A job that it depends on is unknown.
    """
    there, reason = stored.record, stored.reason
    if reason == "same_id" and same_job(record, there):
        return
    if reason == "same_key" and on_duplicate == "return":
        return
    if reason == "no_parent":
        parents = ", ".join(map(repr, record.depends_on[:3]))
        raise JobNotFound(f"depends_on names jobs that are not there: {parents}")
    what = f"id {record.id!r}" if reason == "same_id" else f"unique key {record.unique_key!r}"
    raise DuplicateJob(f"{what} belongs to job {there.id!r} ({there.name!r})", job_id=there.id)


class StoredJobs(Sequence[Job]):
    """Jobs of which each is built when it is looked at: most callers of many look at none."""

    def __init__(self, records: Sequence[Record]) -> None:
        """Show ``records``."""
        self._records = records

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._records)

    @overload
    def __getitem__(self, index: int) -> Job: ...

    @overload
    def __getitem__(self, index: slice) -> "StoredJobs": ...

    def __getitem__(self, index: int | slice) -> "Job | StoredJobs":
        """Return one, or some."""
        if isinstance(index, slice):
            return StoredJobs(self._records[index])
        return to_job(self._records[index])

    def __iter__(self) -> Iterator[Job]:
        """Yield each."""
        return map(to_job, self._records)

    def __eq__(self, other: object) -> bool:
        """Whether the other has the same jobs; a list may be compared."""
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # as for a list

    def __repr__(self) -> str:
        """Return it as a list."""
        return repr(list(self))
