"""Bells by publish/subscribe: what is published carries ids only, one a line."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection
from typing import Any, Self

from ..._common.redis import Translated, connect
from ...errors import BackendError
from ...ports import Backplane, Capabilities, Ring

_DIST = "progress-tracker"
_PING = 2.0
"""Seconds between two questions whether the server still hears us."""
_LONGEST = 2.0


class RedisBackplane(Backplane):
    """Listens on a connection of its own, and again after each loss, for as long as it is open.

    Publish/subscribe keeps nothing for who is away: after a lost connection everything rings.
    """

    capabilities = Capabilities(shared=True)

    def __init__(
        self, url: str, *, prefix: str = "progress", timeout: float = 5.0, rung: bool = False
    ) -> None:
        """Use the channel of ``prefix`` on the server at ``url``; the first call connects.

        Args:
            url: ``redis://host:6379/0``, ``rediss://…`` or ``unix://…``.
            prefix: Only those with the same one hear each other.
            timeout: Seconds for connecting and for each answer.
            rung: Whether the store rings by itself, so that ``publish`` has nothing to do.

        Raises:
            MissingExtraError: The library is not installed.
        """
        self._url, self._prefix, self._timeout, self._rung = url, prefix, timeout, rung
        self._channel = f"{{{prefix}}}:bell"
        self._faults = Translated(url, BackendError, dist=_DIST)
        self._client: Any = None
        self._task: asyncio.Task[None] | None = None
        self._stopped = False

    @classmethod
    def from_url(cls, url: str, *, table: str = "progress") -> Self:
        """Return a backplane for ``redis://…?prefix=progress&timeout=5``; the rest is redis-py's.

        Raises:
            ConfigurationError: An option's value is out of its range.
        """
        from .store import arguments_of

        given = arguments_of(url, table)
        return cls(given["url"], prefix=given["prefix"], timeout=given["timeout"])

    def twin(self) -> Self:
        return type(self)(self._url, prefix=self._prefix, timeout=self._timeout, rung=self._rung)

    async def publish(self, ids: Collection[str]) -> None:
        if self._rung or not ids:
            return
        if self._client is None:
            self._client = connect(self._url, dist=_DIST, timeout=self._timeout)
        with self._faults:
            await self._client.publish(self._channel, "\n".join(ids))

    async def listen(self, ring: Ring, wanted: Callable[[], Collection[str]]) -> None:
        await self._stop()
        self._stopped = False
        first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._listen(ring, first), name="progress.redis_bell")
        try:
            await first
        except BaseException:
            await self._stop()
            raise

    async def _listen(self, ring: Ring, first: "asyncio.Future[None]") -> None:
        pause = 0.05

        def heard() -> None:
            nonlocal pause
            pause = 0.05
            if first.done():
                ring(None)  # what was published before this moment was missed
            else:
                first.set_result(None)

        while not self._ends():
            try:
                with self._faults:
                    await self._listen_once(ring, heard)
            except BackendError as exc:
                if not first.done():
                    first.set_exception(exc)
                    return
                await asyncio.sleep(pause)
                pause = min(_LONGEST, pause * 2)

    def _ends(self) -> bool:
        """Whether to stop: redis-py can lose a cancellation before Python 3.12."""
        task = asyncio.current_task()
        return self._stopped or (task is not None and task.cancelling() > 0)

    async def _listen_once(self, ring: Ring, heard: Callable[[], None]) -> None:
        """Subscribe, call ``heard`` once that is acknowledged, and ring until it fails."""
        client = connect(self._url, dist=_DIST, timeout=self._timeout)
        pubsub = client.pubsub()
        try:
            async with asyncio.timeout(self._timeout):
                await pubsub.subscribe(self._channel)
            asked, due = time.monotonic(), time.monotonic() + _PING
            waiting = True  # for the acknowledgement, later for each pong
            while not self._ends():
                now = time.monotonic()
                if waiting and now - asked > self._timeout:
                    raise ConnectionError("the server does not answer")
                if not waiting and now >= due:
                    asked, due, waiting = now, now + _PING, True
                    await pubsub.ping()
                limit = min(max(due - now, 0.01), self._timeout)
                item: Any = await pubsub.get_message(timeout=limit)
                if item is None:
                    continue
                if item["type"] == "message":
                    ring(bytes(item["data"]).decode(errors="replace").split("\n"))
                elif item["type"] in {"pong", "subscribe"}:
                    waiting = False
                    if item["type"] == "subscribe":
                        heard()
        except TimeoutError as exc:
            raise ConnectionError("the server does not answer") from exc
        finally:
            for each in (pubsub, client):
                with contextlib.suppress(Exception):  # it may be broken; it is not used again
                    await each.aclose()

    async def _stop(self) -> None:
        self._stopped = True
        task, self._task = self._task, None
        while task is not None and not task.done():
            task.cancel()
            # again each second: libraries on asyncio.wait_for lose cancellations before 3.12
            await asyncio.wait([task], timeout=1.0)

    async def aclose(self) -> None:
        await self._stop()
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(Exception):
                await client.aclose()

    def detach(self) -> None:
        self._stopped = True
        task, self._task = self._task, None
        if task is not None and not task.get_loop().is_closed():
            with contextlib.suppress(RuntimeError):
                task.get_loop().call_soon_threadsafe(task.cancel)
        self._client = None
