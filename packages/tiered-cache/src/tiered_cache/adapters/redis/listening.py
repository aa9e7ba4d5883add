"""What the backplanes over Redis share: connecting again, signs of life, numbers without gaps."""

import asyncio
import logging
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from ..._common.clock import Clock, SystemClock, new_id
from ...errors import BackendError
from ...ports import Backplane, Message
from . import messages, scripts
from .clients import (
    check_url,
    client_of,
    close,
    faults,
    hosts_of,
    is_cluster,
    load,
    node_url,
    plain_url,
)
from .tier import STREAM_LENGTH

logger = logging.getLogger(__name__)
BEAT = 0.5
"""Seconds between two signs of life."""


class Listening(Backplane):
    """Listens on a connection of its own and connects again for as long as it is not closed."""

    how: ClassVar[str] = "publish"

    def __init__(
        self,
        url: str,
        *,
        key_prefix: str = "cache:",
        timeout: float = 1.0,
        clock: Clock | None = None,
    ) -> None:
        """Use the channel or stream ``<prefix>backplane`` of the server.

        Args:
            url: As for ``RedisTier``.
            key_prefix: Only caches with the same one hear each other.
            timeout: Seconds for connecting and for each answer.
            clock: Tells when the last sign of life arrived.

        Raises:
            ConfigurationError: Something in the URL is wrong.
        """
        load()
        self._url, self._prefix, self._timeout = plain_url(url), key_prefix, timeout
        check_url(self._url)
        self._clock, self.node = clock or SystemClock(), new_id()
        self._client: Any = None
        self._faults = faults(self._url)
        self._task: asyncio.Task[None] | None = None
        self._alive = float("-inf")
        self._stopped = False
        self._is_late = False  # whether ``start`` has returned before anybody listened
        self._turn = 0

    # -- listening ---------------------------------------------------------------------------

    @abstractmethod
    async def _listen_once(self, receiver: messages.Receiver, ready: Callable[[], None]) -> None:
        """Connect, call ``ready`` and :meth:`_beat` while listening; end by raising."""

    async def start(
        self, on_message: Callable[[Message], None], on_gap: Callable[[], None]
    ) -> None:
        if self._task is not None and not self._task.done():
            return
        self._stopped = self._is_late = False
        ready = asyncio.Event()
        receiver = messages.Receiver(self.node, on_message, on_gap)
        self._task = asyncio.create_task(
            self._listen(receiver, ready, on_gap), name="cache-backplane"
        )
        waiting = asyncio.ensure_future(ready.wait())
        try:
            await asyncio.wait(
                [waiting, self._task], timeout=self._timeout, return_when="FIRST_COMPLETED"
            )
        finally:
            waiting.cancel()
        self._is_late = not ready.is_set()

    async def _listen(
        self, receiver: messages.Receiver, ready: asyncio.Event, on_gap: Callable[[], None]
    ) -> None:
        pause = 0.05

        def listening() -> None:
            nonlocal pause
            pause = 0.05
            is_first = not ready.is_set()
            if self._is_late if is_first else not self.replays:
                on_gap()  # what was sent before this moment was missed
            ready.set()

        while not self._ends():
            try:
                with self._faults:
                    await self._listen_once(receiver, listening)
            except (BackendError, TimeoutError):
                pass
            except Exception as exc:  # noqa: BLE001  whatever is there: it may be well again
                logger.warning("cache.listening_failed", extra={"error": type(exc).__name__})
            else:
                continue
            self._turn += 1
            await asyncio.sleep(pause)
            pause = min(1.0, pause * 2)

    replays: ClassVar[bool] = False
    """Whether what was sent while nobody listened arrives later."""

    def _ends(self) -> bool:
        """Whether to stop: redis-py can lose a cancellation before Python 3.12."""
        task = asyncio.current_task()
        return self._stopped or (task is not None and task.cancelling() > 0)

    def _heard(self, at: float) -> None:
        """Note that everything sent before the moment ``at`` has arrived."""
        self._alive = max(self._alive, at)

    def _check_silence(self, begun: float) -> None:
        since = max(self._alive, begun)
        if self._clock.monotonic() - since > 2 * self._timeout + 2 * BEAT:
            raise ConnectionError("no answer to ping")

    async def _last_number(self) -> int:
        async with asyncio.timeout(self._timeout):
            text, name = scripts.NUMBER.text, f"{self._prefix}seq"
            return int(await self._redis.execute_command("EVAL", text, 1, name))

    def _node_url(self) -> str:
        """Return where to listen: in a cluster every node passes every message on."""
        if not is_cluster(self._url):
            return self._url
        hosts = hosts_of(self._url, 6379)
        known = [(node.host, node.port) for node in self._redis.get_nodes()]
        found = [*hosts, *(node for node in known if node not in hosts)]
        return node_url(self._url, *found[self._turn % len(found)])

    # -- telling -----------------------------------------------------------------------------

    async def publish(self, message: Message) -> None:
        script = scripts.SEND
        keys = [f"{self._prefix}seq", f"{self._prefix}backplane"]
        args = [self.how, self.node, STREAM_LENGTH, *messages.arguments(message)]
        if is_cluster(self._url):
            keys = [keys[0], keys[0]]  # a channel has no slot, and a script may name it freely
            script = scripts.send_on(f"{self._prefix}backplane")
        with self._faults:
            await self._redis.execute_command("EVAL", script.text, 2, *keys, *args)

    @property
    def _redis(self) -> Any:
        if self._client is None:
            self._client = client_of(self._url, timeout=self._timeout)
        return self._client

    @property
    def last_alive(self) -> float:
        return self._alive

    # -- life --------------------------------------------------------------------------------

    async def aclose(self) -> None:
        self._stopped = True
        task, self._task = self._task, None
        while task is not None and not task.done():
            task.cancel()
            await asyncio.wait([task], timeout=1.0)
        if self._client is not None:
            client, self._client = self._client, None
            await close(client)
        self._alive = float("-inf")

    def detach(self) -> None:
        self._stopped = True
        task, self._task = self._task, None
        if task is not None and not task.get_loop().is_closed():
            task.get_loop().call_soon_threadsafe(task.cancel)
        self._client, self._alive = None, float("-inf")
