"""Looks at the queue as long as somebody watches; each look serves all who do.

A watcher has no queue of its own that could fill up: it reads on from the last point that it has
seen, when its connection takes more.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any

from .._common.clock import new_id
from .._common.web import WebError
from ..errors import BackendError
from ..models import JobFilters, JobStatus
from ..models.wire import to_json
from ..service import JobQueue
from .history import History

logger = logging.getLogger(__name__)
Message = tuple[str, dict[str, Any], str | None]
_EVERY = 1.0
_LATENCIES_EVERY = 5.0
_SHARE = 20
_MOST_QUEUES = 100
_MOST_WATCHERS = 200
_MOST_PER_USER = 20
_BACK = 500
_ENDED = JobFilters(status=(JobStatus.COMPLETED, JobStatus.FAILED))


class Live:
    """What is known of the queue at the moment, and how it came to it."""

    def __init__(self, queue: JobQueue) -> None:
        """Know nothing of ``queue`` yet; no I/O."""
        self._queue, self._epoch = queue, new_id()[:12]
        self._history = History()
        self._state: dict[str, Any] = {}
        self._latencies: tuple[float, Any] | None = None
        self._looks = 0
        self._news = asyncio.Event()
        self._hurry = asyncio.Event()
        self._watchers: Counter[str] = Counter()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    def check_room(self, user: str) -> None:
        """Refuse a watcher too many.

        Raises:
            WebError: 503, there are too many, or too many of this user.
        """
        if self._watchers.total() >= _MOST_WATCHERS or self._watchers[user] >= _MOST_PER_USER:
            raise WebError(503, "too many pages are open")

    @contextlib.asynccontextmanager
    async def watched(self, user: str) -> AsyncGenerator[None, None]:
        """Look at the queue within the block; ``user`` is who watches."""
        self._watchers[user] += 1
        if self._task is None:
            self._state = {}
            self._task = asyncio.create_task(self._run(), name="jobqueue-dashboard")
        try:
            yield
        finally:
            self._watchers[user] -= 1
            self._watchers += Counter()  # forget users of whom nobody watches
            if not self._watchers and self._task is not None:
                task, self._task = self._task, None
                while not task.done():
                    task.cancel()
                    # again each second: libraries on wait_for lose cancellations before 3.12
                    await asyncio.wait([task], timeout=1.0)

    def hurry(self) -> None:
        """Look again at once: something was changed."""
        self._hurry.set()

    def close(self) -> None:
        """End all streams; for servers that stop."""
        self._closed = True
        self._tell()

    async def first(self) -> dict[str, Any]:
        """Return the overview, as soon as there is one.

        Raises:
            BackendError: The broker does not answer.
        """
        async for _, message, _ in self.messages(None):
            if "error" in message:
                raise BackendError(message["error"])
            return message
        raise BackendError("the application ends")

    async def messages(self, since: str | None) -> AsyncGenerator[Message, None]:
        """Yield event, content and mark: the overview, then what came since the message before.

        Args:
            since: The mark of the last message that was seen; None for none.
        """
        seen = self._seen(since)
        looked = -1
        while not self._closed:
            news = self._news
            if self._state and looked != self._looks:
                looked = self._looks
                yield self._message(seen)
                if "error" not in self._state:
                    seen = self._history.number
                continue
            await news.wait()

    def _seen(self, since: str | None) -> int | None:
        epoch, _, number = (since or "").partition(":")
        good = epoch == self._epoch and number.isascii() and number.isdecimal()
        return int(number[:12]) if good else None

    def _message(self, seen: int | None) -> Message:
        if "error" in self._state:
            return "trouble", self._state, None
        points = [each.to_json() for each in self._history.since(seen or 0)]
        name = "overview" if seen is None else "news"
        return name, {**self._state, "points": points}, f"{self._epoch}:{self._history.number}"

    def _tell(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _run(self) -> None:
        clock, began = self._queue.clock, False
        while True:
            start = clock.monotonic()
            began = await self._try_look(first=not began)
            self._looks += 1
            self._tell()
            # a twentieth of the time at most: the figures of a huge table take a while
            pause = max(_EVERY, _SHARE * (clock.monotonic() - start))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._hurry.wait()
            self._hurry.clear()

    async def _try_look(self, *, first: bool) -> bool:
        try:
            if first:
                await self._begin()
            await self._look()
        except BackendError as exc:
            logger.warning("dashboard.look_failed", exc_info=exc)
            self._state = {"error": "the broker does not answer"}
        except Exception:
            # without a next look all pages would show what was, as if it were so
            logger.exception("dashboard.look_failed")
            self._state = {"error": "the figures cannot be read: see the log of the server"}
        else:
            return True
        return not first

    async def _begin(self) -> None:
        jobs = await self._queue.get_jobs(_ENDED, _BACK)
        self._history.fill(jobs, await self._queue.get_time(), complete=len(jobs) < _BACK)

    async def _look(self) -> None:
        queue = self._queue
        now = await queue.get_time()
        paused = {"default": False, **dict.fromkeys(queue.settings.queues, False)}
        paused |= await queue.get_queues()
        names = sorted(paused)
        total = await queue.get_stats()
        queues = [
            {"name": name, "paused": paused[name], **to_json(await queue.get_stats(name))}
            for name in names[:_MOST_QUEUES]
        ]
        if self._latencies is None or now - self._latencies[0] >= _LATENCIES_EVERY:
            self._latencies = now, await queue.get_latencies()
        if self._history.is_due(now):
            self._history.add(now, total, self._latencies[1])
        self._state = {
            "now": now,
            "total": to_json(total),
            "queues": queues,
            "queuesLeftOut": len(names) - len(queues),
            "latencies": to_json(self._latencies[1]),
        }
