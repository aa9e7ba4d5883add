"""How retry policies are stored with a job and turned into a delay."""

import math
import random
from datetime import timedelta
from typing import Any, Final

import msgspec

from .errors import ConfigurationError
from .models import Backoff, Retry

UNSURE: Final = Retry()
"""The policy where what users' code says makes no sense."""
_LONGEST = 1e9


def sane(value: Any) -> float:
    """Return a wait that users' code asks for in seconds: 0 to 1e9, 0 for what is no number."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    return 0.0 if math.isnan(seconds) else max(0.0, min(seconds, _LONGEST))


def policy(value: Any) -> Retry:
    """Return ``Retry``, ``"fixed"`` or ``"exponential"`` as a ``Retry``.

    Raises:
        ConfigurationError: It is none of these.
    """
    if isinstance(value, Retry):
        return value
    if value not in ("fixed", "exponential"):  # a tuple: it may be unhashable
        raise ConfigurationError(
            "backoff must be 'fixed', 'exponential', a Retry like Retry(base=0.5), or a function "
            f"from the attempt to seconds, not {value!r}"
        )
    return Retry(kind=value)


def dump(value: Retry | str | None) -> str | None:
    """Return a policy as JSON, to be stored with the job; None stays None.

    Raises:
        ConfigurationError: It is none, or a function.
    """
    if callable(value):
        raise ConfigurationError(
            "a function cannot be stored with a job: give backoff to @queue.worker, or here a "
            "Retry like Retry(base=0.5)"
        )
    return None if value is None else msgspec.json.encode(policy(value)).decode()


def load(text: str | None) -> Retry | None:
    """Return a stored policy; None where there is none or it cannot be read."""
    try:
        return None if text is None else msgspec.json.decode(text, type=Retry)
    except (msgspec.DecodeError, ValueError):
        return None


def delay(backoff: Backoff, attempt: int, rng: random.Random) -> float:
    """Return the seconds to wait after ``attempt``: finite, never negative.

    A callable decides by itself, without jitter.
    """
    if callable(backoff):
        return sane(backoff(attempt))
    rule = policy(backoff)
    ceiling = rule.ceiling(attempt)
    return ceiling if rule.kind == "fixed" else rng.uniform(0.0, ceiling)
