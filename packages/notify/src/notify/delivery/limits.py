"""What each provider gets: a token bucket in this process, and a count that all share.

Source: J. Turner, "New Directions in Communications", IEEE Communications Magazine 24 (10), 1986.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ..ports import NotificationStore
from ..settings import LimitSettings

_NOBODY = ""  # what is counted of no user; no user has this id


@dataclass
class _Bucket:
    tokens: float
    at: float


class Limits:
    """A bucket per provider: ``limit`` at once, filled again evenly over ``window``.

    Where the store is shared, the workers of all processes also count there together: no more than
    ``limit`` in a window, which begins with the first message in it.
    """

    def __init__(
        self, limits: Mapping[str, LimitSettings], store: NotificationStore | None = None
    ) -> None:
        """Limit the providers that are named; others are not limited.

        Args:
            limits: By provider.
            store: Where processes count together, if it is shared.
        """
        self._limits = limits
        self._store = store if store is not None and store.capabilities.shared else None
        self._known: dict[str, _Bucket] = {}

    async def take(self, provider: str, now: float, at: float) -> float:
        """Take a place and return 0, or return the seconds until there may be one.

        Args:
            provider: Whose.
            now: By a clock that does not jump.
            at: Seconds since the epoch.

        Raises:
            BackendError: The store failed.
        """
        if wait := self.wait(provider, now):
            return wait
        limit = self._limits.get(provider)
        if limit is None or self._store is None:
            return 0.0
        name = f"provider:{provider}"
        wait = await self._store.take(_NOBODY, name, limit.limit, limit.window, at)
        if wait:
            self._known[provider].tokens += 1.0  # it was not used
        return wait

    def wait(self, provider: str, now: float) -> float:
        """Take a token of this process and return 0, or return the seconds until there is one.

        Args:
            provider: Whose.
            now: By a clock that does not jump.
        """
        limit = self._limits.get(provider)
        if limit is None:
            return 0.0
        rate = limit.limit / limit.window
        bucket = self._known.setdefault(provider, _Bucket(float(limit.limit), now))
        bucket.tokens = min(float(limit.limit), bucket.tokens + (now - bucket.at) * rate)
        bucket.at = now
        if bucket.tokens >= 1.0 - 1e-9:
            bucket.tokens -= 1.0
            return 0.0
        return (1.0 - bucket.tokens) / rate
