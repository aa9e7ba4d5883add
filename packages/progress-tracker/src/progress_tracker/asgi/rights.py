"""Who may do what with an operation."""

import inspect
from collections.abc import Iterable
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

    async def refused(self, users: Iterable[str], progress: Progress) -> set[str]:
        """Return those of ``users`` who may watch no longer.

        A plain function is asked each time; what a coroutine function says holds for five seconds,
        because everybody who watches the operation waits for it.
        """
        authorize = self._authorize
        if authorize is None:
            return {user for user in users if progress.user_id != user}
        refused, now = set[str](), self._clock.monotonic()
        for user in users:
            known = self._known.get((user, progress.id)) if self._known else None
            if known is not None and now - known[0] < _REMEMBER:
                allowed: Any = known[1]
            else:
                # no coroutine of ours around the question: it is asked for thousands of users
                allowed = authorize(user, "watch", progress)
                if not isinstance(allowed, bool) and inspect.isawaitable(allowed):
                    allowed = self._remember(user, progress, now, verdict=bool(await allowed))
            if not allowed:
                refused.add(user)
        return refused

    def _remember(self, user: str, progress: Progress, now: float, *, verdict: bool) -> bool:
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[user, progress.id] = now, verdict
        return verdict
