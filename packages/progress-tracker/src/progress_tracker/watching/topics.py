"""Watching without loss: attach first, wait for the acknowledgement, read, drop what is older.

All watchers of one operation in a process share a topic: one read for each change, whose result
each of them takes when it is ready to (the newest, never a queue).
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine
from typing import Any

from .._common.clock import Clock, wait_event
from ..errors import BackendError, ProgressNotFound
from ..models import ProgressStatus
from ..ports import Backplane, Position, Record
from ..storing.operations import Operations, owned
from ..storing.read_cache import CachedStore

Spawn = Callable[[Coroutine[Any, Any, Any], str], "asyncio.Task[Any]"]
logger = logging.getLogger(__name__)
_UNTOLD = 1.0
"""Seconds between reads where no backplane tells of changes, or the store is down."""


class Topic:
    """One watched operation. ``latest`` is what the last read found; reads follow each other."""

    def __init__(self, id: str) -> None:
        """Know nothing yet."""
        self.id = id
        self.latest: Record | None = None
        self.bell = asyncio.Event()
        self.watchers: set[asyncio.Event] = set()
        self.reader: asyncio.Task[Any] | None = None
        self.lock = asyncio.Lock()
        self.queued: asyncio.Task[Any] | None = None
        self.closed = False

    def take(self, found: Record | None) -> None:
        """Keep what a read found and wake the watchers if it is news."""
        last = self.latest
        same = found is not None and last is not None and found.created_at == last.created_at
        if same and found is not None and last is not None and not _is_news(last, found):
            return
        self.latest = found
        for event in self.watchers:
            event.set()


class Topics:
    """The topics of one service; lives on its home loop."""

    def __init__(
        self,
        operations: Operations,
        backplane: Backplane | None,
        cache: CachedStore | None,
        *,
        clock: Clock,
        spawn: Spawn,
    ) -> None:
        """Hear changes by ``backplane`` (None: read once a second)."""
        self._operations, self._backplane, self._cache = operations, backplane, cache
        self._clock, self._spawn = clock, spawn
        self._topics: dict[str, Topic] = {}
        self._listening = False
        self._starting = asyncio.Lock()

    @property
    def watchers(self) -> int:
        """How many watches are open."""
        return sum(len(topic.watchers) for topic in self._topics.values())

    async def start(self) -> None:
        """Listen to the backplane; once this returns, no change is missed."""
        if self._listening or self._backplane is None:
            return
        async with self._starting:
            if self._is_listening():
                return
            try:
                await self._backplane.listen(self.ring, self.wanted)
            except BackendError:
                logger.warning("progress.listen_failed", exc_info=True)
                return
            self._listening = True
            if self._cache is not None:
                self._cache.listening(now=True)

    def _is_listening(self) -> bool:
        return self._listening

    def wanted(self) -> Collection[str]:
        """Return the ids whose changes somebody wants to hear of."""
        if self._cache is None:
            return list(self._topics)
        return {*self._topics, *self._cache.cached()}

    def ring(self, ids: Collection[str] | None) -> None:
        """Hear that ``ids`` changed; None: anything may have."""
        if self._cache is not None:
            self._cache.forget(ids)
        for id in list(self._topics) if ids is None else ids:
            if (topic := self._topics.get(id)) is not None:
                topic.bell.set()

    def close(self) -> None:
        """End all watches: the tracker is closed, and nobody would wake them again."""
        for topic in self._topics.values():
            topic.closed = True
            for event in topic.watchers:
                event.set()
        self.reset()

    def reset(self) -> None:
        """Forget, without I/O, what belonged to another event loop."""
        self._topics, self._listening, self._starting = {}, False, asyncio.Lock()
        if self._cache is not None:
            self._cache.listening(now=False)

    async def watch(
        self, id: str, since: Position | None, patience: float, user_id: str | None
    ) -> AsyncGenerator[Record, None]:
        """Yield the current record, then newer ones, and end after a terminal one."""
        topic, event = self._topics.setdefault(id, Topic(id)), asyncio.Event()
        topic.watchers.add(event)
        try:
            await self.start()
            if topic.reader is None:
                topic.reader = self._spawn(self._read_on(topic), f"progress.watch {id}")
            await self._refresh(topic)
            if topic.latest is None and patience > 0:
                await self._created(topic, event, patience)
            first = owned(topic.latest, id, user_id)
            last: Position | None = None if since is None or first.position < since else since
            shown: Record | None = None
            while True:
                record = owned(topic.latest, id, user_id)
                if record.created_at != first.created_at:
                    raise ProgressNotFound(f"operation {id!r} was deleted")
                is_news = last is None or record.position > last
                if is_news or (shown is not None and _is_news(shown, record)):
                    last, shown = record.position, record
                    yield record
                if record.status.is_final:
                    return
                await event.wait()
                event.clear()
                if topic.closed:
                    raise _closed()
        finally:
            self._detach(topic, event)

    async def _created(self, topic: Topic, event: asyncio.Event, patience: float) -> None:
        deadline = self._clock.monotonic() + patience
        while topic.latest is None and (left := deadline - self._clock.monotonic()) > 0:
            event.clear()
            await wait_event(event, left, self._clock)

    def _detach(self, topic: Topic, event: asyncio.Event) -> None:
        topic.watchers.discard(event)
        if not topic.watchers:
            if topic.reader is not None:
                topic.reader.cancel()
            if self._topics.get(topic.id) is topic:
                del self._topics[topic.id]

    async def _read_on(self, topic: Topic) -> None:
        while True:
            await wait_event(topic.bell, self._until_look(topic), self._clock)
            topic.bell.clear()
            await self.start()  # a no-op, unless the backplane could not be reached before
            try:
                await self._refresh(topic)
            except BackendError:
                logger.warning("progress.read_failed", extra={"progress_id": topic.id})
            except Exception:
                # whoever watches must not wait for ever because one adapter call was broken
                logger.exception("progress.read_failed", extra={"progress_id": topic.id})
            else:
                continue
            topic.bell.set()  # whatever rang is still unread
            await self._clock.sleep(_UNTOLD)

    def _until_look(self, topic: Topic) -> float:
        """Return the seconds until the next read that no bell asks for."""
        poll = self._operations.settings.realtime.safety_poll if self._listening else _UNTOLD
        record = topic.latest
        if record is None or record.status is not ProgressStatus.PROCESSING:
            return poll
        return min(poll, max(0.05, (record.stale_at or 0.0) - self._clock.time() + 0.01))

    async def _refresh(self, topic: Topic) -> None:
        """Return after a read that began after this call; callers at one time share it."""
        if topic.queued is None:
            topic.queued = self._spawn(self._read(topic), f"progress.read {topic.id}")
        try:
            failure = await asyncio.shield(topic.queued)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not topic.closed or (task is not None and task.cancelling()):
                raise
            raise _closed() from None
        if failure is not None:
            raise failure

    async def _read(self, topic: Topic) -> BackendError | None:
        async with topic.lock:
            topic.queued = None
            try:
                found: Record | None = await self._operations.read(topic.id)
            except ProgressNotFound:
                found = None
            except BackendError as exc:
                return exc
            topic.take(found)
            return None


def _is_news(seen: Record, found: Record) -> bool:
    """Whether ``found`` is newer, or an end.

    A store that lost its last moments (a server without persistence) gives versions a second time.
    What it says meanwhile is waited for; the end is told whatever its version, for nothing follows.
    """
    ends = found.status.is_final and not seen.status.is_final
    return ends or found.position > seen.position


def _closed() -> BackendError:
    return BackendError("the tracker was closed: watch again", retryable=True)
