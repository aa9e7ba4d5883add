"""Who may do what with an operation."""

import inspect
from typing import Any

from .._common.clock import Clock
from .._common.web import Authorize, is_allowed
from ..models import Progress

_REMEMBER = 5.0
_MOST = 10_000


class Rights:
    """Asks ``authorize``; by default everybody may do all with their own operations only."""

    def __init__(self, authorize: Authorize | None, clock: Clock) -> None:
        """Ask ``authorize``, or the default rule if it is None."""
        self._authorize, self._clock = authorize, clock
        self._known: dict[tuple[str, str], tuple[float, bool]] = {}

    @property
    def may_change(self) -> bool:
        """Whether a right can be lost: an operation never changes its owner."""
        return self._authorize is not None

    async def may(self, user: str, action: str, progress: Progress) -> bool:
        """Whether ``user`` may do ``action`` with the operation now."""
        if self._authorize is None:
            return progress.user_id == user
        return await is_allowed(self._authorize, user, action, progress)

    async def still(self, user: str, progress: Progress) -> bool:
        """Whether ``user`` may go on watching.

        A plain function is asked each time; what a coroutine function says holds for five seconds,
        because everybody who watches the operation waits for it.
        """
        if self._authorize is None:
            return progress.user_id == user
        key, now = (user, progress.id), self._clock.monotonic()
        known = self._known.get(key)
        if known is not None and now - known[0] < _REMEMBER:
            return known[1]
        allowed: Any = self._authorize(user, "watch", progress)
        if not inspect.isawaitable(allowed):
            return bool(allowed)
        verdict = bool(await allowed)
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[key] = now, verdict
        return verdict
