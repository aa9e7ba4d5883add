"""``watch`` and ``subscribe``: the current state, and every newer one."""

import contextlib
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta

from .._common.home import stream_at_home
from ..errors import ProgressNotFound
from ..models import Progress
from ..ports import Position, Record
from ..records import to_progress
from ..rules import checks
from ..watching.subscriptions import Callback, subscribe
from .housekeeping import Housekeeping


class Watching(Housekeeping):
    """How changes reach others."""

    async def watch(
        self,
        id: str,
        since: Position | str | None = None,
        *,
        wait_for_create: float | timedelta = 0,
        user_id: str | None = None,
    ) -> AsyncGenerator[Progress, None]:
        """Yield the current state, then newer ones, and end after the epoch's terminal one.

        ``(epoch, version)`` rises with each; states in between may be skipped, the newest and the
        terminal one never. A slow consumer gets the newest state when it comes back.

        Args:
            id: Which operation.
            since: ``position`` of a state that is known already (also ``"epoch:version"``).
            wait_for_create: Seconds to wait for an operation that does not exist yet.
            user_id: Whose it must be; anybody's if None.

        Raises:
            ProgressNotFound: There is none, it is another user's, or it was deleted meanwhile.
            InvalidProgress: ``since`` is no position.
        """
        if not checks.is_name(id):
            raise ProgressNotFound(f"no operation {checks.shown(id)}")
        place = None if since is None else checks.position(since)
        patience = checks.seconds(wait_for_create, "wait_for_create")
        stream = self._watch(id, place, patience, user_id)
        async with contextlib.aclosing(stream):
            async for record in stream:
                yield to_progress(record)

    @stream_at_home
    async def _watch(
        self, id: str, since: Position | None, patience: float, user_id: str | None
    ) -> AsyncGenerator[Record, None]:
        self._keep_house()
        stream = self._parts.topics.watch(id, since, patience, user_id)
        async with contextlib.aclosing(stream):
            async for record in stream:
                yield record

    def subscribe(
        self,
        id: str,
        callback: Callback,
        *,
        user_id: str | None = None,
        wait_for_create: float | timedelta = 0,
    ) -> Callable[[], None]:
        """Call ``callback`` with the current state and every newer one, on the running loop.

        Args:
            id: Which operation.
            callback: A function or coroutine function. What it raises is logged, once for each
                subscription, and reaches nobody else.
            user_id: Whose it must be; anybody's if None.
            wait_for_create: Seconds to wait for an operation that does not exist yet.

        Returns:
            A function that ends the subscription; it may be called anywhere, also twice.

        Raises:
            RuntimeError: No event loop runs here.
            TypeError: ``callback`` cannot be called.
            InvalidProgress: ``wait_for_create`` is no duration.
        """
        if not callable(callback):
            raise TypeError(f"subscribe() takes a callable, not {checks.shown(callback)}")
        patience = checks.seconds(wait_for_create, "wait_for_create")
        states = self.watch(id, wait_for_create=patience, user_id=user_id)
        return subscribe(id, states, callback)
