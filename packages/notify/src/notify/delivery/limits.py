"""Token buckets: what each provider gets from one instance.

Source: J. Turner, "New Directions in Communications", IEEE Communications Magazine 24 (10), 1986.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ..settings import LimitSettings


@dataclass
class _Bucket:
    tokens: float
    at: float


class Limits:
    """A bucket per provider: ``limit`` at once, filled again evenly over ``window``."""

    def __init__(self, limits: Mapping[str, LimitSettings]) -> None:
        """Limit the providers that are named; others are not limited."""
        self._limits = limits
        self._known: dict[str, _Bucket] = {}

    def wait(self, provider: str, now: float) -> float:
        """Take a token and return 0, or return the seconds until there is one.

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
