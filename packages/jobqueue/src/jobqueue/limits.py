"""What handlers say about limits, as the port takes it."""

import re
from typing import Any

from .errors import ConfigurationError
from .ports import Limit

Rate = str | tuple[int, float]
"""``"100/m"``, ``"5/10s"`` or ``(100, 60.0)``: how many starts within how many seconds."""
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_RATE = re.compile(r"(\d{1,6})/(\d{0,6})([smhd])")
_MOST = 100_000


def make_limit(concurrency: Any, rate_limit: Any) -> Limit | None:
    """Return the limit of a handler, None if it has none.

    Raises:
        ConfigurationError: A number is out of range or the rate is not understood.
    """
    if concurrency is not None and not _whole(concurrency):
        raise ConfigurationError(
            f"concurrency must be a whole number from 1 to {_MOST}, not {ascii(concurrency)[:60]}"
        )
    if rate_limit is None:
        return None if concurrency is None else Limit(concurrency)
    starts, period = _parsed(rate_limit)
    return Limit(concurrency, starts, period)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MOST


def _parsed(rate: Any) -> tuple[int, float]:
    if isinstance(rate, str) and (match := _RATE.fullmatch(rate.replace(" ", ""))):
        rate = int(match[1]), float(match[2] or 1) * _UNITS[match[3]]
    if isinstance(rate, tuple) and len(rate) == 2:
        starts, period = rate
        good = isinstance(period, int | float) and 1e-3 <= period <= 1e7
        if _whole(starts) and good:
            return starts, float(period)
    raise ConfigurationError(
        "rate_limit must be like '100/m', '5/10s' or (100, 60.0), with 1 to 100,000 starts, "
        f"not {ascii(rate)[:60]}"
    )
