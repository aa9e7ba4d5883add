"""Looking at jobs in Redis and changing them; queues and figures."""

from collections.abc import Mapping, Sequence

from ...errors import BackendError
from ...models import JobFilters, JobStatus, Page, QueueStats
from ...ports import Record
from .base import RedisBase
from .reading import readable, records_of

_EVERY = 2.0**53


class RedisAdministration(RedisBase):
    """What people and programs do with stored jobs."""

    async def get(self, job_id: str) -> Record | None:
        (rows,), blob = await self._look("get", job_id)
        for _, found in records_of(rows, blob):
            return readable(found)
        return None

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
